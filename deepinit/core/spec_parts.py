"""What all specs share: checks of widths and laws, defaults, the common part of the JSON record."""

from typing import Any

from deepinit.core import validate
from deepinit.core.activations import as_activation
from deepinit.core.defaults import choose
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import default_weight_var
from deepinit.core.laws import Law, normal
from deepinit.core.matrix_laws import MatrixLaw

LAWS = ("embedding_law", "weight_law", "branch_law", "bias_law", "output_law")
WEIGHT_LAWS = tuple(name for name in LAWS if name != "bias_law")


def complete(spec: Any, *, default_law: Law | None = None, structured: bool = False) -> None:
    """Checks and completes activation, laws and output layer.

    Args:
        spec: a spec under construction.
        default_law: of the weights; None takes `normal(default_weight_var(activation))`.
        structured: may weights and biases have a `MatrixLaw`?
    """
    object.__setattr__(spec, "activation", as_activation(spec.activation))
    for name in LAWS:
        law = getattr(spec, name, None)
        allowed = structured and name in ("weight_law", "bias_law")
        _check_law(name, law, allowed)
        if name != "bias_law" and isinstance(law, Law) and not law.is_symmetric:
            raise SpecError(
                f"{name}={law.name}", "laws symmetric about 0", "Constants are for biases only."
            )
    if spec.weight_law is None:
        law = (
            default_law if default_law is not None else normal(default_weight_var(spec.activation))
        )
        choose(spec, "weight_law", law)
    scalings = ("absolute", "depth") if structured else ("absolute",)
    if spec.bias_law is not None and spec.bias_law.scaling not in scalings:
        raise SpecError(
            f"a bias law with scaling {spec.bias_law.scaling!r}",
            "scaling 'absolute': the variance of one bias"
            + (", or 'depth': divided by the number of blocks" if structured else ""),
            "Write for example di.normal(0.01, scaling='absolute').",
        )
    if spec.output_width is not None:
        object.__setattr__(
            spec, "output_width", checked_width(spec.output_width, "of the output layer")
        )
        if spec.output_law is None:
            choose(spec, "output_law", normal(1.0))
    elif spec.output_law is not None:
        raise SpecError(
            "an output law without an output layer", "both or neither", "Give output_width too."
        )


def laws_of(spec: Any, names: tuple[str, ...] = LAWS) -> dict[str, Any]:
    """The laws that the spec has."""
    return {name: law for name in names if (law := getattr(spec, name, None)) is not None}


def acts_on_rows(law: Any) -> bool:
    """Can the law's action on given rows be drawn without the matrix?"""
    return (
        law.has_product_covariance if isinstance(law, MatrixLaw) else law.is_gaussian or law.is_haar
    )


def common_json(spec: Any) -> dict[str, Any]:
    """Activation, laws, output width."""
    laws = {name: law.to_json() for name, law in laws_of(spec).items()}
    output = {"output_width": spec.output_width} if spec.output_width is not None else {}
    return {"activation": spec.activation.to_json(), **laws, **output}


def law_from_json(record: dict[str, Any]) -> Law | MatrixLaw:
    """The law that wrote this record."""
    if record["name"] not in ("matrix_normal", "gaussian_matrix"):
        return Law(**record)
    matrices = {key: _tuples(value) for key, value in record.items() if key != "name"}
    return MatrixLaw(**matrices, name=record["name"])


def checked_width(given: Any, where: str) -> int:
    """A whole number of neurons."""
    width = validate.whole_number(given)
    if width is None or width < 1:
        raise SpecError(
            f"width {given!r} {where}",
            "integers >= 1",
            "Give every layer a whole number of neurons.",
        )
    return width


def checked_count(name: str, given: Any, remedy: str) -> int:
    """A whole number of layers or positions, at least 1."""
    count = validate.whole_number(given)
    if count is None or count < 1:
        raise SpecError(f"{name}={given!r}", "integers >= 1", remedy)
    return count


def _check_law(name: str, law: Any, structured: bool) -> None:
    kinds = (Law, MatrixLaw) if structured else (Law,)
    if law is not None and not isinstance(law, kinds):
        remedy = "di.normal(0.01, scaling='absolute')" if name == "bias_law" else "di.normal(2.0)"
        where = (
            "; correlated entries are for shallow residual blocks"
            if isinstance(law, MatrixLaw)
            else ""
        )
        raise SpecError(
            f"{name}={law!r}",
            f"a law, or None for the default{where}",
            f"Write for example {remedy}.",
        )


def _tuples(rows: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in rows)
