"""The JSON Schema of a record, which ships with the package (draft 2020-12).

https://json-schema.org/draft/2020-12. Tests hold real records against it. Does not validate.
"""

from importlib.resources import files
from typing import Any, Final

from gateway.core.canonical import parse_object

SCHEMA_NAME: Final = "record.schema.json"


def record_schema() -> dict[str, Any]:
    """Return the schema."""
    return parse_object(files(__name__).joinpath(SCHEMA_NAME).read_bytes())
