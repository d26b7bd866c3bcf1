"""Figures of condensation: two-layer networks."""

import numpy as np

import deepinit as di
from deepinit.runs.experiment import CaseResult, Results
from deepinit.runs.report import FigureItem, checks_item, figure_item
from deepinit.theory import condensation as theory

from .analysis import (
    amplitudes,
    angles,
    chosen,
    cosines,
    display_order,
    losses,
    ordered_similarities,
    other,
    predicted,
    steps,
    weights,
)
from .config import Config
from .network_figures import layer_figures, phase_figure, scale_figures

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
    title = "Every comparison with a law of multiplicity 1"
    caption = "One dot per step and level; a cross is beyond the threshold."
    return [*items, checks_item({name: results[name] for name in LAWS}, title, caption)]


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
            "Cosine similarities of all input weights at the first drop of the loss. "
            "Blocks are orientations.",
            di.plots.similarities(
                {name: ordered_similarities(weights(result)[-1]) for name, result in some.items()},
                title="Cosine similarity of input weights at the first drop of the loss",
                note="one network each",
            ),
        ),
        figure_item(
            "The predicted directions attract",
            "Arrows: motion of input weights of neurons with a > 0, reversed for a < 0. "
            "Rays: predicted directions, strict maxima of |H|. Dots: neurons at the end.",
            di.plots.direction_field(
                {name: field(result) for name, result in line.items()},
                orientations=rays,
                neurons={name: weights(result)[-1] for name, result in line.items()},
                title="Field of the input weights and the predicted directions, one input",
                note="two sines",
            ),
        ),
        figure_item(
            "Angles during training",
            "Every line is a neuron of one network. Horizontal lines are predicted from the data.",
            di.plots.orientation_paths(
                {name: (steps(result), angles(weights(result))) for name, result in line.items()},
                predicted={name: angles(rays[name]) for name in line},
                title="Neurons turn to the predicted angles, one input",
                note="two sines",
            ),
        ),
        FigureItem(
            "Neurons turning",
            f"One network with {last} and one input, up to the first drop of the loss.",
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
            "Cosine similarities of neurons in a fixed order, step by step, in five dimensions.",
            gif=di.plots.animate_similarities(
                similarities_over_time(many),
                moments(many),
                title=f"Cosine similarities of one network, {panel_name(many.case.name)}",
            ),
        ),
    ]


def panel_name(case: str) -> str:
    """Panel title of `p2-5d-data1`."""
    p, where, *data = case.split("-")
    place = "on a simplex" if where == "simplex" else "in 5-D"
    return f"p = {p[1:]} {place}" + (f", data {data[0][4:]}" if data else "")


def moments(result: CaseResult) -> list[str]:
    """Labels of the records."""
    return [
        f"step {step}, loss {loss:.4f} of its first"
        for step, loss in zip(steps(result), losses(result), strict=True)
    ]


def similarities_over_time(result: CaseResult) -> np.ndarray:
    """[records, neurons, neurons], in the order of the last record."""
    vectors = weights(result)[:, :MAX_SHOWN].astype(np.float32)
    similarities = np.stack([np.asarray(cosines(vector), np.float64) for vector in vectors])
    order = display_order(similarities[-1])
    return similarities[:, order][:, :, order]


def field(result: CaseResult) -> tuple[np.ndarray, np.ndarray]:
    """Points of the plane (w, b) and dw/dt there for a > 0, at leading order."""
    run, order = result.case.inputs, theory.multiplicity(result.case.spec.activation)
    form = theory.target_form(run.examples.inputs, run.examples.targets, order.p, order.c)
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
        "Amplitude and angle of every neuron at the end. Solid: maxima of |H|, on the sphere for "
        "gradient flow, on the cube for Adam. Dashed: the other prediction. "
        "Gradient flow of p = 2 has a clock per neuron."
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
            "Fraction of neurons within a cosine of a predicted direction, its exact law, and the "
            "infinite-width (lazy) limit, in which no neuron turns.",
            di.plots.layers(aligned, title="Neurons within a cosine of the predicted directions"),
        ),
        figure_item(
            "How far input weights move",
            "Relative distance from the initialization and its law, before a loss drop of 0.001.",
            di.plots.layers(
                distance, title="Distance of the input weights from where they started"
            ),
        ),
    ]


def relu_figure(results: Results) -> FigureItem:
    """ReLU has no multiplicity, but a form H."""
    result = results["relu-1d"]
    drawing = di.plots.amplitude_angles(
        {"ReLU": (angles(weights(result)[-1]), amplitudes(result)[-1])},
        predicted=angles(predicted(result).directions),
        title="ReLU: live neurons gather, dead ones stay",
        note="one network, two sines",
    )
    caption = (
        "Lines: strict maxima of |H|, H the mean of y relu(u.z). "
        "Neurons below are off on all inputs."
    )
    return figure_item("ReLU", caption, drawing)
