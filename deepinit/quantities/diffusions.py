"""Diffusion limit of shallow residual networks: up to O(1 / depth)."""

from typing import Any

import numpy as np

from deepinit.core.activations import linear
from deepinit.core.inputs import Inputs
from deepinit.core.laws import Law
from deepinit.core.residual_specs import ResNet
from deepinit.core.results import Prediction
from deepinit.quantities.theory import Theory, theories

FORM, EXACT = "infinite_depth", "exact"


def why_no_diffusion(spec: ResNet) -> str | None:
    """Why a spec has no diffusion limit, or None.

    Conditions: shallow blocks with psi = id, independent Gaussian parameters of scaling `depth`,
    phi(0) = phi''(0) = 0, no embedding or output layer.
    """
    if not (spec.is_shallow and spec.inner_activation == linear):
        blocks = "shallow blocks without an inner activation"
        return f"the diffusion limit is that of a di.ResNet of {blocks}"
    laws = [law for law in (spec.weight_law, spec.bias_law) if law is not None]
    if not all(isinstance(law, Law) and law.is_gaussian and law.scaling == "depth" for law in laws):
        return (
            "the diffusion limit needs independent Gaussian weights and biases of scaling 'depth'"
        )
    if spec.embedding_law is not None or spec.output_width is not None:
        return "the diffusion limit is that of the stream, without embedding and output layer"
    if not _has_no_curvature(spec.activation):
        needs = "the diffusion limit needs phi(0) = phi''(0) = 0 (tanh)"
        return f"{needs}, not {spec.activation}"
    return None


def _why_not(spec: ResNet, inputs: Any, form: str) -> str | None:
    del inputs, form
    return why_no_diffusion(spec)


def diffusion_limit(predict: Any, conditions: Any = _why_not) -> tuple[Theory, ...]:
    """The theory at infinite depth, from functions of (spec, inputs, form)."""
    return theories((FORM,), conditions, predict, (ResNet,))


def why_no_linear_network(spec: ResNet) -> str | None:
    """Conditions at finite width and depth."""
    reason = why_no_diffusion(spec)
    if reason is None and spec.activation != linear:
        return f"the law at finite depth is that of linear networks, not of {spec.activation}"
    return reason


def _has_no_curvature(activation: Any) -> bool:
    from deepinit.core.errors import SpecError
    from deepinit.theory.diffusion import diffusion_constants

    try:
        constants = diffusion_constants(activation)
    except SpecError:  # phi(0) is not 0, or phi has a kink there
        return False
    return constants.curvature == 0.0


def unit_variances(spec: ResNet) -> tuple[float, float]:
    """(weight_var, bias_var) per unit of time."""
    assert isinstance(spec.weight_law, Law)
    bias_var = spec.bias_law.variance if isinstance(spec.bias_law, Law) else 0.0
    return spec.weight_law.variance, bias_var


def _gram(spec: ResNet, inputs: Inputs) -> np.ndarray:
    points = np.concatenate([inputs.points, inputs.partners])
    spec.matrix_shapes(inputs.dimension)  # refuses inputs of another width
    return points @ points.T / spec.width


def predict_nngp(spec: Any, inputs: Inputs, form: str) -> Prediction:
    """E lambda_ij and variance; `exact`: linear networks, any depth."""
    from deepinit.theory.diffusion import overlap_moments

    weight_var, bias_var = unit_variances(spec)
    gram, entries = _gram(spec, inputs), list(zip(*np.triu_indices(inputs.num_rows), strict=True))
    value, variance = np.zeros((2, spec.depth, len(entries)))
    for layer in range(spec.depth):
        horizon = (layer + 1) / spec.depth
        for column, (i, j) in enumerate(entries):
            two = gram[np.ix_([i, j], [i, j])]
            depth = layer + 1 if form == EXACT else None
            variances = weight_var, bias_var, horizon
            moments = overlap_moments(spec.activation, spec.width, two, *variances, depth=depth)
            value[layer, column] = moments.mean[0, 1]
            variance[layer, column] = moments.variance[0, 1]
    return _prediction("nngp", form, value, variance)


def predict_ntk(spec: Any, inputs: Inputs, form: str) -> Prediction:
    """E Theta_ij in the double limit, for every width."""
    from deepinit.theory.diffusion import double_limit

    limit = double_limit(spec.activation, _gram(spec, inputs), *unit_variances(spec))
    kernel = limit.block_kernel[np.triu_indices(inputs.num_rows)][None]
    return _prediction("ntk", form, kernel, None)


def predict_bias_ntk(spec: Any, inputs: Inputs, form: str) -> Prediction:
    """E K_b and variance, for all pairs."""
    from deepinit.theory.diffusion import bias_kernel_variance, double_limit

    weight_var, bias_var = unit_variances(spec)
    limit = double_limit(spec.activation, _gram(spec, inputs), weight_var, bias_var)
    num_pairs = len(np.triu_indices(inputs.num_rows)[0])
    value = np.full((1, num_pairs), float(np.mean(limit.bias_kernel)))
    variance = bias_kernel_variance(spec.activation, spec.width, weight_var, bias_var)
    return _prediction("bias_ntk", form, value, np.full_like(value, variance))


def predict_gradient(spec: Any, inputs: Inputs, form: str) -> Prediction:
    """`theory.diffusion.jacobian_law` over the time left."""
    from deepinit.theory.diffusion import jacobian_law

    spec.matrix_shapes(inputs.dimension)
    left = 1.0 - np.arange(1, spec.depth + 1) / spec.depth
    weight_var = unit_variances(spec)[0]
    laws = [jacobian_law(spec.activation, spec.width, weight_var, t).log_square for t in left]
    value, variance = np.array([[0.5 * law.mean, 0.25 * law.variance] for law in laws]).T
    return _same_for_all("log_gradient_norm", form, value, variance, inputs.num_rows)


def predict_log_norm(spec: Any, inputs: Inputs, form: str) -> Prediction:
    """`theory.diffusion.log_mean_square_law`, without biases."""
    from deepinit.theory.diffusion import log_mean_square_law

    spec.matrix_shapes(inputs.dimension)
    times = np.arange(1, spec.depth + 1) / spec.depth
    weight_var = unit_variances(spec)[0]
    laws = [log_mean_square_law(spec.activation, spec.width, weight_var, t) for t in times]
    value, variance = np.array([[0.5 * law.mean, 0.25 * law.variance] for law in laws]).T
    return _same_for_all("log_norm", form, value, variance, len(inputs.points))


def predict_log_volume(spec: Any, frames: Any, form: str) -> Prediction:
    """ln vol of d tangents is N(kappa t d (1 - (d + 1) / D) / 2, kappa t d / D).

    Stretches by Gram-Schmidt have independent increments d ln r_i = sqrt(kappa / D)
    dB_i + (kappa / 2)(1 - 2 i / D) dt: Ito correction -kappa / (2 D), and kappa (D - i) / (2 D)
    from noise orthogonal to vectors 1..i. d = 1 is the law of |g v|, d = D that of det g.
    """
    from deepinit.theory.diffusion import diffusion_constants

    slope, size, width = diffusion_constants(spec.activation).slope, frames.frame_size, spec.width
    growth = slope**2 * unit_variances(spec)[0] * np.arange(1, spec.depth + 1) / spec.depth
    value = 0.5 * growth * size * (1.0 - (size + 1.0) / width)
    return _same_for_all("log_volume", form, value, growth * size / width, len(frames.points))


def _same_for_all(
    quantity: str, form: str, value: np.ndarray, variance: np.ndarray, count: int
) -> Prediction:
    """Prediction [layers] for `count` components."""
    shape = (len(value), count)
    value, variance = (np.broadcast_to(part[:, None], shape) for part in (value, variance))
    return _prediction(quantity, form, value, variance)


def _prediction(
    quantity: str, form: str, value: np.ndarray, variance: np.ndarray | None
) -> Prediction:
    exact = "linear blocks, independent Gaussian parameters; every width and depth"
    limit = (
        "depth to infinity; psi = id, phi(0) = phi''(0) = 0, independent Gaussian parameters; "
        "every width"
    )
    return Prediction(
        quantity=quantity,
        name=form,
        mean=value,
        variance=variance,
        error_order="exact" if form == EXACT else "O(1 / depth), at every width",
        valid_for=exact if form == EXACT else limit,
        reference="arXiv 2007.03253; finite width: derived in deepinit.theory.diffusion",
    )
