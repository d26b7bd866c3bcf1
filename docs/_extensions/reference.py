"""The reference: a page for every part, from signatures and docstrings."""

import functools
import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

from docstrings import markdown
from gallery import write
from reference_parts import ACTIVATIONS, ALIASES, MODULES, PARTS

import deepinit as di

MOST = 72  # characters of a line of a signature


def entry(name: str, value: object, shown: str = "") -> str:
    """Heading, signature and docstring as Markdown; `shown`: a shorter name."""
    short = name.rpartition(".")[2]
    try:
        signature = f"```python\n{short}{_signature(value, MOST - len(short))}\n```\n\n"
    except (TypeError, ValueError):
        signature = ""
    return f"## `{shown or name}`\n\n{signature}{text_of(docstring(name, value))}\n\n"


def docstring(name: str, value: object) -> str | None:
    """Of a function, class or module, or of the type of a value; of an alias its own text."""
    if name in ALIASES:
        return ALIASES[name]
    text = inspect.getdoc(value if callable(value) or inspect.ismodule(value) else type(value))
    own = text and not text.startswith(f"{getattr(value, '__name__', '')}(")  # not a dataclass's
    return text if own else None


def _signature(value: object, most: int) -> str:
    """Without the package's prefixes; long ones a line for every parameter."""
    text = re.sub(r"\b(?:deepinit|jax|numpy|collections|typing)(?:\.\w+)*\.", "", _full(value))
    if len(text) < most:
        return text
    inside, _, result = text[1:].rpartition(")")
    depth, parts, part = 0, [], ""
    for character in inside:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts, part = [*parts, part.strip()], ""
        else:
            part += character
    lines = ",\n    ".join([*parts, part.strip()])
    return f"(\n    {lines},\n){result}"


def _full(value: object) -> str:
    return str(inspect.signature(value))  # type: ignore[arg-type]


def text_of(docstring: str | None) -> str:
    """Docstring as Markdown."""
    return markdown(docstring) if docstring else "*No description.*"


def part_page(title: str, names: list[str]) -> str:
    """A page of public names of `deepinit`."""
    return f"# {title}\n\n" + "".join(entry(f"di.{name}", getattr(di, name)) for name in names)


def module_page(name: str, title: str) -> str:
    """A page of a public module."""
    module = module_of(name)
    text = f"# {title}: `di.{name}`\n\n{text_of(inspect.getdoc(module))}\n\n"
    return text + "".join(
        entry(f"di.{name}.{each}", getattr(module, each), shown=each) for each in public(module)
    )


def module_of(name: str) -> ModuleType:
    """`theory.angles` of `deepinit`."""
    return functools.reduce(getattr, name.split("."), di)  # type: ignore[arg-type]


def public(module: ModuleType) -> list[str]:
    """Names that a module lists; else those that it or its parts define."""
    listed = getattr(module, "__all__", None)
    if listed is None:
        own = (module.__name__, f"{module.__name__}.")
        listed = [
            name
            for name in dir(module)
            if not name.startswith("_")
            and f"{getattr(getattr(module, name), '__module__', '')}.".startswith(own)
        ]
    return sorted(listed)


def on_pages() -> dict[str, object]:
    """Full name -> value, of all pages."""
    found = {name: getattr(di, name) for _, names in PARTS.values() for name in names}
    found |= {name: getattr(di, name) for name in (*ACTIVATIONS, "Quantity")}
    for name in MODULES:
        found |= {
            f"{name}.{each}": getattr(module_of(name), each) for each in public(module_of(name))
        }
    return found


def undocumented() -> list[str]:
    """Public names on no page, or without a description."""
    found = on_pages()
    activations = {name for name in di.__all__ if isinstance(getattr(di, name), di.Activation)}
    pages = {name.partition(".")[0] for name in MODULES}
    missing = set(di.__all__) - found.keys() - activations - pages
    silent = {name for name, value in found.items() if not docstring(f"di.{name}", value)}
    return sorted(missing | silent)


def activation_page() -> str:
    """Activations and what makes them."""
    builtin = [name for name in sorted(di.__all__) if isinstance(getattr(di, name), di.Activation)]
    rows = "".join(f"- `di.{name}`\n" for name in builtin)
    made = "".join(entry(f"di.{name}", getattr(di, name)) for name in sorted(ACTIVATIONS))
    return f"# Activations\n\nBuilt in:\n\n{rows}\n{made}"


def quantity_page() -> str:
    """Quantities with their theories."""
    module = importlib.import_module("deepinit.quantities")
    rows = "".join(
        f"| `{name}` | {type(quantity.measurement).__name__.lower()} | "
        f"{', '.join(theory.name for theory in quantity.theories) or '-'} |\n"
        for name, quantity in module.BUILTIN.items()
    )
    return (
        f"# Quantities: `di.quantities`\n\n{text_of(inspect.getdoc(module))}\n\n"
        f"| quantity | measured in | theories |\n|---|---|---|\n{rows}\n"
        + entry("di.Quantity", di.Quantity)
    )


def build(app) -> None:
    """Write the pages."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    pages = {name: part_page(*part) for name, part in PARTS.items()}
    pages |= {name.replace(".", "_"): module_page(name, title) for name, title in MODULES.items()}
    pages |= {"activations": activation_page(), "quantities": quantity_page()}
    toctree = "\n".join([*PARTS, "activations", *(name.replace(".", "_") for name in MODULES)])
    intro = "# Reference\n\nEvery public name, from its docstring.\n\n"
    write(folder / "index.md", f"{intro}```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n")
    for name, text in pages.items():
        write(folder / f"{name}.md", text)
    if missing := undocumented():
        raise ValueError(f"public names on no page, or without a docstring: {', '.join(missing)}")


def setup(app):
    """Sphinx's hook."""
    app.connect("builder-inited", build)
    return {"parallel_read_safe": True}
