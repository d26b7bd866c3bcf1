"""Kernels of composed networks at infinite width on rows of given Gram matrix."""

import numpy as np

from deepinit.core.layers import Shape, program
from deepinit.infinite_width.interpreter import interpret


def rows_of(gram, width):
    """[k, width] with rows rows^T / width = gram."""
    return np.sqrt(width) * np.linalg.cholesky(np.asarray(gram)) @ np.eye(len(gram), width)


def limit_of_tokens(net, gram, width, **options):
    """Limit of one sequence of tokens of this Gram matrix."""
    tokens = rows_of(gram, width)
    return interpret(program(net, Shape((len(gram),), width)), tokens[None], **options)


def limit_of_points(net, gram, width, **options):
    """Limit of vectors of this Gram matrix."""
    return interpret(program(net, Shape((), width)), rows_of(gram, width), **options)


def upper(matrix):
    """Entries 00 01 02 .. 11 12 .."""
    return np.asarray(matrix)[np.triu_indices(len(matrix))]
