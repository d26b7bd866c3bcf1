"""Distances between two inputs, layer by layer, at infinite width."""

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.specs import MLP, Spec
from deepinit.infinite_width.angles import _rows
from deepinit.infinite_width.norms import overlaps
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import layer_variances

_LEAST_SHARE = 1e-4  # of a mean square, below which a difference of kernels keeps too few of their 8 to 10 digits


def mean_square_distances(spec: Spec, inputs: Inputs) -> np.ndarray:
    r"""|x^l - x'^l|^2 / width of each pair, l = 1..depth, when all widths are infinite.

    Of an MLP E[(phi(u) - phi(v))^2] with (u, v) ~ N(0, K^l): with s = sqrt(E phi(u)^2), s' = sqrt(E phi(v)^2) and the
    angle theta' of the images (`duals`),

        (s' - s)^2 + 4 s s' sin^2(theta'/2),

    to relative accuracy however close the pair. Of a residual network lambda_ii + lambda_jj - 2 lambda_ij.

    Args:
        spec: the network; an output layer plays no part.
        inputs: pairs of rows, of any norms; every displacement from its base point is one pair.

    Returns:
        [depth, pairs] float64.

    Raises:
        SpecError: biases that are not Gaussian; a convolutional network; a pair so close that the kernels of a residual
            network do not resolve it.

    Valid for: widths to infinity at fixed depth, error O(depth / width).

    Reference: derived in the docstrings of `duals` and `pairs`.
    """
    if not isinstance(spec, MLP):
        return _residual(spec, inputs)
    weight_vars, bias_vars = layer_variances(spec, inputs.dimension)
    with host_float64():
        import jax
        import jax.numpy as jnp

        from deepinit.infinite_width.resolution import check_resolution

        run = jax.jit(_scan, static_argnums=0)
        rows, layers = _rows(inputs), (weight_vars[: spec.depth], bias_vars[: spec.depth])
        check_resolution(spec.activation, np.asarray(rows.variance), *layers, with_derivative=False)
        return np.asarray(run(spec.activation, rows, *map(jnp.asarray, layers)))


def _scan(activation, rows, weight_vars, bias_vars):
    """[layers, pairs] of `mean_square_distances`."""
    import jax

    from deepinit.infinite_width.quadrature import root
    from deepinit.infinite_width.pairs import affine, nonlinearity
    from deepinit.infinite_width.price import ratio

    def layer(rows, variances):
        after = nonlinearity(activation, affine(rows, *variances))[0]
        first, second = root(after.variance[after.first]), root(after.variance[after.second])
        gap = ratio(after.growth, first + second)
        return after, gap**2 + 4.0 * first * second * after.angle.sin2

    return jax.lax.scan(layer, rows, (weight_vars, bias_vars))[1]


def _residual(spec: Spec, inputs: Inputs) -> np.ndarray:
    first, second = list(inputs.bases), len(inputs.points) + np.arange(inputs.num_pairs)
    kernels = overlaps(spec, np.concatenate([inputs.points, inputs.partners]))
    squares = kernels[:, first, first] + kernels[:, second, second]
    found = squares - 2.0 * kernels[:, first, second]
    if not (found > _LEAST_SHARE * squares).all():
        raise SpecError(
            "a pair so close that the kernels of a residual network do not resolve it",
            f"distances above {_LEAST_SHARE**0.5:g} of the norms",
            "Simulate it, or take log_volume at one point: the stretch of an infinitesimal displacement.",
        )
    return found
