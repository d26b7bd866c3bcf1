"""Figures of a record: scaling along every axis, finite against infinite width, and bars of the ratios to peers."""

from typing import TYPE_CHECKING, Any

from deepinit.plots.series import SERIES_COLOURS, series
from deepinit.plots.style import new_figure, set_title, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchmarks.record import Record

AXES = {
    "width": "width",
    "depth": "depth",
    "seeds": "networks in the ensemble",
    "inputs": "inputs",
    "devices": "devices",
    "processes": "processes",
}


def points(
    record: "Record", benchmark: str, axis: str
) -> dict[str, tuple[list[float], list[float], str]]:
    """line -> (places, values, unit) of the measurements that are points of a figure, in the order of places."""
    found: dict[str, list[tuple[float, float, str]]] = {}
    for entry in record["benchmarks"]:
        for one in entry["measurements"] if entry["benchmark"] == benchmark else ():
            parameters: dict[str, Any] = one["parameters"]
            if parameters.get("axis") == axis:
                found.setdefault(parameters["line"], []).append(
                    (parameters["at"], one["value"], one["unit"])
                )
    lines = {}
    for name, values in found.items():
        ordered = sorted(values)
        lines[name] = (
            [place for place, *_ in ordered],
            [value for _, value, _ in ordered],
            ordered[0][2],
        )
    return lines


def along(record: "Record", benchmark: str, axis: str, title: str) -> "Figure | None":
    """All lines over one axis; None where nothing was measured."""
    lines = points(record, benchmark, axis)
    if not lines:
        return None
    unit = next(iter(lines.values()))[2]
    drawn = {name: (places, values) for name, (places, values, _) in lines.items()}
    return series(
        drawn,
        drawn,
        x_label=AXES[axis],
        y_label=unit,
        log_x=True,
        log_y=True,
        title=title,
        note=_note(record),
        lines_are="",
    )


def peers(record: "Record") -> "Figure | None":
    """Bars: how many times as long the peers take."""
    bars = {
        one["parameters"]["peer"]: (one["value"], one["goal"])
        for entry in record["benchmarks"]
        for one in entry["measurements"]
        if "peer" in one["parameters"]
    }
    if not bars:
        return None
    with styled():
        fig = new_figure(7.0, 1.4 + 0.36 * len(bars))
        ax = fig.subplots()
        names = list(reversed(bars))
        values = [bars[name][0] for name in names]
        ax.barh(names, values, color=SERIES_COLOURS[0], height=0.6)
        for place, name in enumerate(names):
            value, goal = bars[name]
            ax.annotate(f" {value:.3g}", (value, place), va="center", fontsize=8.5)
            if goal is not None:
                ax.plot(
                    [goal[1]] * 2,
                    [place - 0.4, place + 0.4],
                    color=SERIES_COLOURS[1],
                    linewidth=1.6,
                )
        ax.set_xscale("log")
        ax.set_xlim(min(1.0, *values) / 1.5, max(values) * 4)
        ax.set_xlabel("times as long per network as deepinit")
        ax.grid(visible=False, axis="y")
        set_title(fig, "Peers against deepinit", f"{_note(record)}; bars across: goals")
    return fig


def figures(record: "Record") -> dict[str, "Figure"]:
    """name -> figure, of whatever the record holds."""
    titles = {
        ("routes", "width"): (
            "finite_against_infinite_width",
            "Simulating, predicting and taking the limit, against width",
        ),
        ("routes", "depth"): (
            "finite_against_infinite_depth",
            "Simulating, predicting and taking the limit, against depth",
        ),
        ("scaling", "width"): ("scaling_width", "Time per network against width"),
        ("scaling", "depth"): ("scaling_depth", "Time per network against depth"),
        ("scaling", "seeds"): ("scaling_seeds", "Time per network against their number"),
        ("scaling", "inputs"): ("scaling_inputs", "Time per network against the number of inputs"),
        ("scaling", "devices"): ("scaling_devices", "Networks per second against devices"),
        ("scaling", "processes"): ("scaling_processes", "Networks per second against processes"),
    }
    drawn = {name: along(record, *source, title) for source, (name, title) in titles.items()}
    return {name: fig for name, fig in {**drawn, "peers": peers(record)}.items() if fig is not None}


def _note(record: "Record") -> str:
    facts = record["provenance"]
    quick = ", small shapes of --quick" if record["quick"] else ""
    device = facts.get("device")
    shown = facts.get("cpu", "unknown machine") if device in (None, "cpu") else device
    return f"{shown}, {facts.get('num_cpus')} cores{quick}"
