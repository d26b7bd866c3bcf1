"""Import of experiments."""

import difflib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

from deepinit.core.errors import SpecError
from deepinit.runs.experiment import Experiment

MODULE = "deepinit_experiment"
GROUP = "deepinit.experiments"
_PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED = (_PACKAGE / "experiments", _PACKAGE.parent / "experiments")  # in a wheel, in a checkout


def shipped_names() -> list[str]:
    """Sorted names."""
    return sorted(file.parent.name for folder in SHIPPED for file in folder.glob("*/__init__.py"))


def known_names() -> list[str]:
    """Sorted names of shipped experiments and of those that installed packages register."""
    return sorted({*shipped_names(), *_registered()})


def _registered() -> dict[str, importlib.metadata.EntryPoint]:
    """Entry points `NAME = "package.module:EXPERIMENT"` of the group `deepinit.experiments`."""
    return {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}


def load_experiment(path: str) -> Experiment:
    """`EXPERIMENT` of a Python file, package directory, or known experiment; else SpecError.

    The module is always `deepinit_experiment` (shipped: `deepinit_experiment_<name>`): module names
    are part of a run's identity.
    """
    file = _find(path)
    if file is None:
        return _experiment(_registered()[path].load(), f"the entry point {path}")
    is_package = file.name == "__init__.py"
    is_shipped = is_package and file.parent.parent in SHIPPED
    name = f"{MODULE}_{file.parent.name}" if is_shipped else MODULE
    folder = [str(file.parent)] if is_package else None  # for relative imports
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folder)
    if spec is None or spec.loader is None:
        raise SpecError(f"{file}, not a Python source file", "a .py file", "Rename it to .py.")
    if not is_package and str(file.parent) not in sys.path:  # as for `python FILE`
        sys.path.append(str(file.parent))
    for loaded in list(sys.modules):
        if loaded == name or loaded.startswith(f"{name}."):
            del sys.modules[loaded]
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module by name
    spec.loader.exec_module(module)
    return _experiment(getattr(module, "EXPERIMENT", None), str(file))


def _experiment(found: object, where: str) -> Experiment:
    if not isinstance(found, Experiment):
        remedy = "`deepinit new NAME` writes an example."
        raise SpecError(f"{where} without EXPERIMENT", "EXPERIMENT = Experiment(...)", remedy)
    return found


def _find(path: str) -> Path | None:
    """The file; None for a registered name."""
    given = Path(path)
    for file in (given, given / "__init__.py"):
        if file.is_file():
            return file.resolve()
    name = given.parent.name if given.name == "__init__.py" else given.stem
    folders = (".", "experiments", f"experiments/{name}")
    if given.suffix in ("", ".py") and str(given.parent) in folders:
        for folder in SHIPPED:
            if (folder / name / "__init__.py").is_file():
                return folder / name / "__init__.py"
    if path in _registered():
        return None
    names = known_names()
    allowed = f"a Python file or package with EXPERIMENT, or one of {', '.join(names)}"
    close = difflib.get_close_matches(name, names, 1)
    remedy = f"Did you mean {close[0]}?" if close else "`deepinit list` prints the names."
    raise SpecError(f"the experiment {path!r}, which is no file", allowed, remedy)
