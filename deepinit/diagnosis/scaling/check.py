"""The scaling check: make(width) measured at several widths, exponents, verdicts."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.diagnosis.scaling.fit import fitted
from deepinit.diagnosis.scaling.measure import ENGINE_NAMES, Measured, measured_stack
from deepinit.diagnosis.scaling.parametrizations import (
    NAMES,
    OPTIMIZERS,
    PARAMETRIZATIONS,
    Exponents,
    Optimizer,
    Parametrization,
    parametrization,
    predicted,
)
from deepinit.diagnosis.scaling.result import Row, ScalingCheck
from deepinit.networks.network import Network

WIDTHS = (64, 256, 1024, 4096, 16384)
_LARGEST = 3  # widths of the asymptotic fit
_DIMENSION = 16  # of the default inputs


def scaling_check(
    make: Callable[[int], Any],
    widths: Sequence[int] = WIDTHS,
    *,
    parametrization: str | Parametrization = "standard",
    optimizer: str | Callable[[int], Any] = "sgd",
    inputs: Inputs | None = None,
    num_networks: int = 30,
    width: int | None = None,
    engine: str = "conditional",
    key: int = 0,
) -> ScalingCheck:
    """How forward pass and first step of training scale with width, layer by layer.

    Measured at every width, at learning rate 0: the size of each layer, the change of its output by
    its own matrix (own change), by this and all earlier matrices (total change), and the change of
    the network's output. At two inputs: a new one, and the first training input. Own changes are
    what parametrizations differ by; total changes hide them behind those of earlier layers.

    Args:
        make: width -> `di.MLP` or a plain stack of `di.layers` (dense layers and one activation,
            scalar output), or width -> one's own `di.Network` or flax module.
        widths: three or more, increasing.
        parametrization: `standard`, `ntk`, `mup`, `mean_field`, or a `Parametrization`; scales
            readout and learning rates of a spec. Of one's own network all are compared.
        optimizer: `sgd`, or `adam`, whose first step is the sign of the gradient. Of one's own
            network also a function of width to an optax transformation, with its learning rates.
        inputs: the training batch, and the new input last; None for a batch of one and a new input,
            Gaussian of dimension 16.
        num_networks: at every width.
        width: at which the local exponent is shown; None for the smallest.
        engine: `conditional` forms no n x n matrix; `explicit` does, for checks.
        key: of the networks.

    Exponents are fitted at the three largest widths, with bootstrap errors over networks. A row
    fails if |z| > 4 and the difference is above 0.1.

    Cost of a spec: O(n) per network with SGD, or with Adam on a batch of one; O(n^2 batch) time
    with Adam on larger batches. Adam on one's own network forms its matrices.

    Raises SpecError: other networks; laws of weights that are not normal; inputs of one row.
    Reference: Yang and Hu 2021, 2011.14522; coordinate check of Yang et al. 2022, 2203.03466.
    """
    if not callable(make):
        given, remedy = f"make={make!r:.80}", "Write lambda n: di.MLP((n,) * 3)."
        raise SpecError(given, "a function of width to a network", remedy)
    sizes = validate.widths(widths, 3, "Write (64, 256, 1024).")
    if list(sizes) != sorted(set(sizes)):
        raise SpecError(f"widths={tuple(widths)}", "increasing widths", "Sort them.")
    num_networks = validate.integer("num_networks", num_networks, 2, "30 is usual.")
    validate.choice("engine", engine, ENGINE_NAMES)
    shown = sizes[0] if width is None else validate.integer("width", width, 1)
    batch = _default_inputs() if inputs is None else inputs
    if batch.num_rows < 2:
        given, allowed = "inputs of one row", "a training batch, and a new input last"
        raise SpecError(given, allowed, "Write di.inputs.points(rows) of two rows or more.")
    models = [make(size) for size in sizes]
    if _is_own(models[0]):
        from deepinit.diagnosis.scaling.own import measured_network

        results = [
            measured_network(model, size, optimizer, batch, num_networks, engine, key)
            for model, size in zip(models, sizes, strict=True)
        ]
        candidates = _candidates(optimizer)
        name, expected = "", None
    else:
        if optimizer not in OPTIMIZERS:
            remedy = "Optax transformations are for one's own networks."
            raise SpecError(f"optimizer={optimizer!r:.80}", ", ".join(OPTIMIZERS), remedy)
        scheme, how = _parametrization(parametrization), cast(Optimizer, optimizer)
        results = [
            measured_stack(model, size, scheme, optimizer, batch, num_networks, engine, key)
            for model, size in zip(models, sizes, strict=True)
        ]
        name, expected = NAMES.get(scheme.name, scheme.name), predicted(scheme, how)
        candidates = {NAMES[n]: predicted(n, how) for n in PARAMETRIZATIONS}
    if any(each.labels != results[0].labels for each in results):
        remedy = "Change widths alone, not the number or names of layers."
        raise SpecError("networks whose layers differ between widths", "equal layers", remedy)
    rows = _rows(sizes, results, expected, candidates, key)
    text = optimizer if isinstance(optimizer, str) else getattr(optimizer, "__name__", "own")
    return ScalingCheck(sizes, rows, name, text, num_networks, shown)


_parametrization = parametrization


def _default_inputs() -> Inputs:
    from deepinit.core.inputs import points

    return points(np.random.default_rng(0).standard_normal((2, _DIMENSION)))


def _is_own(model: Any) -> bool:
    if isinstance(model, Network):
        return True
    return type(model).__module__.split(".")[0] != "deepinit" and hasattr(model, "apply")


def _candidates(optimizer: Any) -> dict[str, Exponents]:
    """Parametrizations that an own network is compared with.

    With one learning rate for all layers they differ by their readouts alone.
    """
    if optimizer in OPTIMIZERS:
        unit = (0.0, 0.0, 0.0)
        readouts = {"standard, NTK": 0.5, "muP, mean field": 1.0}
        return {
            name: predicted(Parametrization(name, r, unit, unit), optimizer)
            for name, r in readouts.items()
        }
    return {
        f"{NAMES[name]} ({text})": predicted(name, cast(Optimizer, how))
        for how, text in zip(OPTIMIZERS, ("SGD", "Adam"), strict=True)
        for name in PARAMETRIZATIONS
    }


def _rows(
    widths: tuple[int, ...],
    results: list[Measured],
    expected: Exponents | None,
    candidates: dict[str, Exponents],
    key: int,
) -> tuple[Row, ...]:
    fit = fitted(np.array(widths), [each.squares for each in results], _LARGEST, key)
    rows = []
    for at, label in enumerate(results[0].labels):
        if not np.isfinite(fit.exponent[at]):
            continue
        exponent, error = float(fit.exponent[at]), float(fit.exponent_error[at])
        found = None if expected is None else exponent_of(expected, label.role, label.part)
        guides = {}
        if label.part != "total change" or label.role == "output":
            guides = {
                name: exponent_of(each, label.role, label.part) for name, each in candidates.items()
            }
        rows.append(
            Row(
                *label,
                fit.values[:, at],
                fit.errors[:, at],
                exponent,
                error,
                fit.local[:, at],
                fit.local_error[:, at],
                found,
                guides,
            )
        )
    return tuple(rows)


def exponent_of(exponents: Exponents, role: str, part: str) -> float:
    """The predicted power of n of a row."""
    if part == "size":
        return exponents.output if role == "output" else 0.0
    if role == "output":
        return exponents.change
    if part == "own change" or role == "first":
        return {"first": exponents.first, "hidden": exponents.hidden}.get(role, exponents.readout)
    return max(exponents.first, exponents.hidden)
