"""The README's figure: `python docs/readme_figure.py` computes and draws it (half a minute).

Left: the angle of two inputs through ReLU networks of three widths. Right: the NNGP
kernel of two inputs after five tanh layers less its infinite-width limit, against 1/width.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import deepinit as di
from deepinit.plots.style import new_figure, set_title, styled, to_svg, width_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = Path(__file__).parent / "_static" / "readme.svg"
DEPTH = 16
WIDTHS = (16, 64, 256)
KERNEL_WIDTHS = (16, 32, 64, 128)


class Routes(NamedTuple):
    """Estimate and predictions of one network."""

    measured: Any
    finite: Any
    limit: Any


def angles(width: int, num_seeds: int) -> Routes:
    """ln sin^2 of the angle at every layer."""
    net = di.MLP(widths=(width,) * DEPTH, activation="relu")
    question = di.quantities.log_sin2_angle, di.inputs.pair(angle=0.1)
    measured = di.simulate(net, *question, num_seeds=num_seeds)
    return Routes(measured, di.predict(net, *question), di.infinite(net, *question))


def kernels(width: int, num_seeds: int) -> Routes:
    """NNGP kernel of two inputs after five tanh layers, with control variates."""
    net = di.MLP(widths=(width,) * 5, activation="tanh")
    question = di.quantities.nngp, di.inputs.pair(0.5)
    measured = di.simulate(net, *question, num_seeds=num_seeds, control="theory")
    return Routes(measured, di.predict(net, *question), di.infinite(net, *question))


def draw(num_seeds: int = 4000) -> "Figure":
    """Both panels; `num_seeds` networks a width."""
    with styled():
        fig = new_figure(8.0, 3.6)
        left, right = fig.subplots(1, 2, width_ratios=(1.15, 1))
        _angle_panel(left, num_seeds)
        _kernel_panel(right, num_seeds)
        networks = f"points: {num_seeds:,} random networks a width; lines: theory"
        set_title(fig, "What infinite width leaves out", networks)
    return fig


def _angle_panel(axes: Any, num_seeds: int) -> None:
    layers = np.arange(1, DEPTH + 1)
    limit = None
    for width in WIDTHS:
        routes, colour = angles(width, num_seeds), width_colour(width)
        limit = routes.limit.mean[:, 0]
        mean, error = routes.measured.mean[:, 0], routes.measured.standard_error[:, 0]
        axes.errorbar(layers, mean, 2 * error, fmt="o", color=colour, markersize=3.5, linewidth=1)
        axes.plot(layers, routes.finite.mean[:, 0], color=colour)
        place = (layers[-1] + 0.4, float(mean[-1]))
        axes.annotate(f"width {width}", place, color=colour, va="center", fontsize=8.5)
    axes.plot(layers, limit, "--", color="black")
    place = (layers[-1] + 0.4, float(limit[-1]))
    axes.annotate("infinite width", place, va="bottom", fontsize=8.5)
    axes.set_xticks(range(0, DEPTH + 1, 4))
    axes.set(xlim=(0, DEPTH * 1.34), xlabel="layer", ylabel=r"mean of $\ln\,\sin^2$ angle")
    axes.set_title("Angle of two inputs, ReLU layers")


def _kernel_panel(axes: Any, num_seeds: int) -> None:
    inverse = 1 / np.array(KERNEL_WIDTHS)
    routes = [kernels(width, num_seeds) for width in KERNEL_WIDTHS]
    limit = routes[0].limit.mean[-1, 1]
    theory = np.array([each.finite.mean[-1, 1] for each in routes]) / limit - 1
    for each, width in zip(routes, KERNEL_WIDTHS, strict=True):
        shift, error = each.measured.mean[-1, 1] / limit - 1, each.measured.standard_error[-1, 1]
        bar, colour = 100 * 2 * error / limit, width_colour(width)
        axes.errorbar(1 / width, 100 * shift, bar, fmt="o", color=colour, markersize=4.5)
    axes.plot([0, *inverse], [0, *(100 * theory)], color="#555555", label="order 1/width")
    axes.axhline(0, linestyle="--", color="black", label="infinite width")
    axes.set_xticks([0, *inverse], ["0", *(f"1/{width}" for width in KERNEL_WIDTHS)])
    axes.tick_params(axis="x", labelsize=7.5)
    axes.set(xlabel="1 / width", ylabel="kernel less its limit, per cent")
    axes.set_title("NNGP kernel of two inputs, tanh layers")
    axes.legend()


if __name__ == "__main__":
    FILE.write_text(to_svg(draw()))
