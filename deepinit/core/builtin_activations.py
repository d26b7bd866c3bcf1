"""Built-in activations: values and exact derivatives; NumPy arguments in float64, JAX by JAX."""

import math
from collections.abc import Callable
from functools import partial

from deepinit.core import validate
from deepinit.core.activation import Activation
from deepinit.core.array_api import array_namespace, special_namespace

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_GELU_TANH = (2.0 * math.sqrt(2.0 / math.pi), 0.044715)  # sigmoid(a (x + b x^3))
_MISH_FAR = 40.0  # sigmoid'(40) is 4e-18


def _relu(x):
    return array_namespace(x).maximum(x, 0)


def _step(x):
    return (x > 0) * array_namespace(x).ones_like(x)


def _leaky_relu(x, negative_slope):
    return array_namespace(x).where(x > 0, x, negative_slope * x)


def _leaky_relu_derivative(x, negative_slope):
    one = array_namespace(x).ones_like(x)
    return array_namespace(x).where(x > 0, one, negative_slope * one)


def _abs(x):
    return abs(x)


def _abs_derivative(x):
    one = array_namespace(x).ones_like(x)
    return array_namespace(x).where(x > 0, one, -one)


def _linear(x):
    return x


def _linear_derivative(x):
    return array_namespace(x).ones_like(x)


def _tanh(x):
    return array_namespace(x).tanh(x)


def _tanh_derivative(x):
    xp = array_namespace(x)
    return 1 / xp.cosh(xp.clip(x, -40.0, 40.0)) ** 2  # beyond 40 the derivative is below 1e-34


def _erf(x):
    return special_namespace(array_namespace(x)).erf(x)


def _erf_derivative(x):
    return (2.0 / math.sqrt(math.pi)) * array_namespace(x).exp(-x * x)


def _sin(x):
    return array_namespace(x).sin(x)


def _sin_derivative(x):
    return array_namespace(x).cos(x)


def _gelu(x):
    return x * special_namespace(array_namespace(x)).ndtr(x)


def _gelu_derivative(x):
    xp = array_namespace(x)
    return special_namespace(xp).ndtr(x) + x * xp.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def _silu(x):
    return x * special_namespace(array_namespace(x)).expit(x)


def _silu_derivative(x):
    gate = special_namespace(array_namespace(x)).expit(x)
    return gate * (1 + x * (1 - gate))


def _softplus(x):
    return array_namespace(x).logaddexp(x, 0.0)


def _softplus_derivative(x):
    return special_namespace(array_namespace(x)).expit(x)


def _sigmoid(x):
    return special_namespace(array_namespace(x)).expit(x)


def _sigmoid_derivative(x):
    special = special_namespace(array_namespace(x))
    return special.expit(x) * special.expit(-x)


def _x_tanh(x):
    return x * array_namespace(x).tanh(x)


def _x_tanh_derivative(x):
    return array_namespace(x).tanh(x) + x * _tanh_derivative(x)


def _x2_tanh(x):
    return x * x * array_namespace(x).tanh(x)


def _x2_tanh_derivative(x):
    return 2 * x * array_namespace(x).tanh(x) + x * x * _tanh_derivative(x)


def _elu(x, alpha):
    xp = array_namespace(x)
    return xp.where(x > 0, x, alpha * xp.expm1(xp.where(x > 0, 0, x)))


def _elu_derivative(x, alpha):
    xp = array_namespace(x)
    return xp.where(x > 0, xp.ones_like(x), alpha * xp.exp(xp.where(x > 0, 0, x)))


def _selu(x):
    return _SELU_SCALE * _elu(x, _SELU_ALPHA)


def _selu_derivative(x):
    return _SELU_SCALE * _elu_derivative(x, _SELU_ALPHA)


def _celu(x, alpha):
    xp = array_namespace(x)
    return xp.where(x > 0, x, alpha * xp.expm1(xp.where(x > 0, 0, x) / alpha))


def _celu_derivative(x, alpha):
    xp = array_namespace(x)
    return xp.where(x > 0, xp.ones_like(x), xp.exp(xp.where(x > 0, 0, x) / alpha))


def _relu6(x):
    return array_namespace(x).clip(x, 0, 6)


def _relu6_derivative(x):
    return ((x > 0) & (x <= 6)) * array_namespace(x).ones_like(x)


def _hard_swish(x):
    return x * array_namespace(x).clip(x + 3, 0, 6) / 6


def _hard_swish_derivative(x):
    xp = array_namespace(x)
    outside = (x > 3) * xp.ones_like(x)
    return xp.where((x > -3) & (x <= 3), (2 * x + 3) / 6, outside)


def _mish(x):
    xp = array_namespace(x)
    return x * xp.tanh(xp.logaddexp(x, 0.0))


def _mish_derivative(x):
    xp = array_namespace(x)
    gate = xp.tanh(xp.logaddexp(x, 0.0))
    near = xp.clip(x, -_MISH_FAR, _MISH_FAR)
    return gate + near * (1 - gate) * (1 + gate) * special_namespace(xp).expit(x)


def _softsign(x):
    return x / (1 + abs(x))


def _softsign_derivative(x):
    return 1 / (1 + abs(x)) ** 2


def _arctan(x):
    return array_namespace(x).arctan(x)


def _arctan_derivative(x):
    return 1 / (1 + x * x)


def _gelu_tanh(x):
    rate, cubic = _GELU_TANH
    return x * special_namespace(array_namespace(x)).expit(rate * (x + cubic * x * x * x))


def _gelu_tanh_derivative(x):
    xp, (rate, cubic) = array_namespace(x), _GELU_TANH
    gate = special_namespace(xp).expit(rate * (x + cubic * x * x * x))
    near = xp.clip(x, -30.0, 30.0)  # beyond, gate (1 - gate) is 0
    return gate + near * gate * (1 - gate) * rate * (1 + 3 * cubic * near * near)


relu = Activation("relu", _relu, slopes=(0.0, 1.0), kinks=(0.0,), derivative_fn=_step)
absolute = Activation(
    "absolute", _abs, slopes=(-1.0, 1.0), kinks=(0.0,), derivative_fn=_abs_derivative
)
linear = Activation("linear", _linear, slopes=(1.0, 1.0), derivative_fn=_linear_derivative)
tanh = Activation("tanh", _tanh, derivative_fn=_tanh_derivative)
erf = Activation("erf", _erf, derivative_fn=_erf_derivative)
sin = Activation("sin", _sin, derivative_fn=_sin_derivative)
arctan = Activation("arctan", _arctan, derivative_fn=_arctan_derivative)
softsign = Activation("softsign", _softsign, kinks=(0.0,), derivative_fn=_softsign_derivative)
sigmoid = Activation("sigmoid", _sigmoid, derivative_fn=_sigmoid_derivative)
softplus = Activation("softplus", _softplus, derivative_fn=_softplus_derivative)
gelu = Activation("gelu", _gelu, derivative_fn=_gelu_derivative)
gelu_tanh = Activation("gelu_tanh", _gelu_tanh, derivative_fn=_gelu_tanh_derivative)
silu = Activation("silu", _silu, derivative_fn=_silu_derivative)
swish = silu
mish = Activation("mish", _mish, derivative_fn=_mish_derivative)
selu = Activation("selu", _selu, kinks=(0.0,), derivative_fn=_selu_derivative)
relu6 = Activation("relu6", _relu6, kinks=(0.0, 6.0), derivative_fn=_relu6_derivative)
hard_swish = Activation(
    "hard_swish", _hard_swish, kinks=(-3.0, 3.0), derivative_fn=_hard_swish_derivative
)
x_tanh = Activation("x_tanh", _x_tanh, derivative_fn=_x_tanh_derivative)
x2_tanh = Activation("x2_tanh", _x2_tanh, derivative_fn=_x2_tanh_derivative)


def leaky_relu(negative_slope: float = 0.01) -> Activation:
    """x for x > 0, negative_slope * x for x < 0."""
    slope = validate.real("negative_slope", negative_slope, remedy="0.01 is the usual choice.")
    return Activation(
        "leaky_relu",
        _leaky_relu,
        parameters=(("negative_slope", slope),),
        slopes=(slope, 1.0),
        kinks=(0.0,),
        derivative_fn=_leaky_relu_derivative,
    )


def elu(alpha: float = 1.0) -> Activation:
    """x for x > 0, alpha (e^x - 1) for x < 0; phi' continuous only for alpha = 1.

    Reference: arXiv 1511.07289.
    """
    scale = validate.real("alpha", alpha, remedy="1 is the usual choice.")
    parameters = (("alpha", scale),)
    return Activation("elu", _elu, parameters, None, (0.0,), _elu_derivative)


def celu(alpha: float = 1.0) -> Activation:
    """x for x > 0, alpha (e^(x / alpha) - 1) for x < 0; phi'' jumps at 0.

    Reference: arXiv 1704.07483.
    """
    scale = validate.positive("alpha", alpha, "1 is the usual choice.")
    parameters = (("alpha", scale),)
    return Activation("celu", _celu, parameters, None, (0.0,), _celu_derivative)


def _itself(activation: Activation) -> Activation:
    return activation


_PLAIN = (
    *(relu, absolute, linear, tanh, erf, sin, arctan, softsign, sigmoid, softplus),
    *(gelu, gelu_tanh, silu, mish, selu, relu6, hard_swish, x_tanh, x2_tanh),
)
FAMILIES: tuple[Callable[..., Activation], ...] = (leaky_relu, elu, celu)
BUILTIN: dict[str, Callable[..., Activation]] = {
    **{family.__name__: family for family in FAMILIES},
    **{activation.name: partial(_itself, activation) for activation in _PLAIN},
}
