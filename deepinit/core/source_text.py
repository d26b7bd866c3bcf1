"""Source of functions and classes, without comments, docstrings and layout."""

import ast
import dis
import functools
import inspect
import linecache
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

_PACKAGE = Path(__file__).parents[1]
_LIBRARY = (str(_PACKAGE), sysconfig.get_paths()["stdlib"])
_EXPERIMENTS = str(_PACKAGE / "experiments")  # of a wheel: user code, as in a checkout


def is_library(file: str, namespace: dict[str, Any]) -> bool:
    """Whether a file is a library's, or none; generated code by its namespace's file."""
    if file.startswith("<"):
        file = str(namespace.get("__file__", file))
    if file.startswith(_EXPERIMENTS):
        return False
    in_packages = not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)
    return not file or file.startswith(_LIBRARY) or in_packages


def function_text(code: CodeType) -> str:
    """Normalized source of a function or lambda, else its bytecode."""
    linecache.checkcache(code.co_filename)
    tree = _parsed("".join(linecache.getlines(code.co_filename)))
    kind = ast.Lambda if code.co_name == "<lambda>" else ast.FunctionDef | ast.AsyncFunctionDef
    nodes: list[Any] = [
        node
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, kind) and _first_line(node) == code.co_firstlineno
    ]
    if len(nodes) > 1:  # several lambdas in one line
        positions = set(code.co_positions())
        ends = ("lineno", "end_lineno", "col_offset", "end_col_offset")
        body_of = lambda node: getattr(node, "body", node)
        place = lambda node: tuple(getattr(body_of(node), end, 0) for end in ends)
        nodes = [node for node in nodes if place(node) in positions] or nodes
    return "\n".join(_normalized(node) for node in nodes) or _bytecode(code)


def class_text(cls: type) -> str:
    """Normalized source of a class, or ""."""
    try:
        return _normalized(ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls))))
    except (OSError, TypeError, SyntaxError):
        return ""


def names_in(code: CodeType) -> Iterator[str]:
    """Global names and attributes in a function, inner functions included."""
    yield from code.co_names
    for inner in _inner(code):
        yield from names_in(inner)


def imports_in(code: CodeType) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(module, names) of imports in a function; `.module` is relative."""
    before: list[Any] = [None, None]
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            level, names = before
            yield "." * (level or 0) + instruction.argval, tuple(names or ())
        before = [before[1], instruction.argval]
    for inner in _inner(code):
        yield from imports_in(inner)


def _inner(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def _bytecode(code: CodeType) -> str:
    def text(constant: Any) -> str:
        if isinstance(constant, CodeType):
            return _bytecode(constant)
        # the order of a set depends on the process
        is_set = isinstance(constant, frozenset)
        return repr(sorted(map(repr, constant))) if is_set else repr(constant)

    return repr((code.co_code, code.co_names, [text(constant) for constant in code.co_consts]))


def _first_line(node: Any) -> int:
    decorators = getattr(node, "decorator_list", ())
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except SyntaxError:
        return None


def _normalized(node: ast.AST) -> str:
    copy = ast.parse(ast.unparse(node))
    documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for inner in ast.walk(copy):
        if isinstance(inner, documented) and ast.get_docstring(inner) is not None:
            inner.body = inner.body[1:] or [ast.Pass()]
    return ast.unparse(copy)
