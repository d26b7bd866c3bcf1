"""NNGP and NTK of residual networks at infinite width and finite depth.

Stream: x_id = x_id^0 + Gaussian of mean mu_i and covariance C_ij, equal for every d; x^0, of mean
m^0, the inputs or their embedding. With weight variance w (times width), bias variance b, branch
variance v, every block maps

    S_ij = b + w E[psi(x_i) psi(x_j)],
    N_ij = S_ij + w E[psi'(x_i) psi'(x_j)] Theta_ij,    h ~ N(0, S),
    shallow:    e_i = E phi(h_i),  mu_i += e_i,  C_ij += E[phi(h_i) phi(h_j)] - e_i e_j,
                Theta_ij += E[phi'(h_i) phi'(h_j)] N_ij,
    two layers: C_ij += v E[phi(h_i) phi(h_j)],
                Theta_ij += v (E[phi(h_i) phi(h_j)] + E[phi'(h_i) phi'(h_j)] N_ij)

E averages over coordinates too. Second moment: lambda_ij = lambda_ij^0 + m_i^0 mu_j + mu_i
m_j^0 + mu_i mu_j + C_ij. Convolutions: sites (input, position), S and N summed over patch offsets,
S_{ip,jp'} = b + w sum_delta E[psi(x_{i,p+delta}) psi(x_{j,p'+delta})].

Exact except for shallow blocks with nonlinear phi and psi, whose shift, a sum of L terms, is taken
as Gaussian: cumulants of order phi''(0)/L (odd phi: 1/L^2) are omitted. Error of E x^2 at unit
variances, depths 2 to 4: up to 0.05 % (tanh in tanh), 0.13 % (SiLU around tanh), 0.4 % (SiLU around
ReLU); tests/infinite_width/test_residual_closure.py.
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core.activations import Activation, linear
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.residual_parts import (
    PARAMETERS,
    Start,
    Trained,
    Variances,
    residual_variances,
    start_of_stream,
    trained_flags,
)
from deepinit.infinite_width.validate import checked_limit, checked_rows

MISSING_SHARE = 1e-11  # of a mean square; above it quadrature over pairs replaces the series


class ResidualLayers(NamedTuple):
    """The stream after every block, averaged over positions; last the output.

    `mean`: of the coordinates. `mean_square`: |x^l|^2 / width. `nngp`: second moment of a
    coordinate; last the output covariance. `nngp`, `ntk`: [depth (+1), num, num].
    """

    mean: Float[np.ndarray, "depth num"]
    mean_square: Float[np.ndarray, "depth num"]
    nngp: Float[np.ndarray, "layers num num"]
    ntk: Float[np.ndarray, "layers num num"]


class Positions(NamedTuple):
    """Mean, second moment (`nngp`) and NTK of one channel after the last block, by position."""

    mean: Float[np.ndarray, "num positions"]
    nngp: Float[np.ndarray, "num positions num positions"]
    ntk: Float[np.ndarray, "num positions num positions"]


class _Static(NamedTuple):
    """Static arguments of the compiled recursion."""

    activation: Activation
    inner: Activation
    two_maps: bool
    has_mean: bool
    starts_centred: bool
    depth: int
    patches: tuple[tuple[int, ...], ...]
    engine: Any


class _Stream(NamedTuple):
    shift: Any
    covariance: Any
    ntk: Any


def residual_layers(
    spec: ResNet | ConvResNet,
    x: Real[Array, "num dimension"] | Plain,
    *,
    trained: tuple[str, ...] = PARAMETERS,
) -> ResidualLayers:
    """Means, second moments and NTK of the stream after every block, in float64.

    Output layer: K = v_o lambda + b_o, Theta_o = K + v_o Theta, averaged over positions. Widths
    matter only for scaling `absolute`; without an embedding the dimension of x is the width.

    `trained`, in the NTK: "embedding" (A), "weights" (W), "branch" (V), "biases" (output too),
    "output" (G). NTK parametrization; positions share filters and biases.
    Raises SpecError: correlated, drifting or constant parameters; non-Gaussian biases or (nonlinear
        psi) embedding; unresolved activation; moments not finite.
    Valid for: infinite width, fixed depth, error O(1/width). Shallow blocks with nonlinear phi and
        psi: up to O(1/depth), O(1/depth^2) for odd phi. Relative error of a block: 1e-10 for smooth
        activations that bend at 0 on the scale 1; 1e-8 with kinks; others below 1e-5, checked at
        every site.
        Memory: about 12 float64 matrices [num * positions] squared; nonlinear psi without an
            embedding: num * positions * channels * 256 more. Slow, by quadrature for every pair: a
            kinked psi with a mean, beyond some ten coordinates; smooth activations except centred
            erf at preactivation deviations above about 2.5, beyond some ten sites (a 3 x 3 filter
            multiplies the variance by up to e^9 in the limit of depth).
    Reference: arXiv:2007.03253, section 5 (order parameters, limit of depth).
    """
    layers, _ = _layers(spec, x, trained)
    return checked_limit(layers, "of the stream", along="layer")


def position_kernels(
    spec: ResNet | ConvResNet,
    x: Real[Array, "num dimension"] | Plain,
    *,
    trained: tuple[str, ...] = PARAMETERS,
) -> Positions:
    """Second moment Lambda_{ip,jp'} and NTK by position after the last block.

    As `residual_layers`. Fully connected networks have one position.
    Reference: arXiv:2007.03253, section 5.6.
    """
    _, (mean, second_moment, ntk) = _layers(spec, x, trained)
    shape = (len(np.asarray(x)), spec.positions)
    kernels = Positions(
        mean.reshape(shape), second_moment.reshape(shape * 2), ntk.reshape(shape * 2)
    )
    return checked_limit(kernels, "of the positions")


def _layers(spec: ResNet | ConvResNet, x: Any, trained: tuple[str, ...]) -> Any:
    from deepinit.core.gaussian import is_odd

    rows = checked_rows(x)
    variances, flags = residual_variances(spec, rows.shape[1]), trained_flags(trained)
    start = start_of_stream(spec, rows, variances.embedding)
    two_maps = spec.branch_law is not None
    static = _Static(
        spec.activation,
        spec.inner_activation,
        two_maps,
        has_mean=not two_maps and not is_odd(spec.activation),
        starts_centred=spec.embedding_law is not None,
        depth=spec.depth,
        patches=spec.patches,
        engine="series",
    )
    with host_float64():
        import jax

        arguments = jax.tree.map(jax.numpy.asarray, (start, variances, flags))
        run = jax.jit(_recursion, static_argnums=0)
        layers, last, missing, errors = run(static, *arguments)
        if not float(missing) <= MISSING_SHARE:
            static = static._replace(engine="quadrature")
            layers, last, _, errors = run(static, *arguments)
        layers, last = jax.tree.map(np.asarray, (layers, last))
    _check_resolution(static, np.asarray(errors))
    if spec.output_width is None:
        return layers, last
    weights, bias = variances.output, variances.output_bias
    nngp = weights * layers.nngp[-1:] + bias
    ntk = (
        flags.output * weights * layers.nngp[-1:] + flags.biases * bias + weights * layers.ntk[-1:]
    )
    return layers._replace(
        nngp=np.append(layers.nngp, nngp, 0), ntk=np.append(layers.ntk, ntk, 0)
    ), last


def _check_resolution(static: _Static, errors: np.ndarray) -> None:
    """Refuse large quadrature errors [depth, (psi, phi)]."""
    from deepinit.infinite_width.resolution import LARGEST_ERROR, unresolved_error

    unresolved = np.argwhere(errors > LARGEST_ERROR)
    if len(unresolved):
        block, which = unresolved[0]
        activation = (static.inner, static.activation)[which]
        raise unresolved_error(activation, f"block {block + 1}", errors[block, which])


def _recursion(static: _Static, start: Start, variances: Variances, trained: Trained) -> Any:
    import jax
    import jax.numpy as jnp

    from deepinit.infinite_width.residual_duals import Products, gaussian_products

    positions = len(static.patches)
    num = len(start.mean) // positions

    def second_moment(stream: _Stream) -> Any:
        cross = jnp.outer(start.mean, stream.shift)
        return (
            start.second_moment
            + cross
            + cross.T
            + jnp.outer(stream.shift, stream.shift)
            + stream.covariance
        )

    def inner_products(stream: _Stream) -> Products:
        if static.inner == linear:
            ones = jnp.ones_like(stream.covariance)
            return Products(second_moment(stream), ones, start.mean + stream.shift)
        centred = static.starts_centred and not static.has_mean
        means = None if centred else start.means + stream.shift[:, None]
        return gaussian_products(
            static.inner, means, start.covariance + stream.covariance, static.engine
        )

    def over_patches(sites: Any) -> Any:
        padded = jnp.pad(
            sites.reshape(num, positions, num, positions), ((0, 0), (0, 1), (0, 0), (0, 1))
        )
        offsets = np.asarray(static.patches).T  # -1 is the last place, which holds the zeros
        total: Any = sum(padded[:, places][:, :, :, places] for places in offsets)
        return total.reshape(sites.shape)

    def block(stream: _Stream, _: None) -> Any:
        psi = inner_products(stream)
        weights = variances.weight * over_patches(psi.values)
        older = variances.weight * over_patches(psi.slopes * stream.ntk)
        tangents = trained.weights * weights + trained.biases * variances.bias + older
        phi = gaussian_products(static.activation, None, weights + variances.bias, static.engine)
        response = phi.slopes * tangents
        if static.two_maps:
            increment, shift = variances.branch * phi.values, stream.shift
            response = variances.branch * (trained.branch * phi.values + response)
        else:
            mean = phi.means if static.has_mean else jnp.zeros_like(phi.means)
            increment, shift = phi.values - jnp.outer(mean, mean), stream.shift + mean
        stream = _Stream(shift, stream.covariance + increment, stream.ntk + response)
        errors = jnp.stack([psi.error, phi.error])
        return stream, (pooled(stream), jnp.maximum(psi.missing, phi.missing), errors)

    def pooled(stream: _Stream) -> Any:
        average: Any = jnp.mean
        moments = second_moment(stream)
        images = (num, positions, num, positions)
        return ResidualLayers(
            average((start.mean + stream.shift).reshape(num, positions), axis=1),
            average(jnp.diagonal(moments).reshape(num, positions), axis=1),
            average(moments.reshape(images), axis=(1, 3)),
            average(stream.ntk.reshape(images), axis=(1, 3)),
        )

    zero = jnp.zeros_like(start.covariance)
    first = _Stream(jnp.zeros_like(start.mean), zero, trained.embedding * start.covariance)
    last, (layers, missing, errors) = jax.lax.scan(block, first, None, length=static.depth)
    final = start.mean + last.shift, second_moment(last), last.ntk
    return layers, final, jnp.max(missing), errors
