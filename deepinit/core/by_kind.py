"""Functions with one formula per kind of network, and names of kinds."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from deepinit.core.errors import SpecError
from deepinit.core.layers import Layer


def by_kind(subject: str, table: Mapping[type, Callable[..., Any]]) -> Callable[..., Any]:
    """One function from a table of functions, by the type of the first argument.

    `subject`: what the functions compute, for the refusal. `table`: network type -> function,
    looked up along the MRO; `object` for all other types.
    Raises SpecError: in a call with a type that the table lacks.
    """

    def dispatched(network: Any, *arguments: Any, **options: Any) -> Any:
        for kind in type(network).__mro__:
            if kind in table:
                return table[kind](network, *arguments, **options)
        given = f"{subject} of {kind_text([type(network)])}"
        raise SpecError(given, kind_text(table), "Use di.simulate.")

    return dispatched


def kind_text(kinds: Iterable[type]) -> str:
    """Names of network types: "MLP, ResNet and composed networks"."""
    names = ["composed networks" if issubclass(k, Layer) else k.__name__ for k in kinds]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
