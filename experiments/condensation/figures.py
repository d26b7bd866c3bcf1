"""Figures of the condensation experiment: from results by case to pictures."""

import numpy as np

import deepinit as di
from deepinit.observables import orientations
from deepinit.runs.experiment import CaseResult
from deepinit.runs.report import FigureItem, figure_item
from deepinit.theory import condensation as theory

from .analysis import (
    Results,
    amplitudes,
    angles,
    chosen,
    cosines,
    departure,
    losses,
    ordered_similarities,
    other,
    phase_slopes,
    predicted,
    steps,
    weights,
)
from .cases import Config, points, scale_name

LAWS = ("aligned-fraction", "relative-distance", "drop-time")
MAX_SHOWN = 120  # neurons of a heat map that moves
FIELD_POINTS = 48


def figures(config: Config, results: Results) -> list[FigureItem]:
    """Figures of the report, in reading order."""
    items = [*multiplicity_figures(config, results), adam_figure(results), *law_figures(results)]
    items += [*layer_figures(results), relu_figure(results)]
    if config.phases:
        items.append(phase_figure(config, results))
    if config.scales:
        items += scale_figures(config, results)
    laws = {name: results[name].dataset for name in LAWS}
    caption = "One dot a step and level; a cross is outside the gate."
    items.append(
        figure_item(
            "Every comparison with a law of multiplicity 1", caption, di.plots.z_panel(laws)
        )
    )
    return items


def multiplicity_figures(config, results: Results) -> list[FigureItem]:
    """Similarities, angles, fields and moving pictures of p = 1, 2, 3."""
    line = {f"p = {name[1]}": result for name, result in chosen(results, "p", "-1d").items()}
    wide = {
        name: result
        for name, result in chosen(results, "p").items()
        if "-5d-" in name or name.endswith("simplex")
    }
    named = {f"{name} in 1-D": result for name, result in line.items()}
    named |= {panel_name(name): result for name, result in wide.items()}
    some = dict(list(named.items())[:12])
    rays = {name: predicted(result).directions for name, result in line.items()}
    last = f"p = {max(config.multiplicities)}"
    mover, many = line[last], list(wide.values())[min(1, len(wide) - 1)]
    return [
        figure_item(
            "Neurons share directions",
            "Cosine similarities of the input weights of all neurons at the first drop of the loss. Blocks are orientations.",
            di.plots.similarities(
                {name: ordered_similarities(weights(result)[-1]) for name, result in some.items()},
                title="Cosine similarity of input weights at the first drop of the loss",
                note="one network each",
            ),
        ),
        figure_item(
            "The predicted directions attract",
            "Arrows: where the input weights of neurons with a > 0 move (those of a < 0 move the other way). Rays: predicted directions, "
            "strict maxima of |H|. Dots: neurons at the end.",
            di.plots.direction_field(
                {name: field(result) for name, result in line.items()},
                orientations=rays,
                neurons={name: weights(result)[-1] for name, result in line.items()},
                title="Field of the input weights and the predicted directions, one input",
                note="two sines",
            ),
        ),
        figure_item(
            "Angles in the course of training",
            "Every line is a neuron of one network; the horizontal lines are predicted from the data alone.",
            di.plots.orientation_paths(
                {name: (steps(result), angles(weights(result))) for name, result in line.items()},
                predicted={name: angles(rays[name]) for name in line},
                title="Neurons turn to the predicted angles, one input",
                note="two sines",
            ),
        ),
        FigureItem(
            "Neurons turning",
            f"One network with {last} and one input, from its initialization to the first drop of the loss.",
            gif=di.plots.animate_orientations(
                weights(mover),
                amplitudes(mover),
                steps(mover),
                predicted=rays[last],
                labels=moments(mover),
                title=f"Input weights of one network, {last}",
            ),
        ),
        FigureItem(
            "Similarities forming",
            "Cosine similarities of the same neurons in the same order, step by step, in five dimensions.",
            gif=di.plots.animate_similarities(
                similarities_over_time(many),
                moments(many),
                title=f"Cosine similarities of one network, {panel_name(many.case.name)}",
            ),
        ),
    ]


def panel_name(case: str) -> str:
    """`p2-5d-data1` in words."""
    p, where, *data = case.split("-")
    place = "on a simplex" if where == "simplex" else "in 5-D"
    return f"p = {p[1:]} {place}" + (f", data {data[0][4:]}" if data else "")


def moments(result: CaseResult) -> list[str]:
    """A text for every record."""
    return [
        f"step {step}, loss {loss:.4f} of its first"
        for step, loss in zip(steps(result), losses(result), strict=True)
    ]


def similarities_over_time(result: CaseResult) -> np.ndarray:
    """[records, neurons, neurons] in the order of the end."""
    vectors = weights(result)[:, :MAX_SHOWN].astype(np.float32)
    found = np.stack([np.asarray(cosines(vector), np.float64) for vector in vectors])
    order = orientations.display_order(found[-1])
    return found[:, order][:, :, order]


def field(result: CaseResult) -> tuple[np.ndarray, np.ndarray]:
    """Points of the plane (w, b) and dw/dt there for a > 0, at leading order."""
    run, found = result.case.inputs, theory.multiplicity(result.case.spec.activation)
    form = theory.target_form(run.examples.inputs, run.examples.targets, found.p, found.c)
    turn = np.linspace(-np.pi, np.pi, FIELD_POINTS, endpoint=False)
    rings = [
        radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)[::skip]
        for radius, skip in ((0.55, 2), (0.85, 1), (1.15, 1))
    ]
    places = np.concatenate(rings)
    return places, form.gradient(places)


def adam_figure(results: Results) -> FigureItem:
    """Two optimizers, two predictions."""
    names = {
        "gradient flow, p = 1": "p1-1d",
        "Adam, p = 1": "adam-p1-1d",
        "gradient flow, p = 2": "p2-1d",
        "Adam, p = 2": "adam-p2-1d",
    }
    panels = {panel: results[name] for panel, name in names.items() if name in results}
    drawing = di.plots.amplitude_angles(
        {
            panel: (angles(weights(result)[-1]), amplitudes(result)[-1])
            for panel, result in panels.items()
        },
        predicted={panel: angles(predicted(result).directions) for panel, result in panels.items()},
        rivals=(
            "direction predicted for the other optimizer",
            {panel: angles(other(result).directions) for panel, result in panels.items()},
        ),
        title="Adam condenses elsewhere: on the cube, not on the sphere",
        note="one network each, one input",
    )
    caption = (
        "Amplitude and angle of every neuron at the end. Solid lines: maxima of |H| on the sphere for gradient flow, on the cube for Adam, whose "
        "steps have the length of the learning rate in every coordinate; dashed lines: those of the other. Gradient flow of p = 2 runs with a clock per "
        "neuron."
    )
    return figure_item("Adam against gradient flow", caption, drawing)


def law_figures(results: Results) -> list[FigureItem]:
    """The exact laws of multiplicity 1."""
    aligned, distance = (
        results[name].dataset for name in ("aligned-fraction", "relative-distance")
    )
    return [
        figure_item(
            "How many neurons are aligned, and when",
            "Measured fraction of neurons within a cosine of a predicted direction, the exact law, and the infinite-width (lazy) limit, in which "
            "nothing turns.",
            di.plots.layers(aligned, title="Neurons within a cosine of the predicted directions"),
        ),
        figure_item(
            "How far input weights move",
            "Relative distance from the initialization and its law; the run ends before the loss has dropped by a thousandth.",
            di.plots.layers(
                distance, title="Distance of the input weights from where they started"
            ),
        ),
    ]


def layer_figures(results: Results) -> list[FigureItem]:
    """Deep networks, and networks on images, layer by layer."""
    items = []
    for name, result in chosen(results, "deep-").items():
        if name.endswith("-residual"):
            continue
        panels = {}
        for label, one in (("", result), ("residual, ", results[f"{name}-residual"])):
            for layer in one.estimate.entries or ():
                panels[f"{label}{layer}"] = ordered_similarities(weights(one, layer)[-1])
        drawing = di.plots.similarities(
            panels,
            title=f"Cosine similarity of input weights, five hidden layers of {name[5:]}",
            note="one network, Adam",
            columns=5,
        )
        caption = "First row: without, second row: with residual connections. Targets have mean 0."
        items.append(figure_item(f"Deep networks: {name[5:]}", caption, drawing))
    if "cnn" in results:
        result = results["cnn"]
        panels = {}
        for layer in ("filters", "hidden"):
            panels |= {
                f"{layer}, step 0": weights(result, layer)[0],
                f"{layer}, at the end": weights(result, layer)[-1],
            }
        drawing = di.plots.similarities(
            {name: ordered_similarities(vectors) for name, vectors in panels.items()},
            title="A convolutional network of flax on MNIST digits",
            note="one network, cross-entropy, Adam",
            columns=2,
        )
        caption = "Cosine similarities of the filters and of the dense units, at initialization and at the end of the run."
        items.append(figure_item("Images: a convolutional network", caption, drawing))
    if "resnet-condensed" in results:
        items.append(residual_figure(results))
    return items


def residual_figure(results: Results) -> FigureItem:
    """Does condensed initialization cost accuracy?"""
    lines = {}
    for kind in ("condensed", "glorot"):
        data = results[f"resnet-{kind}"].dataset
        test = data.isel(pair=1)
        lines[f"{kind}, test set"] = (
            data["step"].values,
            test["mean"].values,
            test["standard_error"].values,
        )
    drawing = di.plots.series(
        lines,
        {name: curve[:2] for name, curve in lines.items()},
        lines_are="",
        x_label="training step",
        y_label="accuracy",
        title="A residual network of flax on MNIST digits: two initializations of its dense layers",
        note="500 training digits, Adam",
    )
    ends = [f"{name}: {y[-1]:.3f} +- {error[-1]:.3f}" for name, (_, y, error) in lines.items()]
    caption = f"Condensed initialization (variance m^-3) against the customary one; at the end {', '.join(ends)}."
    return figure_item("Images: a residual network", caption, drawing)


def relu_figure(results: Results) -> FigureItem:
    """ReLU has no multiplicity, but a form H all the same."""
    result = results["relu-1d"]
    drawing = di.plots.amplitude_angles(
        {"ReLU": (angles(weights(result)[-1]), amplitudes(result)[-1])},
        predicted=angles(predicted(result).directions),
        title="ReLU: live neurons gather, dead ones stay",
        note="one network, two sines",
    )
    caption = "Lines: strict maxima of |H|, H the mean of y relu(u.z). Neurons below have been off on all inputs from the start."
    return figure_item("ReLU", caption, drawing)


def phase_figure(config: Config, results: Results) -> FigureItem:
    """Measured exponents and the predicted boundary."""
    slopes = phase_slopes(config, results)
    drawing = di.plots.phase_diagram(
        np.array(points(config)),
        [slope for slope, _ in slopes],
        [error for _, error in slopes],
        boundary=lambda gamma_prime: 1.0 + max(0.0, gamma_prime),
        regimes={"linear": (0.6, 0.45), "condensed": (2.0, -0.2)},
        exponent_label="exponent of the width in the relative distance",
        title="When weights condense: the phase diagram",
        note=f"tanh, loss drop 10 %, widths {config.phase_widths[0]} and {config.phase_widths[-1]}",
    )
    caption = "Growth of |W - W(0)| / |W(0)| with the width: above 0 weights condense, below 0 they stay. Line: the predicted boundary."
    return figure_item("Phase diagram", caption, drawing)


def scale_figures(config: Config, results: Results) -> list[FigureItem]:
    """Training against its linearization, from lazy to condensed."""
    data = {f"variance width^-{gamma:g}": results[scale_name(gamma)] for gamma in config.scales}
    shown = dict(list(data.items())[:: max(1, len(data) // 4)])
    measured, lazy = {}, {}
    for name, result in shown.items():
        one = result.dataset.isel(pair=0)
        inside = one["step"].values > 0
        start = float(one["predicted"].sel(route="infinite_width")[0])
        x = one["step"].values[inside]
        measured[name] = (
            x,
            one["mean"].values[inside] / start,
            one["standard_error"].values[inside] / start,
        )
        lazy[name] = (x, one["predicted"].sel(route="infinite_width").values[inside] / start)
    curves = di.plots.series(
        measured,
        lazy,
        x_label="training step",
        y_label="loss / initial loss",
        log_x=True,
        title="Training against its linearization",
        note=f"tanh, width {config.scale_width}, prediction by neural-tangents",
    )
    departures = di.plots.series(
        {
            "largest departure": (
                list(config.scales),
                *zip(*map(departure, data.values()), strict=True),
            )
        },
        x_label="gamma: weights of variance width^-gamma",
        y_label="|loss - linearized loss| / initial loss",
        title="The smaller the initialization, the less the tangent kernel says",
        note=f"tanh, width {config.scale_width}, largest value in the run",
    )
    return [
        figure_item(
            "Finite against infinite width in training",
            "Measured loss (points) and the prediction of the infinitely wide, linearized network (lines), from the scale of the tangent kernel "
            "(gamma = 0.5) to condensation (gamma > 1).",
            curves,
        ),
        figure_item(
            "Departure from the linearization",
            "As a function of the scale of the initialization.",
            departures,
        ),
    ]
