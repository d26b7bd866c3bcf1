"""Synthetic results for the tests of figures, and what to look up in a figure."""

import numpy as np
import xarray
from matplotlib.container import ErrorbarContainer

from deepinit.core.results import Estimate, Prediction

SYMBOL = r"$\ln \sin^2 \theta^\ell$"


def estimate_of(mean, sd=0.5, num_seeds=100):
    mean = np.asarray(mean, np.float64)
    sd = np.broadcast_to(np.asarray(sd, np.float64), mean.shape)
    return Estimate(
        quantity="log_sin2_angle",
        mean=mean,
        standard_error=sd / np.sqrt(num_seeds),
        variance=sd**2,
        variance_standard_error=sd**2 * np.sqrt(2.0 / num_seeds),
        skewness=np.zeros_like(mean),
        minimum=mean - 3 * sd,
        maximum=mean + 3 * sd,
        quantiles=np.stack([mean] * 7),
        num_seeds=num_seeds,
        events={},
    )


def prediction_of(value, name="second_order", variance=None):
    variance = (
        None
        if variance is None
        else np.broadcast_to(np.asarray(variance, np.float64), np.shape(value))
    )
    return Prediction("log_sin2_angle", name, np.asarray(value, np.float64), variance, "", "", "")


def dataset_of(estimate, *predictions, components=None, **attrs):
    predicted = np.stack([p.mean for p in predictions])
    variances = np.stack(
        [np.full_like(p.mean, np.nan) if p.variance is None else p.variance for p in predictions]
    )
    entry = ("layer", "component")
    return xarray.Dataset(
        {
            "mean": (entry, estimate.mean),
            "standard_error": (entry, estimate.standard_error),
            "variance": (entry, estimate.variance),
            "variance_standard_error": (entry, estimate.variance_standard_error),
            "predicted": (("theory", *entry), predicted),
            "predicted_variance": (("theory", *entry), variances),
            "z": (("theory", *entry), (estimate.mean - predicted) / estimate.standard_error),
        },
        coords={
            "theory": [p.name for p in predictions],
            "layer": np.arange(1, len(estimate.mean) + 1),
            "component": components or [str(i) for i in range(estimate.mean.shape[1])],
        },
        attrs={
            "quantity": "log_sin2_angle",
            "symbol": SYMBOL,
            "num_seeds": estimate.num_seeds,
            **attrs,
        },
    )


def slope(num_layers=8, num_pairs=1, step=-0.1):
    return step * np.arange(1, num_layers + 1)[:, None] + np.zeros(num_pairs)


def errorbars(ax):
    return [c for c in ax.containers if isinstance(c, ErrorbarContainer)]


def lines_of(ax, colour):
    return [line for line in ax.lines if line.get_color() == colour and len(line.get_xdata()) > 1]


def legend_texts(fig):
    return [text.get_text() for legend in fig.legends for text in legend.get_texts()]


def notes(fig):
    """What the figure says below its title, on one line."""
    return " ".join(" ".join(artist.get_text().split()) for artist in fig.artists)
