"""Style of figures, and reproducible files.

Okabe and Ito's palette (safe for colour-vision deficiencies) without yellow; black is measured.
"""

import contextlib
import dataclasses
import functools
import io
import math
import textwrap
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLACK, GREY = "#000000", "#8a8a8a"
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#CC79A7",
    "#56B4E9",
)
WINE, INDIGO, OLIVE = "#882255", "#4A3AA8", "#808A1E"  # Tol's muted scheme, two of them altered
MEASURED_COLOURS = (BLACK, "#666666", "#999999")

# Fixed colours of common routes; other names get one of the rest.
KNOWN_COLOURS = {
    "second_order": BLUE,
    "infinite_width": VERMILLION,
    "infinite": VERMILLION,
    "paper": GREEN,
    "first_order": ORANGE,
    "approximation": PURPLE,
    "hybrid": SKY,
    "exact": SKY,
    "tapered": INDIGO,
    "infinite_depth": WINE,
    "idealized": OLIVE,
    "price_tanner": GREEN,
    "raghu": PURPLE,
    "leading_order": BLUE,
    "orbit": GREEN,
    "random_walk": ORANGE,
}
OTHER_COLOURS = (SKY, PURPLE, ORANGE, GREEN, BLUE, VERMILLION, WINE, INDIGO, OLIVE)
GROUP_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, SKY, ORANGE)  # of named curves
ROUTE_MARKERS = ("o", "s", "^", "D", "v", "P")

# All matplotlib settings that a figure uses, so that a user's style sheet changes nothing.
RC: Any = {
    "figure.facecolor": "white",
    "savefig.facecolor": "auto",
    "axes.facecolor": "white",
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "mathtext.fontset": "dejavusans",
    "text.usetex": False,
    "text.color": "#1a1a1a",
    "axes.labelcolor": "#1a1a1a",
    "axes.labelsize": 9.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "normal",
    "axes.titlelocation": "left",
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "both",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.formatter.useoffset": False,
    "axes.formatter.use_mathtext": True,
    "grid.color": "#e8e8e8",
    "grid.linestyle": "-",
    "grid.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.0,
    "savefig.dpi": "figure",
    "savefig.bbox": None,
    "svg.fonttype": "path",
    "svg.hashsalt": "deepinit",
}

# Anchors of viridis, without its yellow end.
WIDTH_COLOURS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (60, 177, 115), (110, 200, 85))

CHARACTER_INCHES = 0.072  # mean width of a character of DejaVu Sans at 9 points, rounded up


@dataclasses.dataclass(frozen=True)
class RouteStyle:
    """Colour, line and marker."""

    name: str
    colour: str
    dash: str
    marker: str


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw with this module's settings."""
    import matplotlib

    with matplotlib.rc_context(RC):
        yield


def new_figure(width: float = 7.0, height: float = 4.5) -> "Figure":
    """Empty figure outside pyplot; inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    # pyplot, which shows figures in notebooks, does not know this one
    figure._repr_png_ = functools.partial(to_png, figure)  # type: ignore[attr-defined]
    return figure


def spaced(name: str) -> str:
    """Underscores to spaces."""
    return name.replace("_", " ").strip()


def route_styles(names: Iterable[str]) -> dict[str, RouteStyle]:
    """Style by route, fixed or by checksum."""
    styles: dict[str, RouteStyle] = {}
    ordered = list(dict.fromkeys(names))
    taken: set[str] = set()
    for name in sorted(ordered, key=lambda name: (_key(name) not in KNOWN_COLOURS, name)):
        colour = KNOWN_COLOURS.get(_key(name))
        if colour is None or colour in taken:
            start = zlib.crc32(_key(name).encode()) % len(OTHER_COLOURS)
            turn = OTHER_COLOURS[start:] + OTHER_COLOURS[:start]
            colour = next((c for c in turn if c not in taken), turn[0])
        repeated = colour in taken  # only with more routes than colours
        taken.add(colour)
        dash = "--" if "infinite" in _key(name) else "-." if repeated else "-"
        index = (*KNOWN_COLOURS.values(), *OTHER_COLOURS).index(colour)
        styles[name] = RouteStyle(name, colour, dash, ROUTE_MARKERS[index % len(ROUTE_MARKERS)])
    return {name: styles[name] for name in ordered}


def width_colour(width: float) -> str:
    """Colour of a width: purple at 4 to green at 2048."""
    place = 4.0 * min(1.0, max(0.0, (math.log2(max(width, 1.0)) - 2.0) / 9.0))
    step = min(3, int(place))
    pairs = zip(WIDTH_COLOURS[step], WIDTH_COLOURS[step + 1], strict=True)
    return "#" + "".join(f"{round(low + (place - step) * (high - low)):02x}" for low, high in pairs)


def set_title(fig: "Figure", title: str, subtitle: str = "") -> None:
    """Wrapped title and smaller subtitle."""
    from matplotlib.text import Annotation

    columns = int((fig.get_figwidth() - 0.3) / CHARACTER_INCHES)
    below = textwrap.wrap(subtitle, columns)
    # The layout makes room for the title only: blank lines reserve it for the subtitle.
    text = "\n".join([*textwrap.wrap(title, int(columns / 1.2)), *([" "] * len(below))])
    heading = fig.suptitle(text, x=0.015, ha="left", fontsize=11, linespacing=1.4)
    if below:
        note = Annotation(
            "\n".join(below),
            (0.0, 0.0),
            xycoords=heading,
            xytext=(0, 2),
            textcoords="offset points",
            va="bottom",
        )
        note.set(fontsize=9.0, color="#555555", linespacing=1.4)
        fig.add_artist(note)


def add_legend(
    fig: "Figure", axes: Iterable[Any], rank: Callable[[str], int] = lambda label: 0
) -> None:
    """One legend below the panels, by rank."""
    pairs = [pair for ax in axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
    pairs.sort(key=lambda pair: rank(pair[1]))
    unique = {label: handle for handle, label in pairs}
    if not unique:
        return
    names = [textwrap.fill(label, 70) for label in unique]
    fig.legend(
        list(unique.values()),
        names,
        loc="outside lower center",
        ncols=_legend_columns(names, fig.get_figwidth()),
        handlelength=2.4,
        columnspacing=1.6,
    )


def panel_grid(
    fig: "Figure", num_panels: int, x_label: str, y_label: str, *, shared: str = "xy"
) -> list[Any]:
    """Grid of panels: one row up to three."""
    columns = num_panels if num_panels <= 3 else math.ceil(num_panels / 2)
    rows = math.ceil(num_panels / columns)
    grid = fig.subplots(rows, columns, sharex="x" in shared, sharey="y" in shared, squeeze=False)
    axes = list(grid.flat)
    for ax in axes[num_panels:]:
        ax.set_visible(False)
    lowest = axes[max(0, num_panels - columns) : num_panels]  # visible panels of each column
    for ax in lowest:
        ax.tick_params(labelbottom=True)
        ax.set_xlabel(x_label)
    if num_panels == 1:
        axes[0].set_ylabel(y_label)
    else:
        fig.supylabel(y_label, fontsize=9.5, multialignment="center")
    return axes[:num_panels]


def to_svg(fig: "Figure") -> str:
    """SVG, equal bytes for equal figures.

    Fixes the layout; `fig.set_layout_engine("constrained")` frees it.
    """
    buffer = io.StringIO()
    with styled():
        _fix_layout(fig)
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        fig.savefig(buffer, format="svg", metadata=metadata)
    return buffer.getvalue()


def to_png(fig: "Figure") -> bytes:
    """PNG, 150 dots per inch by default; fixes the layout."""
    buffer = io.BytesIO()
    with styled():
        _fix_layout(fig)
        fig.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _fix_layout(fig: "Figure") -> None:
    """Lay out once: repetition moves axes by rounding errors."""
    fig.draw_without_rendering()
    fig.set_layout_engine("none")


def _key(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _legend_columns(labels: Sequence[str], width: float) -> int:
    """Most columns that fit."""
    lengths = [max(len(line) for line in label.split("\n")) for label in labels]
    for columns in range(len(labels), 1, -1):
        rows = math.ceil(len(labels) / columns)
        widest = [max(lengths[start : start + rows]) for start in range(0, len(labels), rows)]
        if sum(0.5 + CHARACTER_INCHES * length for length in widest) <= width - 0.3:
            return len(widest)
    return 1
