"""Figures of a record: time along every axis, finite against infinite width, ratios to peers."""

from typing import TYPE_CHECKING

from deepinit.plots.series import SERIES_COLOURS, series
from deepinit.plots.style import new_figure, set_title, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchmarks.record import Record

_AXES = {"seeds": "networks in the ensemble"}
_ROUTES = "Simulating, predicting and taking the limit, against"
_TITLES = {
    "finite_against_infinite_width": ("routes", "width", f"{_ROUTES} width"),
    "finite_against_infinite_depth": ("routes", "depth", f"{_ROUTES} depth"),
    "scaling_width": ("shapes", "width", "Time per network against width"),
    "scaling_depth": ("shapes", "depth", "Time per network against depth"),
    "scaling_seeds": ("shapes", "seeds", "Time per network against their number"),
    "scaling_inputs": ("shapes", "inputs", "Time per network against the number of inputs"),
    "scaling_devices": ("scaling", "devices", "Networks per second against devices"),
    "scaling_processes": ("scaling", "processes", "Networks per second against processes"),
    "gpt": ("deferred_gpt", "weights", "GPT-2 small, XL and GPT-3 at initialization, 8 tokens"),
}


def figures(record: "Record") -> dict[str, "Figure"]:
    """name -> figure of everything that the record holds."""
    drawn = {name: _along(record, *source) for name, source in _TITLES.items()}
    return {name: fig for name, fig in {**drawn, "peers": _peers(record)}.items() if fig}


def _along(record: "Record", benchmark: str, axis: str, title: str) -> "Figure | None":
    """All lines over one axis; None where nothing was measured."""
    points: dict[str, list[tuple[float, float]]] = {}
    unit = ""
    for entry in record["benchmarks"]:
        for item in entry["measurements"] if entry["benchmark"] == benchmark else ():
            if item["parameters"].get("axis") == axis:
                place = (item["parameters"]["at"], item["value"])
                points.setdefault(item["parameters"]["line"], []).append(place)
                unit = unit or item["unit"]
    if not points:
        return None
    lines = {
        name: tuple(map(list, zip(*sorted(values), strict=True))) for name, values in points.items()
    }
    options = {"log_x": True, "log_y": True, "lines_are": "", "note": _note(record)}
    label = _AXES.get(axis, axis)
    return series(lines, lines, x_label=label, y_label=unit, title=title, **options)


def _peers(record: "Record") -> "Figure | None":
    """Bars: time of every peer in units of ours; goals across."""
    bars = {
        item["parameters"]["peer"]: (item["value"], item["goal"])
        for entry in record["benchmarks"]
        for item in entry["measurements"]
        if "peer" in item["parameters"]
    }
    if not bars:
        return None
    with styled():
        fig = new_figure(7.0, 1.4 + 0.36 * len(bars))
        ax = fig.subplots()
        names = list(reversed(bars))
        values = [bars[name][0] for name in names]
        ax.barh(names, values, color=SERIES_COLOURS[0], height=0.6)
        for place, (name, value) in enumerate(zip(names, values, strict=True)):
            ax.annotate(f" {value:.3g}", (value, place), va="center", fontsize=8.5)
            if goal := bars[name][1]:
                across = [place - 0.4, place + 0.4]
                ax.plot([goal[1]] * 2, across, color=SERIES_COLOURS[1], linewidth=1.6)
        ax.set_xscale("log")
        ax.set_xlim(min(1.0, *values) / 1.5, max(values) * 4)
        ax.set_xlabel("times as long per network as deepinit")
        ax.grid(visible=False, axis="y")
        set_title(fig, "Peers against deepinit", f"{_note(record)}; bars across: goals")
    return fig


def _note(record: "Record") -> str:
    facts = record["provenance"]
    device = facts.get("device")
    machine = facts.get("cpu", "unknown machine") if device in (None, "cpu") else device
    quick = ", small shapes of --quick" if record["quick"] else ""
    return f"{machine}, {facts.get('num_cpus')} cores{quick}"
