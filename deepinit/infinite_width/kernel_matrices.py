"""Kernel matrices of networks at infinite width, in blocks of rows."""

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.layers.containers import mixes_batch
from deepinit.core.layers.layer import Layer, Shape
from deepinit.core.layers.program import Program, program
from deepinit.core.layers.raw_inputs import check_raw
from deepinit.core.specs import Spec
from deepinit.infinite_width.blocks import equal_slices
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import check_output_layer, kernel_layers
from deepinit.infinite_width.residual import closure
from deepinit.infinite_width.validate import checked_limit

KINDS = ("nngp", "ntk")
_ENTRIES = 2**16  # of a block of kernels between positions: 0.5 MB
_MANY = 2**18  # pairs that pay for another compilation


class Matrices(NamedTuple):
    """Kernels of an output: [num_first, num_second], or None."""

    nngp: np.ndarray
    ntk: np.ndarray | None


def kernels(
    net: Any,
    x1: Any,
    x2: Any = None,
    kind: Literal["nngp", "ntk"] = "nngp",
    *,
    batch: int | None = None,
    positions: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Kernel matrix of a network's outputs at infinite width.

    Args:
        net: a composed network (`di.layers`) or an architecture, with one vector as output.
        x1: [num_first, dimension], [num_first, *positions, channels], or `Inputs` (points, then
            partners).
        x2: likewise; None for x1, which halves the cost.
        kind: `nngp`, covariance of an output; `ntk`, NTK parametrization, all parameters trained.
        batch: rows of a block; None for 0.5 MB blocks. Memory: the result, and about ten arrays of
            batch^2 positions^2 float64; batch^2 positions for convolutions up to Flatten.
        positions: of flattened inputs, (length,) or (height, width).

    Returns: [num_first, num_second], float64; symmetric for x2=None. Accuracy:
        `interpreter.interpret`.
    Raises SpecError: outputs with positions; a layer without a rule; unresolved activations;
        kernels not finite.
    Valid for: infinite width, fixed depth; error O(depth/width).
    Reference: arXiv 1711.00165 (NNGP), arXiv 1806.07572 (NTK).
    """
    validate.choice("kind", kind, KINDS)
    both = kernel_matrices(net, x1, x2, ntk=kind == "ntk", batch=batch, positions=positions)
    return both.nngp if both.ntk is None or kind == "nngp" else both.ntk


def kernel_matrices(
    net: Any,
    x1: Any,
    x2: Any = None,
    *,
    ntk: bool = True,
    batch: int | None = None,
    positions: tuple[int, ...] | None = None,
) -> Matrices:
    """NNGP and NTK; arguments as for `kernels`."""
    from deepinit.infinite_width.interpreter import plain_refusals
    from deepinit.infinite_width.programs import keeps_positions_apart

    first, shape = rows_of(x1, positions)
    second = None if x2 is None else rows_of(x2, positions)[0]
    if closure(net):  # of all pairs at once
        return _of_closed_streams(net, first, second)
    net = program_of(net, shape)
    if second is not None and first.shape[1] != second.shape[1]:
        given = f"x1 of dimension {first.shape[1]} and x2 of dimension {second.shape[1]}"
        raise SpecError(given, "equal dimensions", "Take x2 of the same kind.")
    couples = mixes_batch(net.body)
    if couples and second is not None:
        given = "kernels between two lists of inputs that a batch norm mixes"
        raise SpecError(given, "one list, x2=None", "Give the whole batch as x1.")
    if couples:
        from deepinit.infinite_width.interpreter import interpret

        output = interpret(net, first, ntk=ntk, at_sites=False).output
        parts = (None if part is None else part[:, :, 0, 0] for part in output[:2])
        return Matrices(*parts)  # type: ignore[arg-type]
    if batch is None:
        power = 1 if keeps_positions_apart(net) else 2
        pairs = max(1.0, _ENTRIES / _most_positions(net) ** power)
        batch = max(1, math.isqrt(int(pairs)))
    batch = validate.integer("batch", batch, 1, "Leave it out.")
    with host_float64(), plain_refusals():
        return checked_limit(_in_blocks(net, first, second, ntk, batch), is_kernel=True)


def rows_of(x: Any, positions: tuple[int, ...] | None) -> tuple[np.ndarray, Shape]:
    """Inputs as rows [num, dimension], and the shape of one."""
    if isinstance(x, Inputs):
        rows = np.concatenate([x.points, x.partners])
        own: Any = getattr(x, "positions", ())
        tokens = getattr(x, "tokens", False)
    else:
        array = validate.array("inputs", x, remedy="One input a row.")
        if array.ndim < 2:
            given = f"inputs of shape {array.shape}"
            raise SpecError(given, "[num, dimension]", "One input a row.")
        rows, own, tokens = array.reshape(len(array), -1), array.shape[1:-1], False
    if positions is not None:
        own = tuple(validate.integer("positions", size, 1) for size in positions)
    count = math.prod(own)
    if rows.shape[1] % count:
        given = f"positions={own} of inputs of dimension {rows.shape[1]}"
        raise SpecError(given, "positions that divide the dimension", "Check positions.")
    return rows, Shape(own, rows.shape[1] // count, tokens)


def program_of(net: Any, shape: Shape) -> Program:
    """The network as a program with one vector as output."""
    remedy = "Example: di.MLP((256,) * 3, output_width=1)."
    validate.instance("net", net, Spec | Layer, "a network of di.layers, or di.MLP, ...", remedy)
    if not isinstance(net, Layer):
        check_output_layer(net)
    result = program(net, shape)
    if isinstance(net, Layer):
        check_raw(result)
    if result.output_shape.num_positions > 1:
        given = f"outputs of {result.output_shape}"
        raise SpecError(given, "one vector", "End in di.layers.Pool() or Flatten(), and Dense(1).")
    return result


def _of_closed_streams(net: Any, first: np.ndarray, second: np.ndarray | None) -> Matrices:
    rows = first if second is None else np.concatenate([first, second])
    nngp, ntk = (part[-1] for part in kernel_layers(net, rows, last_only=True))
    if second is None:
        return Matrices(nngp, ntk)
    num = len(first)
    return Matrices(nngp[:num, num:], ntk[:num, num:])


def _most_positions(net: Program) -> int:
    from deepinit.core.layers.program import sites

    shapes = [site.shape.num_positions for site in sites(net.body, net.body_shape)]
    return max([net.shape.num_positions, net.last_shape.num_positions, *shapes])


def _in_blocks(
    net: Program, first: np.ndarray, second: np.ndarray | None, ntk: bool, batch: int
) -> Matrices:
    from deepinit.infinite_width import interpreter
    from deepinit.infinite_width.programs import ENGINES, Task, run

    sizes = (len(first), len(first if second is None else second))
    result = [np.empty(sizes) for _ in range(1 + ntk)]
    rows = [interpreter.checked_inputs(net, part) for part in (first, second) if part is not None]
    same = interpreter.equal_inputs(net, rows[0], None if second is None else rows[1])
    engines = list(ENGINES[math.prod(sizes) < _MANY :])
    for left in equal_slices(sizes[0], batch):
        for right in equal_slices(sizes[1], batch):
            if second is None and right.start > left.start:
                continue
            block = rows[0][left], rows[-1][right], same[left, right]
            while True:
                _, output = run(net, Task(engines[0], ntk), *block)
                if float(output.missing) <= interpreter.MISSING_SHARE or len(engines) == 1:
                    break
                del engines[0]
            interpreter.check_resolved((), [], output)
            for kernel, part in zip(result, output.kernels, strict=False):
                kernel[left, right] = np.asarray(part)[:, :, 0, 0]
    if second is None:
        upper = np.triu(np.ones(sizes, bool), 1)
        for kernel in result:
            kernel[upper] = kernel.T[upper]
    return Matrices(result[0], result[1] if ntk else None)
