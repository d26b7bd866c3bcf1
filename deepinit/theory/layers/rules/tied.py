"""Tied weights: no rule at order 1/width."""

from deepinit.core.layers.containers import Tied
from deepinit.theory.layers.rules_table import FIRST_ORDER

_REASON = (
    "columns of a later use have means that depend on the first: products of rows do not close"
)
FIRST_ORDER.without(Tied, _REASON)
