"""Inference with infinite-width kernels: posteriors, trained networks, evidence.

Kernel space: `kernel_for`, `posterior`, `trained`, `log_marginal`, `affine_part`. Weight space, for
affine kernels alpha + beta <x, x'>: `linear_model`, `linear_log_marginal`, `empirical_bayes`. Their
rank is at most dimension + 1: more inputs need noise or weight space.
"""

from deepinit.inference.affine import AffinePart as AffinePart
from deepinit.inference.affine import affine_part as affine_part
from deepinit.inference.bayes import EmpiricalBayes as EmpiricalBayes
from deepinit.inference.bayes import empirical_bayes as empirical_bayes
from deepinit.inference.evidence import Spectrum as Spectrum
from deepinit.inference.evidence import linear_log_marginal as linear_log_marginal
from deepinit.inference.evidence import log_marginal as log_marginal
from deepinit.inference.evidence import spectrum as spectrum
from deepinit.inference.flow import trained as trained
from deepinit.inference.gaussian import Posterior as Posterior
from deepinit.inference.gaussian import posterior as posterior
from deepinit.inference.kernels import Blocks as Blocks
from deepinit.inference.kernels import NetworkBlocks as NetworkBlocks
from deepinit.inference.kernels import blocks_of as blocks_of
from deepinit.inference.kernels import kernel_for as kernel_for
from deepinit.inference.weight_space import LinearPosterior as LinearPosterior
from deepinit.inference.weight_space import linear_model as linear_model
