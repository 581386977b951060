"""Results in the XML of AWS's Query protocol."""

from xml.sax.saxutils import escape

from tests.cloud.service import Json


def write_result(operation: str, result: Json) -> str:
    """Return the whole answer of the operation."""
    return (
        f"<{operation}Response><{operation}Result>{_members(result)}</{operation}Result>"
        f"<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></{operation}Response>"
    )


def _members(result: Json) -> str:
    return "".join(f"<{name}>{_write(value)}</{name}>" for name, value in result.items())


def _write(value: object) -> str:
    if isinstance(value, list):
        return "".join(f"<member>{_members(each)}</member>" for each in value)
    if isinstance(value, dict):  # the only maps in results here are of attributes
        return "".join(
            f"<entry><key>{escape(key)}</key><value>{escape(str(each))}</value></entry>"
            for key, each in value.items()
        )
    return escape(str(value))
