"""Cut-off in depth: where, and how sharply, a deep random network forgets its input.

Chain x_t = Q(phi(W_t x_{t-1})), width N, no biases, W_ij of variance A^2 / N. Q rounds to multiples
of rho: "truncate" (toward zero), "nearest", or "flush" (0 below rho). Survival S(t) = P(x_t != 0):
total variation distance from the point mass at 0.
"""

from deepinit.theory.cutoff.first_passage import (
    FirstPassage,
    first_passage_profile,
    poisson_survival,
)
from deepinit.theory.cutoff.lattice import (
    LatticeThresholds,
    lattice_thresholds,
    rounded_mean_square,
    rounded_orbit,
)
from deepinit.theory.cutoff.log_norm_drift import (
    LogNormDrift,
    critical_gain,
    log_norm_drift,
    stationary_tail_exponent,
)
from deepinit.theory.cutoff.mean_field import MeanField, mean_field
from deepinit.theory.cutoff.mean_field_cutoff import (
    MeanFieldCutoff,
    koenigs_amplitude,
    mean_field_cutoff,
)
from deepinit.theory.cutoff.norm_propagation import LogNormWalk, log_norm_propagation
from deepinit.theory.cutoff.ordered_phase import OrderedCutoff, ordered_cutoff
from deepinit.theory.cutoff.scalar_chain import ChainSurvival, scalar_survival
from deepinit.theory.cutoff.summary import CutoffSummary, summary
from deepinit.theory.cutoff.thompson import thompson_lipschitz
from deepinit.theory.cutoff.underflow import rounded_survival, underflow_layer

__all__ = [
    "ChainSurvival",
    "CutoffSummary",
    "FirstPassage",
    "LatticeThresholds",
    "LogNormDrift",
    "LogNormWalk",
    "MeanField",
    "MeanFieldCutoff",
    "OrderedCutoff",
    "critical_gain",
    "first_passage_profile",
    "koenigs_amplitude",
    "lattice_thresholds",
    "log_norm_drift",
    "log_norm_propagation",
    "mean_field",
    "mean_field_cutoff",
    "ordered_cutoff",
    "poisson_survival",
    "rounded_mean_square",
    "rounded_orbit",
    "rounded_survival",
    "scalar_survival",
    "stationary_tail_exponent",
    "summary",
    "thompson_lipschitz",
    "underflow_layer",
]
