"""Laws of `di.laws` for kernels and biases as they act."""

from fractions import Fraction

from deepinit.core.laws import Law, constant
from deepinit.reading.constants import short
from deepinit.reading.laws import Drawn
from deepinit.reading.pieces import Array, Matrix
from deepinit.reading.refusals import refusal

_LAWS = "normal, truncated normal, uniform and orthogonal laws of mean 0, times numbers"
_ROUNDING = 2e-7  # of a variance, whose standard deviation is a float32
_DENOMINATOR = 10_000


def kernel_law(matrix: Matrix, factor: float, gaussianize: bool) -> Law:
    """The law of a kernel times a factor.

    Raises SpecError: laws that `di.laws` does not have.
    """
    parameter = matrix.array.view.parameter
    drawn, name = parameter.law, parameter.name
    is_zero = drawn.name == "constant" and drawn.mean == 0.0
    if drawn.name == "constant" and not is_zero:
        raise refusal(name, f"a kernel of equal entries {drawn.mean:g}", "random kernels")
    if drawn.name == "orthogonal":
        shape = parameter.shape
        if sorted(shape) != sorted((matrix.fan_in, matrix.fan_out)) or len(shape) != 2:
            what = "an orthogonal kernel that acts in another shape than it is drawn in"
            raise refusal(name, what, "kernels [fan_in, fan_out]")
    scale = factor * matrix.array.view.factor
    size = matrix.fan_in if matrix.scaling == "fan_in" else 1
    return _drawn_law(name, drawn, scale, size, matrix.scaling, gaussianize)


def bias_law(bias: Array, factor: float, gaussianize: bool) -> Law | None:
    """None for biases that start at 0: they do not act."""
    drawn, name = bias.view.parameter.law, bias.view.parameter.name
    factor *= bias.view.factor
    if drawn.name == "constant":
        return constant(short(factor * drawn.mean)) if drawn.mean else None
    if drawn.name == "orthogonal":
        raise refusal(name, "a bias of an orthogonal law", "independent biases")
    return law_of(name, drawn, factor, gaussianize)


def law_of(name: str, drawn: Drawn, factor: float, gaussianize: bool) -> Law:
    """The law of a vector times a factor, scaling `absolute`."""
    return _drawn_law(name, drawn, factor, 1, "absolute", gaussianize)


def _drawn_law(
    name: str, drawn: Drawn, factor: float, size: int, scaling: str, gaussianize: bool
) -> Law:
    variance = neat((drawn.std * factor) ** 2 * size)
    if drawn.name == "unknown":
        raise refusal(name, f"a law that is not recognized: {drawn.reason}", _LAWS)
    if abs(drawn.mean) > 1e-6 * drawn.std and drawn.name != "constant":
        raise refusal(name, f"a {drawn.name} law of mean {drawn.mean * factor:g}", _LAWS)
    if drawn.name in ("normal", "constant"):
        return Law("normal", variance, scaling)  # type: ignore[arg-type]
    if gaussianize and drawn.name in ("truncated_normal", "uniform"):
        return Law("normal", variance, scaling)  # type: ignore[arg-type]
    if drawn.name == "truncated_normal" and not drawn.has_usual_cut:
        what = f"a normal law truncated at {drawn.cut:g} standard deviations"
        remedy = "Write network.with_gaussian_weights() for the Gaussian law of its variance."
        raise refusal(name, what, "truncation at 2", remedy)
    return Law(drawn.name, variance, scaling)  # type: ignore[arg-type]


def neat(variance: float) -> float:
    """The simple fraction within the rounding of a float32, or the number itself."""
    simple = float(Fraction(variance).limit_denominator(_DENOMINATOR))
    return simple if abs(simple - variance) <= _ROUNDING * variance else variance
