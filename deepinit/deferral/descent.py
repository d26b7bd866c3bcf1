"""Where a program multiplies by an array that descends linearly from a draw."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp

from deepinit.deferral.program import CALLS, Equation, Program, flatten, joined
from deepinit.deferral.scans import layout_of

Shape = tuple[int, ...]


class Site(NamedTuple):
    """A product with a drawn array.

    Attributes:
        path: numbers of the loops around, and of the equation.
        name: of the modules around, or of the draw.
        order: axes of the result, as [*batch, *rows, *columns].
        shape: of the result in this order, after one axis for each loop.
        columns: number of its last axes that are the columns of the drawn array.
    """

    path: tuple[int, ...]
    name: str
    order: tuple[int, ...]
    shape: Shape
    dtype: Any
    columns: int


class Marked(NamedTuple):
    """What is found in a program.

    Attributes:
        sites: in order.
        origins: names of draws by the variables that are linear in them.
        inner: ids of functions with derivative rules of their own in which there are sites.
    """

    sites: tuple[Site, ...]
    origins: dict[int, str]
    inner: frozenset[int]


def marked(
    program: Program,
    inputs: dict[int, str],
    path: tuple[int, ...] = (),
    name: str = "",
    lengths: Shape = (),
) -> Marked:
    """The products of a program with drawn arrays, loops included.

    Args:
        inputs: draws of the inputs that are linear in some.
        path, name, lengths: of the loops around.
    """
    origins, sites = dict(inputs), list[Site]()
    inner = set[int]()
    for number, equation in enumerate(program.equations):
        own = [origins.get(x) if isinstance(x, int) else None for x in equation.inputs]
        here, label = (*path, number), joined(name, equation.name)
        found: list[str | None] = [None] * len(equation.outputs)
        if equation.body is not None:
            body, found = _of_loop(equation, own, here, label, lengths)
            sites += body.sites
            inner |= body.inner
        elif equation.draw is not None:
            found = [label or _described(equation)]
        elif any(own) and has_own_derivative(equation):
            function = inner_function(equation)
            within = flatten(function)
            if marked(within, _named(within.inputs, own)).sites:
                inner.add(id(function))
        elif (found_axes := _axes(equation, own)) is not None:
            order, columns = found_axes
            shape, dtype = equation.shapes[0].shape, equation.shapes[0].dtype
            shape = (*lengths, *(shape[axis] for axis in order))
            origin = next(origin for origin in (*own[1::-1], "") if origin is not None)
            label = _without_einsums(label) or origin
            sites.append(Site(here, label, order, shape, dtype, columns))
        else:
            found = _linear(equation, own)
        origins |= _named(equation.outputs, found)
    return Marked(tuple(sites), origins, frozenset(inner))


def _named(variables: Any, names: list[str | None]) -> dict[int, str]:
    return {x: name for x, name in zip(variables, names, strict=True) if name is not None}


def _of_loop(
    equation: Equation, own: list[str | None], path: Any, name: str, lengths: Shape
) -> tuple[Marked, list[str | None]]:
    """Of its body; draws of its outputs."""
    layout, body = layout_of(equation), equation.body
    assert body is not None
    entering, first, last = list(own), layout.num_consts, layout.num_consts + layout.num_carry
    while True:
        inputs = _named(body.inputs, entering)
        found = marked(body, inputs, path, name, (*lengths, layout.length))
        leaving = [found.origins.get(x) if isinstance(x, int) else None for x in body.outputs]
        carry = entering[first:last]
        kept = [old and new and old for old, new in zip(carry, leaving, strict=False)]
        if kept == carry:
            return found, leaving
        entering[first:last] = kept


def _described(equation: Equation) -> str:
    assert equation.draw is not None
    return f"{equation.draw.law}_" + "x".join(map(str, equation.shapes[0].shape))


def _without_einsums(name: str) -> str:
    """Names of modules alone."""
    return "/".join(part for part in name.split("/") if "->" not in part)


def has_own_derivative(equation: Any) -> bool:
    """Whether it calls a function with a derivative rule."""
    return equation.primitive.name.startswith(("custom_jvp_call", "custom_vjp_call"))


def inner_function(equation: Any) -> Any:
    """The function that is called."""
    return equation.params[CALLS[equation.primitive.name]]


def _axes(equation: Equation, own: list[str | None]) -> tuple[tuple[int, ...], int] | None:
    """Axes of a product with a drawn array as [*batch, *rows, *columns], and the number of columns;
    None of others.
    """
    name, shape = equation.primitive.name, equation.shapes[0].shape
    if not any(own[:2]) or not jnp.issubdtype(equation.shapes[0].dtype, jnp.floating):
        return None
    axes = tuple(range(len(shape)))
    if name == "dot_general":
        inner, batch = equation.params["dimension_numbers"]
        sizes = (
            len(shape) - len(i) - len(b)
            for shape, i, b in zip(equation.operand_shapes, inner, batch, strict=True)
        )
        first, second = sizes
        if own[1]:
            return axes, second
        count = len(batch[0])
        columns = count + first
        return (*axes[:count], *axes[columns:], *axes[count:columns]), first
    if name == "conv_general_dilated":
        image, features, *positions = equation.params["dimension_numbers"].out_spec
        return (image, *positions, features), 1
    if name == "gather" and not _is_slice(equation):
        columns_of = equation.params["dimension_numbers"].offset_dims
        return (*(x for x in axes if x not in columns_of), *columns_of), len(columns_of)
    return (axes, 1) if name in ("ragged_dot", "ragged_dot_general") else None


def _is_slice(equation: Equation) -> bool:
    """Whether a gather takes one matrix from a stack."""
    is_one = math.prod(equation.operand_shapes[1][:-1]) == 1
    return is_one and _is_matrix(equation.shapes[0].shape)


def _is_matrix(shape: Shape) -> bool:
    """A drawn vector in a sum of activations is a bias."""
    return sum(size != 1 for size in shape) > 1


# Linear in the first operand.
_UNARY = frozenset(
    {
        *("neg", "convert_element_type", "reduce_precision", "copy", "copy_p", "name"),
        *("reshape", "transpose", "squeeze", "expand_dims", "rev", "pad", "reduce_sum"),
        *("slice", "dynamic_slice", "split", "unstack", "gather", "sharding_constraint"),
    }
)


def _linear(equation: Equation, own: list[str | None]) -> list[str | None]:
    """Draws in which the outputs are linear."""
    name, shapes, size = equation.primitive.name, equation.operand_shapes, equation.shapes[0].size
    drawn = [place for place, origin in enumerate(own) if origin]
    if name == "optimization_barrier":
        return own
    if name in _UNARY:
        kept = own[:1]
    elif name == "broadcast_in_dim":
        kept = [own[0] for place in drawn if math.prod(shapes[place]) == size]
    elif name == "concatenate":
        kept = [own[place] for place in drawn if _is_matrix(shapes[place])]
    elif name in ("add", "add_any", "sub", "select_n"):
        terms = range(name == "select_n", len(own))  # the first operand selects
        are_all = set(terms) <= set(drawn)
        kept = [own[x] for x in drawn if are_all or _is_whole_matrix(shapes[x], size)]
    elif name == "mul" or (name == "div" and drawn == [0]):
        is_number = [math.prod(shape) == 1 for shape in shapes]
        kept = [
            own[place]
            for place in drawn
            if len(drawn) == 1 and (is_number[1 - place] or _is_whole_matrix(shapes[place], size))
        ]
    else:
        kept = []
    return [kept[0] if kept else None] * len(equation.outputs)


def _is_whole_matrix(shape: Shape, size: int) -> bool:
    return _is_matrix(shape) and math.prod(shape) == size
