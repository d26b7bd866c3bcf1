"""Source records: a user's function, class or object outside of libraries.

Flat dict, path -> text: hashes of sources and arrays, constants, names of library objects.
Independent of the process (addresses, order of sets).
"""

import copyreg
import dataclasses
import functools
import hashlib
import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from deepinit.core.source_text import class_text, function_text, imports_in, is_library, names_in

_LONGEST, _MOST = 80, 100  # characters of a constant, and entries of a container, that are shown
_RULES = ("jvp", "fwd", "bwd")  # of jax.custom_jvp and jax.custom_vjp
# of properties, cached ones, partial methods, classmethods
_WRAPPED = ("fget", "fset", "func", "__func__")

Parts = Iterator[tuple[str, Any]]
Record = dict[str, str]


def source_record(thing: Any, name: str = "it") -> Record:
    """Source of a function, class or object and of all that its code names; `name` starts its path.

    Includes closures, defaults, decorators, partials, methods, fields, containers, globals and
    imported own modules. Library code counts by name and closures (an optax learning rate), code
    without source by bytecode; comments, docstrings and layout do not count. Names made at run time
    (`getattr`, files, the environment) are not seen.
    """
    record: Record = {}
    _visit(thing, name, record, {})
    return record


def _visit(thing: Any, name: str, record: Record, seen: dict[int, tuple[str, str, Any]]) -> None:
    """Add the parts of `thing` at `name`."""
    if isinstance(thing, bool | int | float | complex | str | bytes | None):
        _put(record, name, repr(thing))
    elif id(thing) in seen:
        path, reference, _ = seen[id(thing)]
        if path != name:
            _put(record, name, reference)
    else:
        reference = _reference(thing, name, record)
        seen[id(thing)] = name, reference, thing  # a reference, so that its id stays unique
        for part_name, part in _parts(thing, name, record):
            _visit(part, part_name, record, seen)


def _reference(thing: Any, name: str, record: Record) -> str:
    """Record a function or class once; return the text for other paths."""
    if not isinstance(thing, FunctionType | type):
        return f"as {name}"
    own = _name(thing)
    if isinstance(thing, FunctionType) and not _is_of_library(thing):
        own = _put(record, own, _hash(function_text(thing.__code__)))
    elif isinstance(thing, type) and _is_of_user(thing):
        own = _put(record, own, _hash(class_text(thing)))
    if name != _name(thing):
        _put(record, name, own)
    has_parts_here = isinstance(thing, FunctionType) and (thing.__closure__ or thing.__dict__)
    return f"as {name}" if has_parts_here else own


def _parts(thing: Any, name: str, record: Record) -> Parts:
    """Record `thing` itself; yield its parts."""
    if isinstance(thing, FunctionType):
        yield from _function_parts(thing, name)
    elif isinstance(thing, type):
        yield from _class_parts(thing) if _is_of_user(thing) else ()
    elif isinstance(thing, ModuleType):
        _put(record, name, thing.__name__)
    elif isinstance(thing, np.generic | np.ndarray) or hasattr(thing, "__array__"):
        yield from _array_parts(thing, name, record)
    elif isinstance(thing, MethodType):
        yield from ((name, thing.__func__), (f"{name}.__self__", thing.__self__))
    elif isinstance(thing, functools.partial):
        yield name, thing.func
        yield from ((f"{name}.{part}", getattr(thing, part)) for part in ("args", "keywords"))
    elif isinstance(thing, set | frozenset):
        _put(record, name, " ".join(sorted(map(_alone, thing))))
    elif isinstance(thing, Mapping):
        entries = [(f"{name}[{_plain_repr(key)}]", value) for key, value in thing.items()]
        yield from _entries(entries, name, record)
    elif isinstance(thing, tuple | list):
        if thing and all(isinstance(value, bool | int | float | str | None) for value in thing):
            _put(record, name, repr(tuple(thing)))
        else:
            fields = getattr(thing, "_fields", range(len(thing)))
            pairs = zip(fields, thing, strict=True)
            yield from _entries(
                [(f"{name}.{field}", value) for field, value in pairs], name, record
            )
    elif not _is_of_user(type(thing)) and callable(thing) and hasattr(thing, "__wrapped__"):
        yield name, thing.__wrapped__  # jit, custom_jvp
        rules = [rule for rule in _RULES if hasattr(thing, rule)]
        yield from ((f"{name}.{rule}", getattr(thing, rule)) for rule in rules)
    elif callable(thing) and hasattr(thing, "__name__") and not hasattr(thing, "__dict__"):
        _put(record, name, _name(thing))  # of C: no source
        is_builtin = isinstance(thing, BuiltinFunctionType)
        if is_builtin and not isinstance(thing.__self__, ModuleType | None):
            yield f"{name}.__self__", thing.__self__
    else:
        yield f"{name} is", type(thing)
        yield from ((f"{name}.{field}", value) for field, value in _fields(thing))


def _entries(entries: list[tuple[str, Any]], name: str, record: Record) -> Parts:
    """Entries of a container, hashed if large."""
    if len(entries) <= _MOST:
        _put(record, name, f"{len(entries)} entries")
        yield from entries
    else:
        _put(record, name, _hash(" ".join(f"{path}: {_alone(value)}" for path, value in entries)))


def _array_parts(thing: Any, name: str, record: Record) -> Parts:
    try:
        array = np.asarray(thing)
    except Exception:  # noqa: BLE001 - keys of jax.random, and other arrays without numbers
        yield f"{name} is", type(thing)
        if hasattr(thing, "_base_array"):
            yield f"{name}.bits", thing._base_array
        return
    if array.dtype.hasobject:
        yield name, array.tolist()
    elif array.ndim == 0:
        _put(record, name, repr(array.item()))
    else:
        _put(record, name, _hash(f"{array.shape} {array.dtype}", array))


def _function_parts(function: FunctionType, name: str) -> Parts:
    code, namespace = function.__code__, function.__globals__
    for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"{name}.{variable}", cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    if hasattr(function, "__wrapped__"):
        yield f"{name}.__wrapped__", function.__wrapped__
    if _is_of_library(function):
        return
    defaults = [part for part in ("__defaults__", "__kwdefaults__") if getattr(function, part)]
    yield from ((f"{name}.{part}", getattr(function, part)) for part in defaults)
    attributes = {key: value for key, value in vars(function).items() if key != "__wrapped__"}
    yield from ((f"{name}.{key}", value) for key, value in attributes.items())
    names = tuple(dict.fromkeys(names_in(code)))
    used = {name: namespace[name] for name in names if name in namespace}
    modules = [value for value in used.values() if isinstance(value, ModuleType)]
    yield from ((f"{namespace.get('__name__')}:{name}", value) for name, value in used.items())
    for module in (*modules, *_imported(function)):
        yield from _module_parts(module, names)


def _module_parts(module: ModuleType, names: tuple[str, ...]) -> Parts:
    """Named objects of a user's module and its inner modules."""
    if is_library(getattr(module, "__file__", None) or "", {}):
        return
    inside = vars(module)
    for part in (name for name in names if name in inside):
        if isinstance(inside[part], ModuleType):
            yield from _module_parts(inside[part], tuple(name for name in names if name != part))
        else:
            yield f"{module.__name__}:{part}", inside[part]


def _imported(function: FunctionType) -> Iterator[ModuleType]:
    """Own modules imported inside a function."""
    package = function.__globals__.get("__package__") or ""
    for name, taken in imports_in(function.__code__):
        parent = f"{name.rstrip('.')}." if name.strip(".") else name
        for wanted in (name, *(parent + part for part in taken)):
            try:
                full = importlib.util.resolve_name(wanted, package)
                module = sys.modules.get(full) or importlib.util.find_spec(full)
                file = getattr(module, "__file__", None) or getattr(module, "origin", None) or ""
                if module is not None and file.endswith(".py") and not is_library(file, {}):
                    yield importlib.import_module(full)
            except Exception:  # noqa: BLE001 - a failing import is reported where it is executed
                continue


def _class_parts(cls: type) -> Parts:
    own = _name(cls)
    for member, value in vars(cls).items():
        functions = [value, *(getattr(value, way) for way in _WRAPPED if hasattr(value, way))]
        methods = [inner for given in functions if (inner := _unwrapped(given)) is not None]
        own_methods = [method for method in methods if not _is_of_library(method)]
        yield from ((f"{own}.{member}", method) for method in own_methods)
        if not methods and not member.startswith("__") and not hasattr(value, "__get__"):
            yield f"{own}.{member}", value
    yield from ((f"{own} from {base.__name__}", base) for base in cls.__mro__[1:-1])


def _unwrapped(value: Any) -> FunctionType | None:
    """The function in a decorated one."""
    while not isinstance(value, type) and hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return value if isinstance(value, FunctionType) else None


def _fields(thing: Any) -> Parts:
    """Attributes, or the parts that the library pickles."""
    is_dataclass = dataclasses.is_dataclass(thing)
    fields = [field.name for field in dataclasses.fields(thing)] if is_dataclass else []
    if _is_of_user(type(thing)):
        slots = [name for base in type(thing).__mro__ for name in _slots(base)]
        others = [*slots, *sorted(getattr(thing, "__dict__", ()))]
        if fields:  # further private attributes are the library's, as in flax modules
            others = [name for name in others if not name.startswith("_")]
        names = dict.fromkeys([*fields, *others])
        yield from ((name, getattr(thing, name)) for name in names if hasattr(thing, name))
    elif fields:
        names = dict.fromkeys(name for name in fields if name != "_chosen")
        yield from ((name, getattr(thing, name)) for name in names if hasattr(thing, name))
    else:
        yield from _pickled(thing)


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _pickled(thing: Any) -> Parts:
    try:
        reduce = copyreg.dispatch_table.get(type(thing))
        reduced = thing.__reduce_ex__(4) if reduce is None else reduce(thing)
    except Exception:  # noqa: BLE001 - no pickle: locks, files, objects of C
        return
    if isinstance(reduced, str):
        yield "name", reduced
        return
    _, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    contents = (arguments, state, items and list(items), pairs and dict(pairs))
    named = zip(("arguments", "state", "items", "pairs"), contents, strict=True)
    yield from ((part, value) for part, value in named if value)


def _is_of_library(function: FunctionType) -> bool:
    return is_library(function.__code__.co_filename, function.__globals__)


def _is_of_user(cls: type) -> bool:
    """Whether a class is the user's; without a file, by its methods."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file:
        return not is_library(file, {})
    methods = (value for value in vars(cls).values() if isinstance(value, FunctionType))
    return any(not _is_of_library(method) for method in methods)


def _name(thing: Any) -> str:
    """`module:name`; of functions from code, as `functools.wraps` renames."""
    if isinstance(thing, FunctionType):
        return f"{thing.__globals__.get('__name__')}:{thing.__code__.co_qualname}"
    own = getattr(thing, "__qualname__", None) or thing.__name__
    return f"{getattr(thing, '__module__', None)}:{own}"


def _alone(thing: Any) -> str:
    """Record of a container's part as text."""
    return json.dumps(source_record(thing), sort_keys=True)


def _plain_repr(key: Any) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(key))


def _put(record: Record, name: str, value: str) -> str:
    """Add an entry and return its key; equal names are numbered."""
    value = value if len(value) <= _LONGEST or len(value) == 64 else _hash(value)
    key, number = name, 1
    while key in record and record[key] != value:
        number += 1
        key = f"{name} ({number})"
    record[key] = value
    return key


def _hash(text: str, array: np.ndarray | None = None) -> str:
    numbers = b"" if array is None else np.ascontiguousarray(array).tobytes()
    return hashlib.sha256(text.encode() + numbers).hexdigest()
