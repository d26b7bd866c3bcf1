"""Shared parts of specs: checks, defaults, JSON records."""

from typing import Any

from deepinit.core import validate
from deepinit.core.activations import as_activation, linear
from deepinit.core.defaults import choose
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import default_weight_var
from deepinit.core.laws import Law, normal
from deepinit.core.layers import (
    Dense,
    Layer,
    MeanDense,
    Program,
    Repeat,
    Residual,
    Sequential,
    Shape,
)
from deepinit.core.matrix_laws import MatrixLaw, acts_on_rows

LAWS = ("embedding_law", "weight_law", "branch_law", "bias_law", "output_law")
WEIGHT_LAWS = tuple(name for name in LAWS if name != "bias_law")


def complete(spec: Any, *, default_law: Law | None = None, structured: bool = False) -> None:
    """Check and complete activation, laws and output layer of a new spec.

    `default_law`: of weights; None for `normal(default_weight_var(activation))`. `structured`:
    allows `MatrixLaw`.
    """
    object.__setattr__(spec, "activation", as_activation(spec.activation))
    for name in LAWS:
        law = getattr(spec, name, None)
        _check_law(name, law, structured and name in ("weight_law", "bias_law"))
        if name != "bias_law" and isinstance(law, Law) and not law.is_symmetric:
            remedy = "Constants are for biases only."
            raise SpecError(f"{name}={law.name}", "laws symmetric about 0", remedy)
    if spec.weight_law is None:
        if default_law is None:
            default_law = normal(default_weight_var(spec.activation))
        choose(spec, "weight_law", default_law)
    scalings = ("absolute", "depth") if structured else ("absolute",)
    if spec.bias_law is not None and spec.bias_law.scaling not in scalings:
        given = f"a bias law with scaling {spec.bias_law.scaling!r}"
        remedy = "Write for example di.normal(0.01, scaling='absolute')."
        raise SpecError(given, f"scaling {' or '.join(map(repr, scalings))}", remedy)
    if spec.output_width is not None:
        width = checked_width(spec.output_width, "of the output layer")
        object.__setattr__(spec, "output_width", width)
        if spec.output_law is None:
            choose(spec, "output_law", normal(1.0))
    elif spec.output_law is not None:
        given = "an output law without an output layer"
        raise SpecError(given, "both or neither", "Give output_width too.")


def laws_of(spec: Any, names: tuple[str, ...] = LAWS) -> dict[str, Any]:
    """Name -> law, without None."""
    return {name: law for name in names if (law := getattr(spec, name, None)) is not None}


def has_conditional_map(spec: Any) -> bool:
    """Whether weight laws act on rows without drawing the matrix."""
    return all(acts_on_rows(law) for law in laws_of(spec, WEIGHT_LAWS).values())


def is_residual_homogeneous(spec: Any) -> bool:
    """Whether activations are homogeneous, without bias and drift."""
    has_drift = isinstance(spec.weight_law, MatrixLaw) and not spec.weight_law.is_symmetric
    homogeneous = spec.activation.is_homogeneous and spec.inner_activation.is_homogeneous
    return homogeneous and spec.bias_law is None and not has_drift


def check_matrix_laws(spec: Any, fan_out: int, fan_in: int) -> None:
    """Raise SpecError for a `MatrixLaw` of another shape."""
    for name, shape in (("weight_law", (fan_out, fan_in)), ("bias_law", (fan_out, 1))):
        law = getattr(spec, name)
        if isinstance(law, MatrixLaw) and law.shape != shape:
            remedy = "Give covariances of the layer's own sizes."
            raise SpecError(f"{name} of a matrix {law.shape}", f"shape {shape}", remedy)


def common_json(spec: Any) -> dict[str, Any]:
    """Activations, laws, output width."""
    inner = getattr(spec, "inner_activation", linear)
    laws = {name: law.to_json() for name, law in laws_of(spec).items()}
    return {
        **({} if inner == linear else {"inner_activation": inner.to_json()}),
        "activation": spec.activation.to_json(),
        **laws,
        **({} if spec.output_width is None else {"output_width": spec.output_width}),
    }


def readout_layer(spec: Any) -> Dense | None:
    """The output layer; only biases of scaling `absolute` have one there."""
    if spec.output_width is None:
        return None
    bias_law = spec.bias_law
    if bias_law is not None and bias_law.scaling != "absolute":
        bias_law = None
    kind = Dense if spec.positions == 1 else MeanDense
    return kind(spec.output_width, spec.output_law, bias_law)


def residual_program(spec: Any, shape: Shape, embedding: Layer | None, branch: Any) -> Program:
    """Repeated residual blocks; key numbers: l of block l, 2 of an outer matrix in it."""
    keys = (None, None, None, 2)[: len(branch)]
    body = Repeat(Residual(Sequential(*branch, keys=keys)), spec.depth)
    readout, depth = readout_layer(spec), spec.depth
    return Program(shape, embedding, body, readout, depth + 2, depth + 1, depth)


def checked_width(given: Any, where: str) -> int:
    """Number of neurons, >= 1; 3.0 counts as 3."""
    return _whole(f"width {given!r} {where}", given, "Give a whole number of neurons.")


def checked_count(name: str, given: Any, remedy: str) -> int:
    """Number of layers or positions, >= 1."""
    return _whole(f"{name}={given!r}", given, remedy)


def _whole(text: str, given: Any, remedy: str) -> int:
    number = validate.whole_number(given)
    if number is None or number < 1:
        raise SpecError(text, "integers >= 1", remedy)
    return number


def _check_law(name: str, law: Any, structured: bool) -> None:
    kinds = (Law, MatrixLaw) if structured else (Law,)
    if law is not None and not isinstance(law, kinds):
        example = "di.normal(0.01, scaling='absolute')" if name == "bias_law" else "di.normal(2.0)"
        correlated = "; correlated entries are for shallow residual blocks"
        allowed = "a law, or None for the default" + correlated * isinstance(law, MatrixLaw)
        raise SpecError(f"{name}={law!r}", allowed, f"Write for example {example}.")
