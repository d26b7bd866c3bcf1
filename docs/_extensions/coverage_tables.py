"""Pages of evidence, from the package's own records."""

from pathlib import Path

import evidence_accuracy
import evidence_benchmarks
import evidence_study
from gallery import write

import deepinit as di
from deepinit.plots.style import to_png


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
    results = Path(__file__).parents[2] / "benchmarks" / "results"
    records = evidence_accuracy.read(folder / "z.json")
    write(folder / "accuracy.md", evidence_accuracy.page(records))
    (folder / "accuracy.png").write_bytes(to_png(evidence_accuracy.figure(records)))
    (folder / "power.png").write_bytes(to_png(evidence_accuracy.power_figure(records)))
    write(folder / "coverage.md", coverage_page())
    write(folder / "benchmarks.md", evidence_benchmarks.page(results))
    for name, content in evidence_benchmarks.pictures(results).items():
        (folder / name).write_bytes(content)
    write(folder / "trainability.md", evidence_study.page())


def setup(app):
    """Sphinx's hook."""
    app.connect("builder-inited", build)
    return {"parallel_read_safe": True}
