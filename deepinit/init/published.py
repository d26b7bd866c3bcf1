"""Published initializations: variance scaling, orthogonal, critical, muP, Fixup.

Linear maps and convolutions, attention among them, have the law; embeddings and positions keep
their own. No biases, except `critical`.
"""

from typing import Literal

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law, normal
from deepinit.core.laws import orthogonal as haar
from deepinit.core.typing import ActivationLike
from deepinit.init.place import Laws, Place, Scheme
from deepinit.theory.criticality import Critical
from deepinit.theory.criticality import critical as critical_point

Distribution = Literal["normal", "truncated_normal", "uniform"]
_DISTRIBUTIONS = ("normal", "truncated_normal", "uniform")


def he(distribution: Distribution = "normal", *, slope: float = 0.0) -> Scheme:
    """Variance 2 / ((1 + slope^2) fan_in); `slope` of leaky ReLU. He et al. 2015, 1502.01852."""
    slope = validate.real("slope", slope, remedy="0.0 is ReLU.")
    return _scaled(distribution, lambda _: 2 / (1 + slope**2), "fan_in")


def lecun(distribution: Distribution = "normal") -> Scheme:
    """Variance 1 / fan_in. LeCun et al. 1998, Efficient BackProp."""
    return _scaled(distribution, lambda _: 1.0, "fan_in")


def glorot(distribution: Distribution = "uniform") -> Scheme:
    """Variance 2 / (fan_in + fan_out). Glorot and Bengio 2010."""
    return _scaled(distribution, lambda place: 2 / (place.fan_in + place.fan_out), "absolute")


def orthogonal(gain: float = 1.0) -> Scheme:
    """Haar orthonormal rows or columns times `gain`: entry variance gain^2 / max(rows, fan_in).

    As `torch.nn.init.orthogonal_` and `jax.nn.initializers.orthogonal`. Saxe et al. 2014,
    1312.6120.
    """
    gain = validate.positive("gain", gain, "1.0 keeps norms of linear networks.")

    def scheme(place: Place) -> Laws:
        return Laws(haar(gain**2 / max(place.rows, place.fan_in), "absolute"))

    return _of_linear_maps(scheme)


def critical(activation: ActivationLike | Critical, *, mean_square: float = 1.0) -> Scheme:
    """The critical point of an activation (`di.critical`): normal weights, and normal biases.

    The first layer takes inputs of `mean_square` to the fixed point; readout and attention have
    variance 1 / fan_in and no bias. For the edge of chaos where no point is critical give
    `di.critical(activation, fixed_point)` instead of the activation.

    Raises SpecError: no critical point (`di.critical` names the remedy).
    """
    point = activation if isinstance(activation, Critical) else critical_point(activation)
    mean_square = validate.positive("mean_square", mean_square, "Of the inputs: mean of x^2.")
    hidden = normal(point.weight_var)
    bias = normal(point.bias_var, "absolute") if point.bias_var else None
    first = point.weight_var
    if point.first_weight_var is not None:
        first = point.first_weight_var / mean_square

    def scheme(place: Place) -> Laws:
        if place.is_readout or place.kind not in ("dense", "conv"):
            return Laws(normal(1.0))
        if place.is_first:
            return Laws(normal(first), bias)
        return Laws(hidden, bias)

    return _of_linear_maps(scheme)


def mup(weight_var: float = 1.0) -> Scheme:
    """muP: variance weight_var / fan_in, of the readout 1 / fan_in^2.

    The laws alone. Learning rates by layer complete the parametrization: n, 1, 1/n (SGD) or
    1, 1/n, 1/n (Adam) for first, hidden layers and readout; attention scores q.k / head width
    (`Attention(scores="mup")`). `di.scaling_check` measures it. Yang and Hu 2021, 2011.14522.
    """
    weight_var = validate.positive("weight_var", weight_var, "2.0 for ReLU.")

    def scheme(place: Place) -> Laws:
        if place.is_readout:
            return Laws(normal(1 / place.fan_in**2, "absolute"))
        return Laws(normal(weight_var))

    return _of_linear_maps(scheme)


def fixup() -> Scheme:
    """Fixup: He; in residual branches of m maps the std times L^(-1/(2m - 2)), the last map 0.

    The readout is 0. The scalar multipliers and biases of the paper are 1 and 0 at initialization.
    Zhang, Dauphin and Ma 2019, 1901.09321.

    Raises SpecError: attention, which the paper does not cover.
    """

    def scheme(place: Place) -> Laws:
        if place.kind not in ("dense", "conv"):
            given, remedy = "di.init.fixup() for attention", "Take di.init.gpt2()."
            raise SpecError(given, "dense and convolution layers", remedy)
        if place.is_readout or place.ends_branch:
            return Laws(normal(0.0))
        maps, shrink = place.branch_maps, 1.0
        if maps > 1:
            shrink = place.residual_layers ** (-1 / (maps - 1))
        return Laws(normal(2.0 * shrink))

    return _of_linear_maps(scheme)


def _scaled(distribution: str, variance: object, scaling: str) -> Scheme:
    name = validate.choice("distribution", distribution, _DISTRIBUTIONS)

    def scheme(place: Place) -> Laws:
        return Laws(Law(name, variance(place), scaling))  # type: ignore[operator, arg-type]

    return _of_linear_maps(scheme)


def _of_linear_maps(scheme: Scheme) -> Scheme:
    return lambda place: None if place.kind in ("embed", "positions") else scheme(place)
