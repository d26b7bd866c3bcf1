"""The table of infinite-width rules, and the application of a rule."""

from collections.abc import Callable
from typing import Any

from deepinit.core.laws import Law
from deepinit.core.layers.layer import Layer, Shape, Table, refuse
from deepinit.core.layers.program import expanded
from deepinit.infinite_width.states import State

InfiniteRule = Callable[[Any, State, Shape, int, str], State]
INFINITE: Table[InfiniteRule] = Table("infinite")


def apply(layer: Layer, state: State, shape: Shape, depth: int, path: str) -> State:
    """State after a layer, by its rule or its expansion's; depth of the network, path for messages.

    Raises SpecError: a layer without a rule, or whose rule refuses.
    """
    rule = INFINITE.get(layer)
    if rule is None and (simpler := expanded(layer, shape)) != layer:
        return apply(simpler, state, shape, depth, path)
    return INFINITE.find(layer, path)(layer, state, shape, depth, path)


def require_gaussian(layer: Layer, state: State, path: str) -> None:
    """Refuse settled columns, or averaged gains, before a layer that acts on every neuron."""
    if not state.gaussian:
        given = "neurons that are not Gaussian at infinite width (no random linear map before it, "
        given += "or another function of neurons in between)"
        remedy = "Put di.layers.Dense before it, or simulate."
        allowed = "columns of random linear maps, their sums, norms and means"
        raise refuse(path, layer, given, allowed, remedy)
    if state.with_ntk and state.blurred:
        given = "the NTK of trained gains in one part of a sum, before a function of neurons"
        raise refuse(path, layer, given, "gain=False, or the NNGP kernel", "Write gain=False.")


def entry_variance(
    layer: Layer, name: str, fan_in: int, depth: int, path: str, *, gaussian: bool = False
) -> Any:
    """Variance of an entry of the law `name`, a number or a placeholder; 0 for None.

    Raises SpecError: dependent entries, a drift, or (if `gaussian`) another law than a normal one.
    """
    law: Any = getattr(layer, name)
    if law is None:
        return 0.0
    if not isinstance(law, Law):
        given = f"a {name} of correlated or drifting entries, at infinite width"
        raise refuse(path, layer, given, "laws of independent entries", "Simulate.")
    if not law.is_symmetric:
        given, remedy = f"a {name} of entries {law.value:g}", "Take a random one, or simulate."
        raise refuse(path, layer, given, "laws symmetric about 0", remedy)
    variance = law.entry_variance(fan_in, depth)
    if gaussian and variance and not (law.is_gaussian or law.is_haar):
        given, remedy = f"a {name} of the law {law.name!r}", "Take di.normal, or simulate."
        raise refuse(path, layer, given, "a normal one, whose sums are Gaussian", remedy)
    return variance
