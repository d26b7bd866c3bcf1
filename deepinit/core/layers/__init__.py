"""Layers: frozen data that every route interprets by its own rules.

A network is a layer: `Sequential(Dense(256), Activation("relu"), Dense(1))`.
"""

import importlib
import pkgutil

from deepinit.core.layers.attention import Attention, AttentionMix, Positions
from deepinit.core.layers.containers import Block, Repeat, Residual, Sequential, Tied
from deepinit.core.layers.layer import Layer, Shape, Table, output_shape
from deepinit.core.layers.linear import Conv, Dense, Embed, MeanDense
from deepinit.core.layers.neuronwise import Activation, Dropout, Gate
from deepinit.core.layers.norms import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from deepinit.core.layers.outline import Outline, outline
from deepinit.core.layers.parameters import (
    PARAMETERS,
    Parameter,
    check_batches,
    num_parameters,
    parameters,
)
from deepinit.core.layers.pooling import Flatten, Pool
from deepinit.core.layers.program import Program, expanded, program, shape_of, sites
from deepinit.core.layers.records import layer_from_json, layer_kinds
from deepinit.core.layers.summary import Summary, is_conditional, summary

# every file here registers its layers; a new kind is a name of this package without an entry above
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
globals().update(layer_kinds())

__all__ = [
    "PARAMETERS",
    "Activation",
    "Attention",
    "AttentionMix",
    "BatchNorm",
    "Block",
    "Conv",
    "Dense",
    "Dropout",
    "Embed",
    "Flatten",
    "Gate",
    "GroupNorm",
    "Layer",
    "LayerNorm",
    "MeanDense",
    "Outline",
    "Parameter",
    "Pool",
    "Positions",
    "Program",
    "RMSNorm",
    "Repeat",
    "Residual",
    "Sequential",
    "Shape",
    "Summary",
    "Table",
    "Tied",
    "check_batches",
    "expanded",
    "is_conditional",
    "layer_from_json",
    "num_parameters",
    "outline",
    "output_shape",
    "parameters",
    "program",
    "shape_of",
    "sites",
    "summary",
]
