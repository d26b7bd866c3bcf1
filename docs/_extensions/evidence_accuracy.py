"""The page on the accuracy of every law: histograms of z, from evidence/z.json."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.levels import THRESHOLD_SIGMA
from deepinit.plots.style import BLACK, BLUE, VERMILLION, new_figure, spaced, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = dict[str, Any]
CHECK, WRONG, COMPARED = "check", "wrong", "compared"
LEAST_SHOWN = 10  # values of z of a histogram; laws with fewer are in the table
HEAD = """# Accuracy of every law

Every theory of every experiment, held against simulation: z is measured less predicted, in standard
errors, at every layer and component where a z is judged. A law that an experiment checks must stay
below {threshold:g} everywhere. Layers of one ensemble share their networks: their z are correlated,
and a histogram of few cases may be off centre, or narrower than the normal curve.

These are the runs of {runs}. The commands that make them again:

```sh
{commands}
python docs/evidence/collect.py runs/evidence/*   # writes docs/evidence/z.json
```

"""


def read(file: Path) -> list[Record]:
    """Records of `evidence/collect.py`."""
    records: list[Record] = json.loads(file.read_text())
    return records


def laws_of(records: list[Record], role: str = CHECK) -> dict[tuple[str, str], list[Record]]:
    """(quantity, theory) -> records with this role."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record["role"] == role:
            found.setdefault((record["quantity"], record["theory"]), []).append(record)
    return dict(sorted(found.items()))


def pooled(records: list[Record]) -> np.ndarray:
    """All z of records."""
    return np.concatenate([np.asarray(record["z"], float) for record in records])


def figure(records: list[Record]) -> "Figure":
    """A histogram for every checked law with LEAST_SHOWN z or more, and the normal density."""
    laws = {law: own for law, own in laws_of(records).items() if len(pooled(own)) >= LEAST_SHOWN}
    columns = 4
    rows = -(-len(laws) // columns)
    edges = np.linspace(-THRESHOLD_SIGMA, THRESHOLD_SIGMA, 26)
    normal = np.linspace(-THRESHOLD_SIGMA, THRESHOLD_SIGMA, 201)
    with styled():
        fig = new_figure(9.0, 0.4 + 1.75 * rows)
        panels = list(fig.subplots(rows, columns, sharex=True, squeeze=False).flat)
        for axes, ((quantity, theory), own) in zip(panels, laws.items(), strict=False):
            z = pooled(own)
            axes.hist(z, edges, density=True, color=BLUE, alpha=0.75)
            axes.plot(normal, np.exp(-(normal**2) / 2) / np.sqrt(2 * np.pi), color=BLACK, lw=1)
            title = f"{spaced(quantity)}\n{spaced(theory)}: {len(z)} z"
            axes.set_title(title, fontsize=8.5)
            axes.set_yticks([])
        for axes in panels[len(laws) :]:
            axes.set_visible(False)
        for axes in panels[max(0, len(laws) - columns) : len(laws)]:
            axes.set_xlabel("z")
            axes.tick_params(labelbottom=True)
    return fig


def power_figure(records: list[Record]) -> "Figure":
    """Largest |z| of every theory that is known to be wrong, by case of experiment and quantity."""
    wrong = [record for record in records if record["role"] == WRONG]
    names = sorted({f"{spaced(r['theory'])}, {spaced(r['quantity'])}" for r in wrong})
    with styled():
        fig = new_figure(9.0, 0.9 + 0.24 * len(names))
        axes = fig.subplots()
        for record in wrong:
            place = names.index(f"{spaced(record['theory'])}, {spaced(record['quantity'])}")
            size = np.maximum(np.abs(record["z"]), 0.1)
            options = {"color": VERMILLION, "alpha": 0.35, "markersize": 3.5, "linestyle": "none"}
            axes.plot(size, np.full(len(size), place), "o", **options)
        axes.axvline(THRESHOLD_SIGMA, color=BLACK, linewidth=1)
        axes.set_xscale("log")
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel(f"|z|; rejected from {THRESHOLD_SIGMA:g} on")
    return fig


def table(laws: dict[tuple[str, str], list[Record]]) -> str:
    """A row for every law."""
    lines = [
        "| quantity | theory | cases | z | rms | beyond 2 | largest | experiments |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (quantity, theory), own in laws.items():
        z = pooled(own)
        experiments = ", ".join(dict.fromkeys(record["experiment"] for record in own))
        spread = f"{np.sqrt(np.mean(z**2)):.2f}"
        beyond = f"{100 * np.mean(np.abs(z) > 2):.0f} %"
        cases = sum(record["cases"] for record in own)
        cells = [str(cases), str(len(z)), spread, beyond, f"{np.abs(z).max():.1f}", experiments]
        lines.append(f"| `{quantity}` | `{theory}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(records: list[Record]) -> str:
    """Text of the page; its pictures are `accuracy.png` and `power.png`."""
    runs = sorted({(record["experiment"], record["preset"]) for record in records})
    commands = "\n".join(
        f"for name in {' '.join(name for name, own in runs if own == preset)}; do\n"
        f"  deepinit run $name --preset {preset} --out runs/evidence/$name\ndone"
        for preset in dict.fromkeys(preset for _, preset in runs)
    )
    described = ", ".join(f"`{name}` ({preset})" for name, preset in runs)
    head = HEAD.format(threshold=THRESHOLD_SIGMA, runs=described, commands=commands)
    laws = laws_of(records)
    worst = max((float(np.abs(pooled(own)).max()) for own in laws.values()), default=0.0)
    total = sum(len(pooled(own)) for own in laws.values())
    return (
        f"{head}## Laws that must agree\n\n{len(laws)} laws, {total} values of z, the largest "
        f"{worst:.1f}. Line: the standard normal density.\n\n"
        "![Histogram of z of every checked law beside the normal density](accuracy.png)\n\n"
        f"{table(laws)}\n\nrms: root mean square of z; 1 for a normal variable, of which "
        "5 % are beyond 2.\n\n## Theories that are known to be wrong\n\n"
        "The same simulations reject "
        "what does not hold at finite width or in the given case: otherwise agreement would mean "
        "little. Points: layers and components of every case.\n\n"
        "![Size of z of theories that are known to be wrong](power.png)\n\n"
        "## Other theories\n\nCompared, with nothing expected: expansions that may or may not "
        "resolve the next order with so many networks.\n\n"
        f"{table(laws_of(records, COMPARED))}\n"
    )
