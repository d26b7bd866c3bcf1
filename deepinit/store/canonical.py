"""Canonical JSON: one text per value, to be hashed."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from deepinit.core.errors import SpecError


def canonical_json(value: Any) -> str:
    """Canonical JSON: sorted keys, no whitespace, ASCII, floats by `repr`.

    SpecError names the place of values other than None, booleans, integers, finite floats, strings,
    lists or tuples (alike), mappings with string keys.
    """
    return json.dumps(_plain(value, ""), sort_keys=True, separators=(",", ":"), allow_nan=False)


def loads(data: str | bytes) -> Any:
    """`json.loads` of untrusted text, to values of `canonical_json`.

    ValueError: no JSON, a non-finite number, or over 50 levels.
    """
    try:
        value = json.loads(data, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("too deep") from error
    if not _is_shallow(value, _MOST_LEVELS):
        raise ValueError("too deep")
    return value


_MOST_LEVELS = 50


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is not finite")
    return number


def _is_shallow(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    items = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in items)


def identity_hash(identity: Mapping[str, Any]) -> str:
    """SHA-256 (hexadecimal) of the canonical JSON."""
    return hashlib.sha256(canonical_json(identity).encode("ascii")).hexdigest()


def differences(here: Any, asked: Any, path: str = "") -> Iterator[str]:
    """Differing leaves of two JSON values: `config.width: 64 here, 128 asked`."""
    if isinstance(here, Mapping) and isinstance(asked, Mapping):
        for key in sorted({*here, *asked}):
            yield from differences(
                here.get(key, _ABSENT), asked.get(key, _ABSENT), f"{path}.{key}" if path else key
            )
    elif isinstance(here, list | tuple) and isinstance(asked, list | tuple):
        for index in range(max(len(here), len(asked))):
            left = here[index] if index < len(here) else _ABSENT
            right = asked[index] if index < len(asked) else _ABSENT
            yield from differences(left, right, f"{path}[{index}]")
    elif _shown(here) != _shown(asked):
        left, right = _abridged(_shown(here)), _abridged(_shown(asked))
        yield f"{path or 'the value'}: {left} here, {right} asked"


_ABSENT = object()


def _shown(value: Any) -> str:
    # Compared as text: Python calls 1, 1.0 and True equal, canonical JSON does not.
    return "absent" if value is _ABSENT else canonical_json(value)


def _abridged(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def _plain(value: Any, path: str) -> Any:
    """The value in JSON's types; a refusal names the place."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _refused(repr(float(value)), path)
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise _refused(f"the key {key!r}", path)
        return {key: _plain(item, f"{path}.{key}" if path else key) for key, item in value.items()}
    raise _refused(f"a {type(value).__name__}", path)


def _refused(given: str, path: str) -> SpecError:
    return SpecError(
        f"{given} at {path or 'the top'} of a value to be stored as JSON",
        "None, booleans, integers, finite floats, strings, lists, and mappings with string keys",
        "Convert it first, for example a NumPy scalar by .item().",
    )
