"""Tables of the evidence pages, from the package's own records."""

from pathlib import Path

from gallery import write

import deepinit as di


def coverage_page() -> str:
    """Layers by routes."""
    table = di.coverage()
    head = "| layer | " + " | ".join(table.routes) + " |\n"
    line = "|---" * (len(table.routes) + 1) + "|\n"
    rows = "".join(
        f"| `{kind}` | " + " | ".join(cells) + " |\n" for kind, cells in table.kinds.items()
    )
    text = (
        "# Coverage\n\nWhich kinds of layers have rules on which route. `expanded`: read as the "
        "layers that it consists of.\n\n"
    )
    return text + head + line + rows


def build(app) -> None:
    """Write the pages."""
    folder = Path(app.srcdir) / "evidence"
    folder.mkdir(exist_ok=True)
    write(folder / "coverage.md", coverage_page())


def setup(app):
    """Sphinx's hook."""
    app.connect("builder-inited", build)
    return {"parallel_read_safe": True}
