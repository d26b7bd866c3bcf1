"""What identifies code that users bring: the source of a function and of what it names, and values of activations.

A record is a flat dict, name -> hash of source or of an array, or the text of a constant. Library code counts by its name alone;
its closures count, because they hold what a user gave (the learning rate of an optax transformation).
"""

import ast
import dataclasses
import functools
import hashlib
import inspect
import linecache
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from deepinit.core.activation import Activation
from deepinit.core.activations import BUILTIN
from deepinit.core.gaussian import on_host

_LIBRARY = (str(Path(__file__).parents[1]), sysconfig.get_paths()["stdlib"])
_POINTS = np.array([-7.31, -2.17, -0.613, -0.0371, 0.0523, 0.719, 1.93, 6.47])
_LONGEST = 80  # characters of a constant that a record shows
_RULES = ("jvp", "fwd", "bwd")  # of jax.custom_jvp and jax.custom_vjp


def is_builtin(activation: Activation) -> bool:
    """Does deepinit define all that this activation computes?"""
    parameters: dict[str, Any] = dict(activation.parameters)
    if activation.name == "rounded":
        return is_builtin(parameters["activation"])
    return activation.name in BUILTIN and activation == BUILTIN[activation.name](**parameters)


def activation_record(activation: Activation) -> dict[str, str]:
    """Source of an activation, and its values at 8 points in float64.

    Values are rounded to 7 digits of the largest one, so that another processor's last bits make no difference.
    """
    if activation.name == "rounded":
        return activation_record(dict(activation.parameters)["activation"])  # type: ignore[arg-type]
    values = on_host(activation, _POINTS)
    largest = float(np.max(np.abs(values))) or 1.0
    relative = np.round(values / largest, 7) + 0.0  # no -0
    shown = " ".join([f"{largest:.6e} *", *(f"{value:.7f}" for value in relative)])
    return {**source_record(activation), "values": shown}


def source_record(thing: Any, name: str = "it") -> dict[str, str]:
    """The source of a function, class or object and of everything it names in code that belongs to no library.

    Comments, docstrings and whitespace make no difference. A function without source counts by its bytecode. `name` is what
    the record calls `thing` itself.
    """
    record: dict[str, str] = {}
    _visit(thing, name, record, {})
    return record


def _visit(thing: Any, name: str, record: dict[str, str], seen: dict[int, tuple[str, Any]]) -> None:
    """Adds what identifies `thing`, which the code around it calls `name`."""
    if isinstance(thing, bool | int | float | complex | str | bytes | None):
        _put(record, name, repr(thing))
        return
    if isinstance(thing, np.generic | np.ndarray) or hasattr(thing, "__array__"):
        array = np.asarray(thing)
        _put(record, name, repr(array.item()) if array.ndim == 0 else _hash(f"{array.shape} {array.dtype}", array))
        return
    named = isinstance(thing, FunctionType | type)
    if named:
        _put(record, name, _name(thing))
    if id(thing) in seen:
        if not named:
            _put(record, name, f"as {seen[id(thing)][0]}")
        return
    seen[id(thing)] = name, thing  # kept, so that no other object takes its id
    for part_name, part in _parts(thing, name, record):
        _visit(part, part_name, record, seen)


def _parts(thing: Any, name: str, record: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Records `thing` itself, and yields what it consists of."""
    if isinstance(thing, ModuleType):
        _put(record, name, thing.__name__)
    elif isinstance(thing, MethodType):
        yield from ((name, thing.__func__), (f"{name}.__self__", thing.__self__))
    elif isinstance(thing, functools.partial):
        yield from ((name, thing.func), (f"{name}.args", thing.args), (f"{name}.keywords", thing.keywords))
    elif isinstance(thing, FunctionType):
        yield from _function_parts(thing, record)
    elif isinstance(thing, type):
        yield from _class_parts(thing, record)
    elif callable(thing) and hasattr(thing, "__wrapped__"):  # jit, custom_jvp, lru_cache
        yield name, thing.__wrapped__
        yield from ((f"{name}.{rule}", getattr(thing, rule)) for rule in _RULES if hasattr(thing, rule))
    elif isinstance(thing, dict):
        _put(record, name, f"{len(thing)} entries")
        yield from ((f"{name}[{key!r}]", value) for key, value in thing.items())
    elif isinstance(thing, set | frozenset):
        _put(record, name, " ".join(sorted(map(repr, thing))))
    elif isinstance(thing, tuple | list):
        fields = getattr(thing, "_fields", range(len(thing)))
        if not fields or not all(map(_is_plain, thing)):
            _put(record, name, f"{len(thing)} entries")
            yield from ((f"{name}.{field}", value) for field, value in zip(fields, thing, strict=True))
        else:
            _put(record, name, repr(tuple(thing)))
    elif callable(thing) and hasattr(thing, "__name__"):  # of C: no source
        _put(record, name, _name(thing))
    else:
        yield f"{name} is", type(thing)
        yield from ((f"{name}.{field}", value) for field, value in _fields(thing))


def _function_parts(function: FunctionType, record: dict[str, str]) -> Iterator[tuple[str, Any]]:
    name, code = _name(function), function.__code__
    for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"{name}.{variable}", cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    if hasattr(function, "__wrapped__"):
        yield f"{name}.__wrapped__", function.__wrapped__
    if _is_library(code.co_filename, function.__globals__):
        return
    _put(record, name, _hash(_function_source(code) or _bytecode(code)))
    for given in ("__defaults__", "__kwdefaults__"):
        if getattr(function, given):
            yield f"{name}.{given}", getattr(function, given)
    names, known = dict.fromkeys(_names(code)), function.__globals__
    for used in names:
        if used not in known:
            continue
        yield used, known[used]
        if isinstance(known[used], ModuleType) and not _is_library(getattr(known[used], "__file__", None) or "", {}):
            inside = vars(known[used])
            yield from ((f"{used}.{part}", inside[part]) for part in names if part in inside)


def _class_parts(cls: type, record: dict[str, str]) -> Iterator[tuple[str, Any]]:
    try:
        file = inspect.getfile(cls)
        text = "" if _is_library(file, {}) else inspect.getsource(cls)
    except (OSError, TypeError):  # of C, or without a file
        file = text = ""
    if not text:
        return
    _put(record, _name(cls), _hash(_normalized(ast.parse(inspect.cleandoc("\n" + text)))))
    for member, value in vars(cls).items():
        function = inspect.unwrap(value) if callable(value) else getattr(value, "fget", None) or value
        if isinstance(value, classmethod | staticmethod):
            function = value.__func__
        if isinstance(function, FunctionType) and function.__code__.co_filename == file:
            yield member, function
    yield from ((base.__name__, base) for base in cls.__mro__[1:-1])


def _fields(thing: Any) -> Iterator[tuple[str, Any]]:
    """What an object consists of: the fields of a dataclass, or the attributes of an object of the user's own class."""
    if dataclasses.is_dataclass(thing):
        names: Any = [field.name for field in dataclasses.fields(thing)]
    else:
        names = sorted(getattr(thing, "__dict__", ())) if _is_of_user(type(thing)) else ()
    yield from ((name, getattr(thing, name)) for name in names if hasattr(thing, name))


def _is_of_user(cls: type) -> bool:
    try:
        return not _is_library(inspect.getfile(cls), {})
    except (OSError, TypeError):
        return False


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | None)


def _is_library(file: str, namespace: dict[str, Any]) -> bool:
    """Is this the file of a library, or of none? Generated code belongs to the file of its namespace."""
    if file.startswith("<"):
        file = str(namespace.get("__file__", file))
    return not file or file.startswith(_LIBRARY) or not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', None)}:{getattr(thing, '__qualname__', thing.__name__)}"


def _put(record: dict[str, str], name: str, value: str) -> None:
    """Adds an entry; another thing of the same name gets a number."""
    value = value if len(value) <= _LONGEST or len(value) == 64 else _hash(value)
    key, number = name, 1
    while key in record and record[key] != value:
        number += 1
        key = f"{name} ({number})"
    record[key] = value


def _hash(text: str, array: np.ndarray | None = None) -> str:
    numbers = b"" if array is None else np.ascontiguousarray(array).tobytes()
    return hashlib.sha256(text.encode() + numbers).hexdigest()


def _names(code: CodeType) -> Iterator[str]:
    """Global names and attributes in a function and in the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _bytecode(code: CodeType) -> str:
    inside = [_bytecode(value) if isinstance(value, CodeType) else repr(value) for value in code.co_consts]
    return repr((code.co_code, code.co_names, inside))


def _function_source(code: CodeType) -> str:
    """The normalized source of a function or lambda; empty where there is none."""
    linecache.checkcache(code.co_filename)
    tree = _parsed("".join(linecache.getlines(code.co_filename)))
    kind = ast.Lambda if code.co_name == "<lambda>" else ast.FunctionDef | ast.AsyncFunctionDef
    found: list[Any] = [
        node
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, kind) and _first_line(node) == code.co_firstlineno
    ]
    if len(found) > 1:  # lambdas in one line: the one whose body returns
        places = set(code.co_positions())
        ends = ("lineno", "end_lineno", "col_offset", "end_col_offset")
        named = [
            node for node in found if tuple(getattr(getattr(node, "body", node), end, 0) for end in ends) in places
        ]
        found = named or found
    return "\n".join(_normalized(node) for node in found)


def _first_line(node: Any) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except SyntaxError:
        return None


def _normalized(node: ast.AST) -> str:
    """The code without comments, docstrings and layout."""
    copy = ast.parse(ast.unparse(node))
    for inner in ast.walk(copy):
        body = getattr(inner, "body", None)
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(inner):
            inner.body = body[1:] or [ast.Pass()]  # type: ignore[index]
    return ast.unparse(copy)
