"""Figures of vanishing_angles."""

import deepinit as di
from deepinit.runs.experiment import CaseResult, Results
from deepinit.runs.report import FigureItem, checks_item, figure_item, plot_item

from .cases import ANGLE, Config, histogram_layers, relu_name
from .tables import density_walks, finite_samples, ks_distances


def figures(config: Config, results: Results) -> list[FigureItem]:
    """Figures of the report, in reading order."""
    name = relu_name(config.histogram_width)
    main = results[name if config.histogram_width in config.widths else next(iter(results))]
    items = [
        figure_item(
            "The angle, layer by layer",
            "Mean over networks with its standard error, spread, and every prediction. "
            "The infinite-width limit drifts away and has no spread.",
            di.plots.layers(main.dataset, title="Angle between two inputs, layer by layer"),
        ),
        figure_item(
            "Which theory holds",
            "Distance of every prediction from the measured mean, in standard errors. "
            "Beyond the threshold a prediction is rejected.",
            di.plots.residuals(
                main.dataset, title="Distance of every prediction from the measurement"
            ),
        ),
        figure_item(
            "Spread over networks",
            "Standard deviation over networks, measured and predicted.",
            di.plots.variance_layers(main.dataset, title="Spread over networks, layer by layer"),
        ),
    ]
    if main.estimate.samples is not None:
        items.append(histograms(config, main))
    if len(config.widths) > 2:
        items += [bias_by_width(config, results, pair) for pair in range(len(config.angles))]
    for name in config.activations:
        caption = "Another activation, with the first-order theory of the kernel chain."
        drawing = di.plots.layers(results[name].dataset, title=f"Angle between two inputs, {name}")
        items.append(figure_item(f"Activation {name}", caption, drawing))
    for widths in config.unequal:
        caption = "Every layer contributes by its output width: the bottleneck dominates."
        data, title = (
            results[f"relu-{widths}"].dataset,
            f"Angle between two inputs, widths {widths}",
        )
        drawing = di.plots.layers(data, title=title)
        items.append(figure_item(f"Unequal widths {widths}", caption, drawing))
    if "images" in results:
        images = results["images"]
        title = "Angle between real images, layer by layer"
        caption = "Pairs of MNIST digits in random ReLU networks become nearly parallel."
        items.append(
            plot_item(title, caption, di.plots.image_pairs, images.case.inputs, images.dataset)
        )
    caption = "One dot per layer and pair; a cross is beyond the threshold."
    return [*items, checks_item(results, "Every comparison of this run", caption)]


def histograms(config: Config, result: CaseResult) -> FigureItem:
    """Histograms at the chosen layers, with the predicted densities."""
    layers = {f"layer {layer}": k for k, layer in enumerate(histogram_layers(config))}
    walks = density_walks(result)
    drawing = di.plots.histogram(
        {panel: finite_samples(result, index) for panel, index in layers.items()},
        density={
            panel: {
                name: (walk.grid, walk.density[result.case.sample_layers[index] - 1])
                for name, walk in walks.items()
            }
            for panel, index in layers.items()
        },
        label=ANGLE.symbol,
        notes={panel: ks_note(result, walks, index) for panel, index in layers.items()},
    )
    caption = (
        f"Measured and predicted densities over networks, angle {config.angles[0]:.3g}. "
        "KS is the one-sample Kolmogorov-Smirnov distance."
    )
    return figure_item("Distribution over networks", caption, drawing)


def ks_note(result: CaseResult, walks: dict, index: int) -> str:
    """`KS distance second order 0.012, paper 0.021`."""
    distances = ks_distances(result, walks, index)
    texts = [f"{name.replace('_', ' ')} {value:.3f}" for name, value in distances.items()]
    return f"KS distance {', '.join(texts)}"


def bias_by_width(config: Config, results: Results, pair: int) -> FigureItem:
    """|predicted - measured| against width at the last layer, for one of the angles."""
    last = [
        results[relu_name(width)].dataset.isel(layer=-1, component=pair) for width in config.widths
    ]
    theories = [str(name) for name in last[0]["theory"].values]
    angle = f"angle {config.angles[pair]:.3g}"
    drawing = di.plots.widths(
        config.widths,
        [float(data["mean"]) for data in last],
        [float(data["standard_error"]) for data in last],
        {name: [float(data["predicted"].sel(theory=name)) for data in last] for name in theories},
        label=ANGLE.symbol,
        note=f"layer {config.depth}, {angle}, {config.num_seeds} networks per width",
    )
    caption = "Distance of each prediction from the measured mean. The grey band is not resolved."
    return figure_item(f"Error of every prediction against width, {angle}", caption, drawing)
