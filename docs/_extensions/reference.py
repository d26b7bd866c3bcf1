"""The reference: a page for every part, from signatures and docstrings."""

import importlib
import inspect
import re
from pathlib import Path

from gallery import write

import deepinit as di

PARTS = {
    "routes": (
        "Routes and results",
        [
            "simulate",
            "predict",
            "infinite",
            "compare",
            "Estimate",
            "Prediction",
            "Comparison",
            "compare_widths",
            "WidthComparison",
            "width_for",
            "WidthFor",
            "covariance",
            "Covariance",
            "kernels",
            "coverage",
            "use_all_cores",
            "neural_tangents",
            "Sweep",
            "SweepResult",
            "use_compile_cache",
            "clear_programs",
        ],
    ),
    "networks": (
        "Networks",
        [
            "MLP",
            "ResNet",
            "ConvResNet",
            "Network",
            "network",
            "from_linen",
            "from_nnx",
            "from_equinox",
            "from_haiku",
            "batch_network",
            "read_layers",
            "annotate",
            "Annotation",
            "spec_from_json",
            "TrainingConfig",
        ],
    ),
    "diagnosis": (
        "Diagnosis",
        [
            "diagnose",
            "Diagnosis",
            "scaling_check",
            "ScalingCheck",
            "calibrate",
            "max_depth",
            "DepthLimit",
            "precision_limits",
            "PrecisionLimit",
        ],
    ),
    "deferral": ("Functions without their matrices", ["deferred", "explain", "taps"]),
    "laws": (
        "Laws",
        [
            "Law",
            "normal",
            "truncated_normal",
            "uniform",
            "orthogonal",
            "sparse",
            "constant",
            "MatrixLaw",
            "gaussian_matrix",
            "matrix_normal",
            "vector_normal",
            "critical",
            "Critical",
        ],
    ),
}
MODULES = {
    "quantities": "Quantities",
    "inputs": "Inputs",
    "frames": "Frames of tangents",
    "curves": "Curves",
    "init": "Initializations by their names",
    "targets": "Targets of training",
    "layers": "Layers",
    "zoo": "Published networks",
    "plots": "Plots",
    "theory": "Theories",
    "inference": "Inference with kernels",
    "training": "Training",
    "diffusions": "Diffusions",
}


def entry(name: str, value: object, level: int = 2) -> str:
    """Signature and docstring as Markdown."""
    heading = f"{'#' * level} `{name}`\n\n"
    if inspect.ismodule(value):
        return heading + text_of(inspect.getdoc(value)) + "\n\n"
    try:
        shown = f"```python\n{name.rpartition('.')[2]}{_signature(value)}\n```\n\n"
    except (TypeError, ValueError):
        shown = ""
    documented = value if callable(value) else type(value)
    docs = getattr(value, "__doc__", None) if not callable(value) else inspect.getdoc(documented)
    return heading + shown + text_of(docs) + "\n\n"


def _signature(value: object) -> str:
    """Without the package's prefixes; long ones a line for every parameter."""
    text = re.sub(r"\b(?:deepinit|jax|numpy|collections|typing)(?:\.\w+)*\.", "", _full(value))
    if len(text) < 90:
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
    """Docstring in a block that keeps its layout."""
    if not docstring:
        return "*No description.*"
    first, _, rest = inspect.cleandoc(docstring).partition("\n")
    return f"{first}\n\n```text\n{rest.strip()}\n```" if rest.strip() else first


def part_page(title: str, names: list[str]) -> str:
    """A page of public names of `deepinit`."""
    return f"# {title}\n\n" + "".join(entry(f"di.{name}", getattr(di, name)) for name in names)


def module_page(name: str, title: str) -> str:
    """A page of a public module."""
    module = getattr(di, name)
    text = f"# {title}: `di.{name}`\n\n{text_of(inspect.getdoc(module))}\n\n"
    return text + "".join(
        entry(f"di.{name}.{each}", getattr(module, each)) for each in public(module)
    )


def public(module: object) -> list[str]:
    """Names that a module lists, or defines."""
    listed = getattr(module, "__all__", None)
    if listed is None:
        listed = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
        ]
    return sorted(listed)


def undocumented() -> list[str]:
    """Public names of `deepinit` on no page."""
    shown = {name for _, names in PARTS.values() for name in names} | set(MODULES)
    activations = {name for name in di.__all__ if isinstance(getattr(di, name), di.Activation)}
    return sorted(set(di.__all__) - shown - activations - ACTIVATIONS - {"Quantity"})


ACTIVATIONS = {"Activation", "from_function", "leaky_relu", "elu", "celu", "rounded", "stored"}


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
    pages |= {name: module_page(name, title) for name, title in MODULES.items()}
    pages |= {"activations": activation_page(), "quantities": quantity_page()}
    names = [*PARTS, "activations", *MODULES]
    toctree = "\n".join(names)
    intro = "# Reference\n\nEvery public name, from its docstring.\n\n"
    write(folder / "index.md", f"{intro}```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n")
    for name, text in pages.items():
        write(folder / f"{name}.md", text)
    if missing := undocumented():
        raise ValueError(f"public names on no page of the reference: {', '.join(missing)}")


def setup(app):
    """Sphinx's hook."""
    app.connect("builder-inited", build)
    return {"parallel_read_safe": True}
