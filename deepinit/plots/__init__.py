"""Figures of a Dataset, Estimates, Predictions or arrays, by matplotlib, imported lazily.

A route has one colour in all figures. Markers with error bars are measured, solid lines
finite-width theory, dashed lines infinite width. pyplot and global settings stay untouched. Common
arguments: `title`, heading; `note`, description of the data; `symbol`, mathtext.
"""

from deepinit.plots.animation import animate_orientations, animate_similarities
from deepinit.plots.coordinates import scaling_check
from deepinit.plots.directions import direction_field
from deepinit.plots.functions import correlation_maps, function_draws
from deepinit.plots.images import curve_images, image_pairs
from deepinit.plots.orientations import amplitude_angles, orientation_paths
from deepinit.plots.per_layer import layers, variance_layers
from deepinit.plots.phases import phase_diagram
from deepinit.plots.samples import histogram
from deepinit.plots.scaling import by_width, widths
from deepinit.plots.series import series, series_panels
from deepinit.plots.similarities import similarities
from deepinit.plots.style import to_png, to_svg
from deepinit.plots.sweeps import sweep
from deepinit.plots.z_scores import residuals, z_panel

__all__ = [
    "amplitude_angles",
    "animate_orientations",
    "animate_similarities",
    "by_width",
    "correlation_maps",
    "curve_images",
    "direction_field",
    "function_draws",
    "histogram",
    "image_pairs",
    "layers",
    "orientation_paths",
    "phase_diagram",
    "residuals",
    "scaling_check",
    "series",
    "series_panels",
    "similarities",
    "sweep",
    "to_png",
    "to_svg",
    "variance_layers",
    "widths",
    "z_panel",
]
