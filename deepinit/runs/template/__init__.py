"""The experiment that `deepinit new` writes."""

import keyword
from pathlib import Path

from deepinit.core.errors import ConflictError, SpecError

_FILES = Path(__file__).parent / "experiment"
_NAME = "my_experiment"


def write_experiment(name: str, folder: Path = Path()) -> Path:
    """Copy the template to `folder / name`.

    Raises SpecError: not a name of a package. ConflictError: the folder exists.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        allowed = "letters, digits and underscores, not beginning with a digit"
        raise SpecError(f"the name {name!r} of an experiment", allowed, "Write my_experiment.")
    target = folder / name
    if target.exists():
        raise ConflictError(f"{target}, which exists", "a new name", "Choose another name.")
    target.mkdir(parents=True)
    for file in sorted(_FILES.glob("*.py")):
        (target / file.name).write_text(file.read_text().replace(_NAME, name))
    return target
