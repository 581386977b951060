"""Writes the table of parameters in docs/aws.md: python -m tests.deploy.parameters_page."""

from pathlib import Path

from barbeque_py.cli.aws_templates import templates

PAGE = Path(__file__).parents[2] / "docs" / "aws.md"
_HEAD = "| parameter | default | |\n|---|---|---|\n"
_OURS = {"Installation", "Image"}


def table() -> str:
    """Return every parameter that people say, once, in the order of the templates."""
    told: set[str] = set()
    rows = []
    for each in templates():
        for name, facts in each.parameters.items():
            if name in _OURS or name in told or name in _outputs():
                continue
            told.add(name)
            default = str(facts.get("Default", "must be said"))
            rows.append(f"| `{name}` | {default or 'none'} | {facts['Description']} |")
    return _HEAD + "\n".join(rows)


def _outputs() -> set[str]:
    own_network = {"VpcId", "VpcCidr", "PublicSubnets", "PrivateSubnets"}
    return {name for each in templates() for name in each.outputs} - own_network


if __name__ == "__main__":
    page = PAGE.read_text()
    begin, end = page.index("## Parameters"), page.index("## Terraform")
    words = page[begin:end].partition("\n\n")[2].partition("\n\n")[0]
    PAGE.write_text(f"{page[:begin]}## Parameters\n\n{words}\n\n{table()}\n\n{page[end:]}")
