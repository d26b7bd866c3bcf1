"""Training as a seed function: key -> records of one network's first steps.

A scan over records, with a loop of steps in between: nothing leaves the device before the end, and memory grows with the records,
not with the steps. Under `vmap` a network that has stopped stands still while the others go on. Where nothing but a loss that is not
finite stops a run, it does so by updates of zero in a loop of known length: under `vmap` a while loop would select between old and new of
everything it carries.
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
from deepinit.networks.network import Network
from deepinit.training.checks import as_arrays, check_examples, check_initialization, common_dtype
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
    """A network in training, as the record function sees it.

    Attributes:
        parameters: now.
        initial: at step 0.
        step: steps taken (for `flow`: attempted).
        time: `rate` times steps; for `flow` the time of the differential equation; for an optax transformation the steps.
        loss: on all examples.
        initial_loss: at step 0.
        status: RUNNING; DROPPED, the loss has reached the drop that stops it; NOT_FINITE, it is infinite or NaN.
    """

    parameters: Any
    initial: Any
    step: jax.Array
    time: jax.Array
    loss: jax.Array
    initial_loss: jax.Array
    status: jax.Array


class Records(NamedTuple):
    """What is kept of a run; leading axis: records. After a stop the state at the stop repeats.

    Attributes:
        step, time, loss, status: as in `Snapshot`.
        values: what the record function returned.
    """

    step: jax.Array
    time: jax.Array
    loss: jax.Array
    status: jax.Array
    values: Any


class _Progress(NamedTuple):
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
    loss: Any = "mse",
    stop_drop: float | None = None,
    batch_size: int | None = None,
    record: Callable[[Snapshot], Any] | None = None,
    initial_stage: bool = False,
    tolerance: float = 1e-6,
    end_time: float | None = None,
) -> Callable[[Any], Records]:
    """The seed function `key -> Records` of a training run; the network of a key is the one that `network.init` draws from it.

    Args:
        network: for one input; `training.perceptron(spec)`, `network(spec)`, or a flax module through the bridge.
        examples: the training set, from `core.targets`.
        mode: `gd` gradient descent; `sgd` the same on minibatches; `adam` with negligible epsilon; `sign` descent; `flow` gradient flow
            with an adaptive step; `neuron_flow` gradient flow with a clock per neuron (two-layer perceptrons); or any optax
            transformation.
        record_steps: increasing step numbers >= 0 at which the network is recorded; the last one ends the run. See `log_spaced_steps`.
        rate: the learning rate; for `flow` the largest relative change of a layer in a step, for `neuron_flow` the relative
            step. Only these two have a default; an optax transformation brings its own.
        loss: `mse` (1/(2n) sum of squares), `cross_entropy`, or a function (outputs [n, k], targets) -> number.
        stop_drop: stop once loss <= (1 - stop_drop) times the initial loss; None for never. The state recorded from then on is the
            first one below.
        batch_size: examples of a minibatch, drawn with replacement from the key; None for all. Recorded losses are those of all.
        record: Snapshot -> pytree of arrays; None keeps the parameters.
        initial_stage: refuse initializations whose outputs are not small against the targets.
        tolerance: of `flow`, relative error of a layer in one step.
        end_time: of `flow`, the time of the differential equation at which it stands still: the last step ends there; None for never.
            `record_steps` has to leave enough steps to arrive; `Records.time` shows the time of each record.

    Raises:
        SpecError: an option that is unknown or out of range, examples that do not fit, targets that are all zero, gradients that
            underflow.

    Reference: arXiv 2105.11686, section 3 (set-up); modes and stopping rule: the module docstrings of `training`.
    """
    objective_of = as_loss(loss)
    check_examples(network, examples, objective_of)
    check_optimizer(mode)
    check_options(mode, rate, stop_drop, batch_size, tolerance, len(examples.inputs))
    check_end_time(mode, end_time)
    steps = checked_steps(record_steps)

    shapes = jax.eval_shape(lambda key: network.init(key, examples.dimension), jax.random.key(0))
    dtype = common_dtype(shapes)
    x, y = as_arrays(examples, dtype)
    outputs = outputs_fn(network, shapes, x)

    def objective(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return objective_of(outputs(parameters, x), y)

    check_initialization(network, examples, objective, initial_stage)
    check_layout(mode, shapes)
    check_drop(stop_drop, str(dtype))
    pace = pace_of(mode, rate)
    optimizer = optimizer_of(mode, pace)
    end = None if end_time is None else jnp.asarray(end_time, dtype)
    keep = record if record is not None else lambda snapshot: snapshot.parameters

    def seed_fn(key: Any) -> Records:
        with sequential_bits():
            initial = network.init(key, examples.dimension)
        batch_key = jax.random.fold_in(key, jnp.uint32(_BATCH_STREAM))
        initial_loss = objective(initial, x, y)

        def batch(step: jax.Array) -> tuple[jax.Array, jax.Array]:
            if batch_size is None:
                return x, y
            with sequential_bits():
                chosen = jax.random.randint(
                    jax.random.fold_in(batch_key, step), (batch_size,), 0, len(x)
                )
            return x[chosen], y[chosen]

        def slope(parameters: Any, step: jax.Array) -> tuple[jax.Array, Any]:
            value, gradient = jax.value_and_grad(objective)(parameters, *batch(step))
            if batch_size is None:
                return value, gradient
            return (value if stop_drop is None else objective(parameters, x, y)), gradient

        def status_of(value: jax.Array) -> jax.Array:
            dropped = False if stop_drop is None else value <= (1.0 - stop_drop) * initial_loss
            return jnp.where(
                jnp.isfinite(value), jnp.where(dropped, DROPPED, RUNNING), NOT_FINITE
            ).astype(jnp.int8)

        def advance(now: _Progress) -> _Progress:
            running = now.status == RUNNING
            step = now.step + running.astype(now.step.dtype)
            if optimizer is None:
                after = flow_step(
                    lambda parameters: slope(parameters, step),
                    now.time,
                    now.parameters,
                    now.loss,
                    now.gradient,
                    now.memory if end is None else jnp.minimum(now.memory, end - now.time),
                    rate=pace,
                    tolerance=tolerance,
                )
                if (
                    end is not None
                ):  # a step that was cut at the end arrives there, to the last digit
                    arrived = (now.memory >= end - now.time) & (after.time > now.time)
                    after = after._replace(time=jnp.where(arrived, end, after.time))
                return _Progress(step, *after, status_of(after.loss))
            updates, memory = optimizer.update(
                now.gradient,
                now.memory,
                now.parameters,
                # for transformations that search along a line; others take no notice
                value=now.loss,
                grad=now.gradient,
                value_fn=lambda parameters: objective(parameters, *batch(now.step)),
            )
            updates = jax.tree.map(lambda update: jnp.where(running, update, 0), updates)
            parameters: Any = optax.apply_updates(now.parameters, updates)
            value, gradient = slope(parameters, step)
            time = (pace * step).astype(
                now.time.dtype
            )  # exact, where a sum of paces would gather rounding
            return _Progress(step, time, parameters, value, gradient, memory, status_of(value))

        def goes_on(at: _Progress) -> jax.Array:
            running = at.status == RUNNING
            return running if end is None else running & (at.time < end)

        def to_record(
            now: _Progress, stretch: tuple[jax.Array, jax.Array]
        ) -> tuple[_Progress, Records]:
            first, last = stretch
            if stop_drop is None and optimizer is not None:
                now = jax.lax.fori_loop(first, last, lambda _, at: advance(at), now)
            else:
                now = jax.lax.while_loop(lambda at: (at.step < last) & goes_on(at), advance, now)
            value = now.loss if batch_size is None else objective(now.parameters, x, y)
            snapshot = Snapshot(
                now.parameters, initial, now.step, now.time, value, initial_loss, now.status
            )
            return now, Records(now.step, now.time, value, now.status, keep(snapshot))

        value, gradient = slope(initial, jnp.zeros((), jnp.int32))
        memory = (
            longest_step(initial, gradient, pace) if optimizer is None else optimizer.init(initial)
        )
        status = jnp.where(jnp.isfinite(value), RUNNING, NOT_FINITE).astype(jnp.int8)
        start = _Progress(
            jnp.zeros((), jnp.int32), jnp.zeros((), dtype), initial, value, gradient, memory, status
        )
        stretches = jnp.asarray((0, *steps[:-1]), jnp.int32), jnp.asarray(steps, jnp.int32)
        return jax.lax.scan(to_record, start, stretches)[1]

    return seed_fn
