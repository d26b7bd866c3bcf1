"""The parameters of `jax.lax.scan`, whose form depends on the version of JAX."""

from typing import Any, NamedTuple


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
    try:
        if "ft_in" in params:  # JAX 0.12: a tree of leaves None, (constants, carries, slices)
            num_consts, num_carry, _ = map(len, params["ft_in"].unpack())
        else:
            num_consts, num_carry = params["num_consts"], params["num_carry"]
        found = Layout(
            num_consts, num_carry, params["length"], params["reverse"], params.get("unroll", 1)
        )
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"scan with parameters {sorted(params)}") from error
    return found
