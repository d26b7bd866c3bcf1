"""The parameters of `jax.lax.scan`, whose form depends on the version of JAX."""

from typing import Any, NamedTuple

import jax


class Layout(NamedTuple):
    """Operands are constants, carries and slices, in this order."""

    num_consts: int
    num_carry: int
    length: int
    reverse: bool
    unroll: int


def layout_of(equation: Any) -> Layout:
    """Of a scan; ValueError for parameters of an unknown form."""
    params = equation.params
    length, reverse = params["length"], params["reverse"]
    unroll = params.get("unroll", 1)
    if "num_consts" in params:
        found = Layout(params["num_consts"], params["num_carry"], length, reverse, unroll)
    elif "ft_in" in params:  # JAX 0.12: trees of (constants, carries, slices)
        consts, carry, _ = (len(jax.tree.leaves(part)) for part in params["ft_in"].unpack())
        found = Layout(consts, carry, length, reverse, unroll)
    else:
        raise ValueError(f"parameters of scan: {sorted(params)}")
    if found.num_consts + found.num_carry > len(equation.inputs):
        raise ValueError(f"scan of {len(equation.inputs)} operands with {found}")
    return found
