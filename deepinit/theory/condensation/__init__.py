"""Condensation of input weights in early training, predicted from the data.

Two-layer network f(x) = sum_j a_j sigma(w_j.z), z = (x, 1), loss 1/(2n) sum_i (f(x_i) - y_i)^2,
outputs small against the targets. An input weight is the vector w_j, its bias last.
"""

from deepinit.theory.condensation.alignment import (
    alignment_law,
    condensation_time,
    relative_displacement,
)
from deepinit.theory.condensation.counting import (
    conjectured_most_orientations,
    count_lines,
    critical_lines,
    most_critical_lines,
)
from deepinit.theory.condensation.growth import blow_up_time
from deepinit.theory.condensation.homogeneous import homogeneous_orientations
from deepinit.theory.condensation.linear_regime import (
    LossDrop,
    growth_rate,
    linear_descent,
    linear_flow,
    loss_drop_time,
)
from deepinit.theory.condensation.multi_output import (
    LayerOrientation,
    MatrixOrientations,
    cnn_orientations,
    layer_orientation,
    multi_output_orientations,
)
from deepinit.theory.condensation.multiplicity import Multiplicity, multiplicity
from deepinit.theory.condensation.orientations import Orientations, predict_orientations
from deepinit.theory.condensation.phases import (
    initial_regime,
    initial_regime_exponent,
    residual_angle_exponent,
)
from deepinit.theory.condensation.target_form import TargetForm, condensation_exponent, target_form

__all__ = [
    "LayerOrientation",
    "LossDrop",
    "MatrixOrientations",
    "Multiplicity",
    "Orientations",
    "TargetForm",
    "alignment_law",
    "blow_up_time",
    "cnn_orientations",
    "condensation_exponent",
    "condensation_time",
    "conjectured_most_orientations",
    "count_lines",
    "critical_lines",
    "growth_rate",
    "homogeneous_orientations",
    "initial_regime",
    "initial_regime_exponent",
    "layer_orientation",
    "linear_descent",
    "linear_flow",
    "loss_drop_time",
    "most_critical_lines",
    "multi_output_orientations",
    "multiplicity",
    "predict_orientations",
    "relative_displacement",
    "residual_angle_exponent",
    "target_form",
]
