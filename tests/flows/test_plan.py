"""`apply --diff` and `--check` as CI types them: a plan, an exit code for drift, and an export."""

from tests.flows.place import FILE, Place, one_line, shop

__all__ = ["shop"]


def test_a_plan_is_shown_applied_and_then_nothing_differs(shop: Place) -> None:
    wanted = FILE.replace("command: [sleep, '60']", "command: [sleep, '61']").replace(
        "  - name: other\n", "  - name: other\n    concurrency: 4\n  - name: third\n"
    )
    shown = shop.say("apply", "-f", "-", "--diff", given=wanted)
    assert shown.splitlines()[:-1] == [
        "~ queue  other",
        "~     concurrency: (default) -> 4",
        "+ queue  third",
        "~ job    shop/Sleep",
        '~     command: ["sleep", "60"] -> ["sleep", "61"]',
    ]
    *_, state = shown.split()
    assert shown.endswith(f"1 to make, 2 to change; the state is {state}")
    drift = shop.call("apply", "-f", "-", "--check", given=wanted)
    assert (drift.returncode, drift.stdout.strip()) == (5, shown)
    shop.say("apply", "-f", "-", "--planned", state, given=wanted)
    again = shop.call("apply", "-f", "-", "--planned", state, given=wanted)
    assert again.returncode == 1
    assert "plan it again" in one_line(again)
    assert "nothing would change" in shop.say("apply", "-f", "-", "--check", given=wanted)
    exported = shop.say("export")
    assert "nothing would change" in shop.say("apply", "-f", "-", "--check", given=exported)
    assert shop.call("export", "nothing").returncode == 4
