"""Finding and importing an experiment: a file, a package, or the name of one that deepinit ships."""

import importlib.util
import sys
from pathlib import Path

from deepinit.core.errors import SpecError, refusal
from deepinit.runs.experiment import Experiment

_PACKAGE = Path(__file__).parents[1]
SHIPPED = (_PACKAGE / "experiments", _PACKAGE.parent / "experiments")  # in a wheel, in a checkout


def shipped_names() -> list[str]:
    """Names of the experiments that deepinit ships, sorted."""
    return sorted(file.parent.name for folder in SHIPPED for file in folder.glob("*/__init__.py"))


def load_experiment(path: str) -> Experiment:
    """The `EXPERIMENT` of a Python file, of a package directory, or of a shipped experiment by name.

    Raises:
        SpecError: no such experiment, or a file without an EXPERIMENT.
    """
    file = _find(path)
    name = f"deepinit_experiment_{file.parent.name if file.name == '__init__.py' else file.stem}"
    folder = [str(file.parent)] if file.name == "__init__.py" else None  # relative imports in a package
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folder)
    if spec is None or spec.loader is None:
        raise SpecError(f"{file}, which Python cannot load", "a Python file", "Give it the ending .py.")
    if folder is None and str(file.parent) not in sys.path:  # as for `python FILE`
        sys.path.append(str(file.parent))
    for loaded in [loaded for loaded in sys.modules if loaded == name or loaded.startswith(f"{name}.")]:
        del sys.modules[loaded]
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    experiment = getattr(module, "EXPERIMENT", None)
    if not isinstance(experiment, Experiment):
        remedy = "See `deepinit list` for examples."
        raise SpecError(f"{file}, which defines no EXPERIMENT", "EXPERIMENT = Experiment(...)", remedy)
    return experiment


def _find(path: str) -> Path:
    given = Path(path)
    for file in (given, given / "__init__.py"):
        if file.is_file():
            return file.resolve()
    name = given.parent.name if given.name == "__init__.py" else given.stem
    if given.suffix in ("", ".py") and str(given.parent) in (".", "experiments", f"experiments/{name}"):
        for folder in SHIPPED:
            if (folder / name / "__init__.py").is_file():
                return folder / name / "__init__.py"
    raise SpecError(
        f"the experiment {path!r}, which is no file",
            f"a Python file or package that defines EXPERIMENT, or a name: {', '.join(shipped_names())}",
            "Check the path."
    )
