"""Training as a seed function: key -> records of one network's first steps.

Memory grows with the records. Under `vmap` a while loop selects between its old and new carry:
where only a non-finite loss stops a run, a loop of fixed length with zero updates replaces it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax  # type: ignore[import-untyped]

from deepinit.core.generator import sequential_bits
from deepinit.core.targets import Examples
from deepinit.core.training_config import checked_steps
from deepinit.core.training_options import check_end_time, check_options
from deepinit.core.typing import PyTree
from deepinit.networks.network import Network
from deepinit.training.checks import (
    as_arrays,
    check_examples,
    check_initialization,
    common_dtype,
    probe_fn,
)
from deepinit.training.flow import flow_step, longest_step
from deepinit.training.losses import as_loss
from deepinit.training.options import (
    check_drop,
    check_layout,
    check_optimizer,
    optimizer_of,
    pace_of,
)
from deepinit.training.outputs import outputs_fn

RUNNING, DROPPED, NOT_FINITE = 0, 1, 2
_BATCH_STREAM = 2**32 - 1  # no layer has this number


class Snapshot(NamedTuple):
    """A network in training, argument of the record function.

    Attributes:
        parameters, initial: now and at step 0.
        step: steps taken (`flow`: attempted).
        time: `rate` times steps; of `flow`, ODE time; of an optax transformation, steps.
        loss, initial_loss: on all examples, now and at step 0.
        status: RUNNING; DROPPED, loss reached `stop_drop`; NOT_FINITE, loss infinite or NaN.
    """

    parameters: PyTree
    initial: PyTree
    step: jax.Array
    time: jax.Array
    loss: jax.Array
    initial_loss: jax.Array
    status: jax.Array


class Records(NamedTuple):
    """Records of a run, leading axis: records; a stopped state repeats.

    `values` of the record function; the others as in `Snapshot`.
    """

    step: jax.Array
    time: jax.Array
    loss: jax.Array
    status: jax.Array
    values: PyTree


class _State(NamedTuple):
    step: jax.Array
    time: jax.Array
    parameters: Any
    loss: jax.Array
    gradient: Any
    memory: Any  # of the optimizer; the next step's length under `flow`
    status: jax.Array


def training_seed_fn(
    network: Network,
    examples: Examples,
    *,
    mode: str | optax.GradientTransformation = "gd",
    record_steps: Sequence[int],
    rate: float | None = None,
    loss: str | Callable[..., Any] = "mse",
    stop_drop: float | None = None,
    batch_size: int | None = None,
    record: Callable[[Snapshot], Any] | None = None,
    initial_stage: bool = False,
    tolerance: float = 1e-6,
    end_time: float | None = None,
) -> Callable[[Any], Records]:
    """Seed function `key -> Records` of training `network.init(key, ...)`.

    Args:
        network: `training.perceptron(spec)`, `network(spec)`, or a flax module.
        examples: training set, from `core.targets`.
        mode: `gd`; `sgd`, on minibatches; `adam`, of negligible epsilon; `sign` descent; `flow`,
            adaptive gradient flow; `neuron_flow`, with a clock per neuron (two-layer perceptrons);
            or any optax transformation.
        record_steps: increasing, >= 0; the last ends the run. See `log_spaced_steps`.
        rate: learning rate; of `flow`, largest relative change of a layer per step (default 0.1);
            of `neuron_flow`, relative step (0.02). None for an optax transformation.
        loss: `mse` (1/(2n) sum of squares), `cross_entropy`, or (outputs [n, k],
            targets) -> number.
        stop_drop: stop once loss <= (1 - stop_drop) initial loss.
        batch_size: of minibatches, drawn with replacement; recorded losses use all examples.
        record: Snapshot -> pytree of arrays; default parameters.
        initial_stage: require outputs that are initially small relative to the targets.
        tolerance: of `flow`, relative error of a layer per step.
        end_time: of `flow`, last ODE time; `record_steps` must leave enough steps.

    Raises SpecError: an option unknown or out of range, examples that do not fit, all-zero targets,
        gradients that underflow.
    Reference: arXiv:2105.11686, section 3 (set-up).
    """
    objective_of = as_loss(loss)
    steps = checked_steps(record_steps)
    options = Options(mode, steps, objective_of, stop_drop, batch_size, tolerance, end_time)
    check_training(network, examples, options, rate)
    arrays = examples.inputs, examples.targets
    probe = jax.jit(probe_fn(network, objective_of, *arrays))(jax.random.key(0))
    check_initialization(probe, examples, initial_stage)
    record = record if record is not None else lambda snapshot: snapshot.parameters
    return steps_fn(network, *arrays, pace_of(mode, rate), options, record)


class Options(NamedTuple):
    """Of `training_seed_fn`. `objective_of`: (outputs, targets) -> loss."""

    mode: str | optax.GradientTransformation
    steps: tuple[int, ...]
    objective_of: Callable[..., Any]
    stop_drop: float | None
    batch_size: int | None
    tolerance: float
    end_time: float | None


def check_training(
    network: Network, examples: Examples, options: Options, rate: float | None
) -> None:
    """Raise SpecError for what is wrong without a look at values of the network."""
    mode, stop_drop = options.mode, options.stop_drop
    check_examples(network, examples, options.objective_of)
    check_optimizer(mode)
    number = len(examples.inputs)
    check_options(mode, rate, stop_drop, options.batch_size, options.tolerance, number)
    check_end_time(mode, options.end_time)
    shapes = jax.eval_shape(lambda key: network.init(key, examples.dimension), jax.random.key(0))
    check_layout(mode, shapes)
    check_drop(stop_drop, str(common_dtype(shapes)))


def steps_fn(
    network: Network,
    inputs: Any,
    targets: Any,
    pace: Any,
    options: Options,
    record: Callable[[Snapshot], Any],
) -> Callable[[Any], Records]:
    """`key -> Records`, unchecked; arrays and pace (`pace_of`) may be traced."""
    mode, steps, objective_of, stop_drop, batch_size, tolerance, end_time = options
    dimension = inputs.shape[1]
    shapes = jax.eval_shape(lambda key: network.init(key, dimension), jax.random.key(0))
    dtype = common_dtype(shapes)
    x, y = as_arrays(inputs, targets, dtype)
    outputs = outputs_fn(network, shapes, x)
    rate = pace if isinstance(pace, float) else jnp.asarray(pace, dtype)
    optimizer = optimizer_of(mode, rate)
    end = None if end_time is None else jnp.asarray(end_time, dtype)

    def objective(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return objective_of(outputs(parameters, x), y)

    def seed_fn(key: jax.Array) -> Records:
        with sequential_bits():
            initial = network.init(key, dimension)
        batch_key = jax.random.fold_in(key, jnp.uint32(_BATCH_STREAM))
        initial_loss = objective(initial, x, y)

        def batch(step: jax.Array) -> tuple[jax.Array, jax.Array]:
            if batch_size is None:
                return x, y
            with sequential_bits():
                step_key = jax.random.fold_in(batch_key, step)
                chosen = jax.random.randint(step_key, (batch_size,), 0, len(x))
            return x[chosen], y[chosen]

        def loss_and_gradient(parameters: Any, step: jax.Array) -> tuple[jax.Array, Any]:
            value, gradient = jax.value_and_grad(objective)(parameters, *batch(step))
            if batch_size is None:
                return value, gradient
            return (value if stop_drop is None else objective(parameters, x, y)), gradient

        def status_of(value: jax.Array) -> jax.Array:
            dropped = False if stop_drop is None else value <= (1.0 - stop_drop) * initial_loss
            status = jnp.where(dropped, DROPPED, RUNNING)
            return jnp.where(jnp.isfinite(value), status, NOT_FINITE).astype(jnp.int8)

        def advance(now: _State) -> _State:
            running = now.status == RUNNING
            step = now.step + running.astype(now.step.dtype)
            if optimizer is None:
                after = flow_step(
                    lambda parameters: loss_and_gradient(parameters, step),
                    now.time,
                    now.parameters,
                    now.loss,
                    now.gradient,
                    now.memory if end is None else jnp.minimum(now.memory, end - now.time),
                    rate=rate,
                    tolerance=tolerance,
                )
                if end is not None:  # a step cut at the end arrives there exactly
                    arrived = (now.memory >= end - now.time) & (after.time > now.time)
                    after = after._replace(time=jnp.where(arrived, end, after.time))
                return _State(step, *after, status_of(after.loss))
            updates, memory = optimizer.update(
                now.gradient,
                now.memory,
                now.parameters,
                # for line searches; other transformations ignore these
                value=now.loss,
                grad=now.gradient,
                value_fn=lambda parameters: objective(parameters, *batch(now.step)),
            )
            updates = jax.tree.map(lambda update: jnp.where(running, update, 0), updates)
            parameters: Any = optax.apply_updates(now.parameters, updates)
            value, gradient = loss_and_gradient(parameters, step)
            time = (pace * step).astype(now.time.dtype)  # a sum of paces would gather rounding
            return _State(step, time, parameters, value, gradient, memory, status_of(value))

        def is_running(at: _State) -> jax.Array:
            running = at.status == RUNNING
            return running if end is None else running & (at.time < end)

        def to_record(now: _State, span: tuple[jax.Array, jax.Array]) -> tuple[_State, Records]:
            first, last = span
            if stop_drop is None and optimizer is not None:
                now = jax.lax.fori_loop(first, last, lambda _, at: advance(at), now)
            else:
                now = jax.lax.while_loop(lambda at: (at.step < last) & is_running(at), advance, now)
            value = now.loss if batch_size is None else objective(now.parameters, x, y)
            at = now.step, now.time, value
            values = record(Snapshot(now.parameters, initial, *at, initial_loss, now.status))
            return now, Records(*at, now.status, values)

        zero = jnp.zeros((), jnp.int32)
        value, gradient = loss_and_gradient(initial, zero)
        if optimizer is None:
            memory: Any = longest_step(initial, gradient, rate)
        else:
            memory = optimizer.init(initial)
        status = jnp.where(jnp.isfinite(value), RUNNING, NOT_FINITE).astype(jnp.int8)
        start = _State(zero, jnp.zeros((), dtype), initial, value, gradient, memory, status)
        spans = jnp.asarray((0, *steps[:-1]), jnp.int32), jnp.asarray(steps, jnp.int32)
        return jax.lax.scan(to_record, start, spans)[1]

    return seed_fn
