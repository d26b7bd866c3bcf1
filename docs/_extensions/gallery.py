"""The gallery: one page an example, its code and the figure that the code draws.

An example is a file of `gallery/examples`: a docstring (title, a blank line, what to see), at most
15 lines of code that end with a figure called `fig`.
"""

import ast
import hashlib
import runpy
from pathlib import Path
from typing import NamedTuple

MOST_LINES = 15


class Example(NamedTuple):
    """`section`: the part of the name before the first underscore."""

    name: str
    title: str
    text: str
    code: str

    @property
    def section(self) -> str:
        """Heading on the gallery's page."""
        return self.name.partition("_")[0]


SECTIONS = {
    "angles": "Angles that vanish",
    "lengths": "Lengths and volumes",
    "cutoff": "Deep limits and cut-off",
    "resnets": "Residual networks",
    "condensation": "Condensation",
    "kernels": "Kernels at finite width",
    "layers": "Transformers and other networks of layers",
    "training": "Will it train?",
}


def read(file: Path) -> Example:
    """An example; ValueError with more than MOST_LINES lines of code."""
    source = file.read_text()
    docstring = ast.get_docstring(ast.parse(source)) or ""
    title, _, text = docstring.partition("\n")
    code = source.partition('"""')[2].partition('"""')[2].strip()
    lines = [line for line in code.splitlines() if line.strip()]
    if not title or not text.strip() or len(lines) > MOST_LINES:
        allowed = f"a title, a text, at most {MOST_LINES} lines of code"
        raise ValueError(f"{file.name}: {len(lines)} lines, title {title!r}; allowed: {allowed}")
    return Example(file.stem, title.rstrip("."), text.strip(), code)


def examples(folder: Path) -> list[Example]:
    """All, by section."""
    order = list(SECTIONS)
    found = [read(file) for file in sorted((folder / "examples").glob("*.py"))]
    return sorted(found, key=lambda example: order.index(example.section))


def draw(file: Path, picture: Path) -> None:
    """Run an example and save its figure; nothing if the source has not changed."""
    mark, digest = picture.with_suffix(".sha256"), hashlib.sha256(file.read_bytes()).hexdigest()
    if picture.exists() and mark.exists() and mark.read_text() == digest:
        return
    try:
        figure = runpy.run_path(str(file))["fig"]
    except Exception as error:
        raise RuntimeError(f"gallery/examples/{file.name}: {error}") from error
    figure.savefig(picture, dpi=150)
    mark.write_text(digest)


def page(example: Example) -> str:
    """The page of an example."""
    return (
        f"# {example.title}\n\n{example.text}\n\n"
        f"![{example.title}](pictures/{example.name}.png)\n\n"
        f"```python\n{example.code}\n```\n"
    )


def index(found: list[Example]) -> str:
    """The page of cards."""
    parts = [
        "# Gallery\n\nEvery figure comes from at most fifteen lines of code. Choose one to read "
        "them.\n"
    ]
    for section, heading in SECTIONS.items():
        cards = "".join(
            f":::{{grid-item-card}} {example.title}\n:img-top: pictures/{example.name}.png\n"
            f":link: {example.name}\n:link-type: doc\n:::\n"
            for example in found
            if example.section == section
        )
        if cards:
            parts.append(f"## {heading}\n\n::::{{grid}} 1 2 3 3\n:gutter: 3\n{cards}::::\n")
    names = "\n".join(example.name for example in found)
    parts.append(f"```{{toctree}}\n:hidden:\n\n{names}\n```\n")
    return "\n".join(parts)


def build(app) -> None:
    """Write pictures and pages before Sphinx reads them."""
    folder = Path(app.srcdir) / "gallery"
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    found = examples(folder)
    for example in found:
        draw(folder / "examples" / f"{example.name}.py", pictures / f"{example.name}.png")
        write(folder / f"{example.name}.md", page(example))
    write(folder / "index.md", index(found))


def write(file: Path, text: str) -> None:
    """Write only what changes, so that Sphinx builds only that."""
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def setup(app):
    """Sphinx's hook."""
    app.connect("builder-inited", build)
    return {"parallel_read_safe": True}
