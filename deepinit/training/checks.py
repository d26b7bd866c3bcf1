"""Checks before training: examples, losses and initializations."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core import validate
from deepinit.core.generator import sequential_bits
from deepinit.core.targets import Examples
from deepinit.core.training_config import check_targets
from deepinit.core.typing import DTypeLike, PyTree
from deepinit.networks.network import Network
from deepinit.training.losses import cross_entropy, mse
from deepinit.training.neurons import part_name

SMALL_OUTPUT = 0.01  # of the targets: the residual is that of the zero network to 1 %
_NUM_PROBES = 64  # examples for the order of magnitude of a gradient


def check_examples(network: Network, examples: Examples, loss: str | Callable[..., Any]) -> None:
    """Raise SpecError for examples unfit for network or loss."""
    remedy = "Write targets.examples(inputs, targets)."
    validate.instance("examples", examples, Examples, "Examples", remedy)
    width = _output_width(network, examples)
    if loss is cross_entropy:
        _check_classes(examples, width)
    if loss is mse:
        _check_numbers(examples, width)


def _check_classes(examples: Examples, width: int) -> None:
    check_targets(examples, "cross_entropy")
    largest = int(examples.targets.max())
    given = f"classes up to {largest} for a network of {width} outputs"
    allowed = f"classes from 0 to {width - 1}, and at least two outputs"
    remedy = f"Take output_width={max(largest + 1, 2)}."
    validate.require(largest < width and width >= 2, given, allowed, remedy)


def _check_numbers(examples: Examples, width: int) -> None:
    check_targets(examples, "mse")
    size = examples.targets.shape[1]
    given = f"targets of {size} numbers for a network of {width} outputs"
    validate.require(size == width, given, "equal numbers", f"Take output_width={size}.")
    nonzero = examples.targets.any()
    validate.require(nonzero, "targets that are all zero", "some nonzero targets")


class Probe(NamedTuple):
    """Largest sizes at initialization: of outputs, and of entries of gradients by parameter."""

    output: Any
    gradient: PyTree


def probe_fn(network: Network, objective_of: Callable[..., Any], x: Any, y: Any) -> Any:
    """`key -> Probe` at some examples. `objective_of`: (outputs, targets) -> loss."""

    def probe(key: jax.Array) -> Probe:
        with sequential_bits():
            parameters = network.init(key, x.shape[1])
        dtype = common_dtype(parameters)
        chosen = _probed(len(x))
        inputs, targets = as_arrays(x[chosen], y[chosen], dtype)
        outputs = lambda parameters: jax.vmap(network.apply, (None, 0))(parameters, inputs)
        gradient = jax.grad(lambda parameters: objective_of(outputs(parameters), targets))
        largest = lambda leaf: jnp.abs(leaf).max()
        return Probe(largest(outputs(parameters)), jax.tree.map(largest, gradient(parameters)))

    return probe


def _probed(count: int) -> np.ndarray:
    """Numbers of examples, spread over the set, which may be sorted by its targets."""
    return np.unique(np.linspace(0, count - 1, _NUM_PROBES).astype(int))


def check_initialization(found: Probe, examples: Examples, initial_stage: bool) -> None:
    """Raise SpecError for underflowing gradients and, if `initial_stage`, large outputs.

    Outputs are large from SMALL_OUTPUT of the targets (of 1, for classes).
    """
    dtype = common_dtype(found.gradient)
    smallest = 1e3 * float(jnp.finfo(dtype).tiny)
    for path, size in jax.tree_util.tree_leaves_with_path(found.gradient):
        name = " ".join(part_name(part) for part in path)
        given = f"an initial gradient of {float(size):.1g} in {name}, which underflows in {dtype}"
        allowed = f"gradients >= {smallest:.0e} (std^p for an activation like x^p near 0)"
        remedy = "Take a larger standard deviation, or float64; or all neurons are off."
        validate.require(float(size) >= smallest or np.isnan(size), given, allowed, remedy)
    scale = 1.0 if examples.are_classes else math.sqrt(float(np.mean(examples.targets**2)))
    size = float(found.output)
    small = size <= SMALL_OUTPUT * scale
    given = f"an initialization with outputs up to {size:.2g} for targets of size {scale:.2g}"
    remedy = "Take a smaller standard deviation, or initial_stage=False."
    allowed = f"outputs below {SMALL_OUTPUT} of the targets"
    validate.require(small or not initial_stage, given, allowed, remedy)


def common_dtype(parameters: PyTree) -> np.dtype:
    """Common dtype of parameters."""
    return jnp.result_type(*jax.tree.leaves(parameters))


def as_arrays(inputs: Any, targets: Any, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
    """Inputs and targets on the device; classes as int32."""
    are_classes = targets.ndim == 1
    return jnp.asarray(inputs, dtype), jnp.asarray(targets, jnp.int32 if are_classes else dtype)


def _output_width(network: Network, examples: Examples) -> int:
    def output(key: jax.Array, x: jax.Array) -> jax.Array:
        return network.apply(network.init(key, examples.dimension), x)

    shape = jax.eval_shape(output, jax.random.key(0), jnp.zeros(examples.dimension)).shape
    given = f"a network whose output for one input has the shape {shape}"
    validate.require(len(shape) == 1, given, "[outputs]", "Flatten the output.")
    return int(shape[0])
