"""Objects from JSON records."""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from deepinit.core.errors import SpecError

Built = TypeVar("Built")


def fields_of(what: str, record: Any) -> dict[str, Any]:
    """Fields of a record, or of its text; SpecError for anything else."""
    found = record
    if isinstance(record, str):
        try:
            found = json.loads(record)
        except json.JSONDecodeError as error:
            given = f"the text {record!r:.60}, no JSON: {error}"
            raise SpecError(
                given, f"the JSON of {what}", "Write json.dumps(net.to_json())."
            ) from None
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        given = f"{record!r:.60} as {what}"
        raise SpecError(given, "a record, as of to_json()", "Check the record.")
    return dict(found)


def built(kind: Callable[..., Built], /, *arguments: Any, **fields: Any) -> Built:
    """The object; SpecError for fields that are missing, or that it does not have."""
    signature = inspect.signature(kind)
    try:
        signature.bind(*arguments, **fields)
    except TypeError as error:
        given = f"a record of {kind.__name__}: {error}"
        names = [name for name in signature.parameters if not name.startswith("_")]
        remedy = "Check the record; a newer deepinit may have written it."
        raise SpecError(given, ", ".join(names), remedy) from None
    return kind(*arguments, **fields)
