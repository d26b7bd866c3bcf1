"""Scores of one network: one draw, one forward and backward pass, two jvps."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.diagnosis import formulas
from deepinit.diagnosis.probe import Batch, Drawn, Pass, Probe

NETWORK, LOSS, DIRECTION = range(3)  # numbers folded into the key
_NTK_ROWS = 12


def measured(probe: Probe, batch: Batch, key: Any, kernel: bool = True) -> dict[str, Any]:
    """Every score of the network of one key.

    Scalars by name, and by layer [layers]: `log_gradient2` ln |dL/dz^l|^2, `log_norm` ln rms z^l,
    `log_sin2`. L is a random linear loss: cotangents c / rows, c normal of the size of those of
    cross-entropy at equal probabilities (1 - 1/classes in square). Scores that need labels, or
    tokens, are left out without them, those of the tangent kernel without `kernel`.
    """
    drawn = probe.draw(jax.random.fold_in(key, NETWORK))
    here, change, x, moved = _passes(drawn, batch)
    cotangent = random_cotangent(key, here.outputs)

    def shifted(parameters: Any, shifts: Any) -> Any:
        return drawn.forward(parameters, drawn.embed(parameters, batch.inputs), shifts).outputs

    def run(parameters: Any, inputs: Any) -> Any:
        return drawn.forward(parameters, drawn.embed(parameters, inputs), None).outputs

    zeros = jax.tree.map(jnp.zeros_like, here.states)
    _, pull = jax.vjp(shifted, drawn.parameters, zeros)
    gradients, slopes = pull(cotangent)
    first = probe.first_weights(gradients)
    of_kernel = ntk_scores(lambda back: pull(back)[0], here.outputs, key) if kernel else {}
    return {
        **_of_states(probe, here, change, x, moved, slopes),
        "gradient_floor": formulas.log_rms(first[None])[0],
        **of_kernel,
        **first_step(run, drawn.parameters, gradients, batch),
    }


def state_scores(probe: Probe, batch: Batch, key: Any) -> dict[str, Any]:
    """The scores that need no gradient by parameters: weights act on rows alone, so that
    `di.deferred` draws them only as far. One forward pass, linearized.
    """
    drawn = probe.draw(jax.random.fold_in(key, NETWORK))
    x = drawn.embed(drawn.parameters, batch.inputs)
    moved = jnp.roll(x, -1, axis=0) - x

    def along(shifts: Any) -> tuple[Any, tuple[Pass, Pass]]:
        through = lambda x: drawn.forward(drawn.parameters, x, shifts)
        here, change = jax.jvp(through, (x,), (moved,))
        return here.outputs, (here, change)

    zeros = _zeros(probe, x)
    outputs, change_of, (here, change) = jax.linearize(along, zeros, has_aux=True)
    slopes = jax.linear_transpose(change_of, zeros)(random_cotangent(key, outputs))[0]
    return _of_states(probe, here, change, x, moved, slopes)


def step_scores(probe: Probe, batch: Batch, key: Any) -> dict[str, Any]:
    """`measured` without tangent kernel and labels, of one linearized forward pass."""
    drawn = probe.draw(jax.random.fold_in(key, NETWORK))
    parameters, x = drawn.parameters, drawn.embed(drawn.parameters, batch.inputs)

    def at(parameters: Any, moved: Any, shifts: Any) -> Pass:
        return drawn.forward(parameters, drawn.embed(parameters, batch.inputs) + moved, shifts)

    still, zeros = jnp.zeros_like(x), _zeros(probe, x)
    same = jax.tree.map(jnp.zeros_like, parameters)
    here, change_of = jax.linearize(at, parameters, still, zeros)
    moved = jnp.roll(x, -1, axis=0) - x
    outputs = lambda parameters, shifts: change_of(parameters, still, shifts).outputs
    pull = jax.linear_transpose(outputs, parameters, zeros)
    gradients, slopes = pull(random_cotangent(key, here.outputs))
    direction = jax.tree.map(lambda leaf: -jnp.sign(leaf), gradients)
    step = formulas.centred(outputs(direction, zeros))
    return {
        **_of_states(probe, here, change_of(same, moved, zeros), x, moved, slopes),
        "gradient_floor": formulas.log_rms(probe.first_weights(gradients)[None])[0],
        "first_step": formulas.log_rms(step[None])[0],
    }


def _zeros(probe: Probe, x: Any) -> tuple[Any, ...]:
    """Shifts that leave the states of rows x."""
    assert probe.state_shapes is not None
    return tuple(jnp.zeros((steps, len(x), *own), x.dtype) for steps, *own in probe.state_shapes)


def _passes(drawn: Drawn, batch: Batch) -> tuple[Pass, Pass, Any, Any]:
    """Forward pass, its change along differences of rows, rows, and differences."""
    x = drawn.embed(drawn.parameters, batch.inputs)
    moved = jnp.roll(x, -1, axis=0) - x
    through = lambda x: drawn.forward(drawn.parameters, x, None)
    here, change = jax.jvp(through, (x,), (moved,))
    return here, change, x, moved


def _of_states(
    probe: Probe, here: Pass, change: Pass, x: Any, moved: Any, slopes: Any
) -> dict[str, Any]:
    by_layer = layer_scores(here.states, slopes, probe.sequences, probe.order)
    over = lambda formula, values: formulas.mean_of_rows(formula, values, probe.sequences)
    found = {
        "collapse": over(formulas.log_sin2, x) - over(formulas.log_sin2, here.features),
        "stretch": formulas.stretch(x, moved, here.features, change.features),
        **depth_scores(by_layer),
    }
    if probe.sequences:
        found["token_cosine"] = over(formulas.cosines, here.features)
    if here.attention is not None:
        found["attention_entropy"] = jnp.min(here.attention)
    return found | by_layer


def layer_scores(states: Any, slopes: Any, sequences: bool, order: Any) -> dict[str, Any]:
    """`log_gradient2`, `log_norm` and `log_sin2` [layers] of stacks of states and gradients."""
    angle = lambda z: formulas.mean_of_rows(formulas.log_sin2, z, sequences)

    def layers(formula: Callable[[Any], Any], stacks: Any) -> Any:
        found = jnp.concatenate([formula(stack) for stack in stacks])
        return found if order is None else found[order]

    return {
        "log_gradient2": layers(formulas.log_squares, slopes),
        "log_norm": layers(formulas.log_rms, states),
        "log_sin2": layers(jax.vmap(angle), states),
    }


def depth_scores(by_layer: dict[str, Any]) -> dict[str, Any]:
    """Scores that compare layers."""
    gradients = by_layer["log_gradient2"]
    return {
        "gradient_slope": gradients[0] - gradients[-1],
        "log_first_gradient2": gradients[0],
        "forward_range": jnp.max(jnp.abs(by_layer["log_norm"])),
    }


def random_cotangent(key: Any, outputs: Any) -> Any:
    """Gradient by the outputs of a random linear loss, a mean over rows and positions."""
    classes = outputs.shape[-1]
    variance = (1 - 1 / classes) / classes if classes > 1 else 1.0
    rows, own = outputs.size // classes, jax.random.fold_in(key, LOSS)
    return jax.random.normal(own, outputs.shape, outputs.dtype) * math.sqrt(variance) / rows


def ntk_scores(pull: Callable[[Any], Any], outputs: Any, key: Any) -> dict[str, Any]:
    """`ntk_condition` and `ntk_centred` of a random output direction, of the first 12 rows.

    Of sequences the output at the last position. `pull`: from outputs to parameters.
    """
    rows, classes = min(_NTK_ROWS, len(outputs)), outputs.shape[-1]
    own = jax.random.fold_in(key, DIRECTION)
    direction = jax.random.normal(own, (classes,), outputs.dtype)
    direction = direction / jnp.linalg.norm(direction)
    by_row = jnp.zeros((len(outputs), outputs[0].size // classes, classes), outputs.dtype)

    def gradient(row: Any) -> Any:
        return pull(by_row.at[row, -1].set(direction).reshape(outputs.shape))

    jacobian = jax.vmap(gradient)(jnp.arange(rows))
    flat = [leaf.reshape(rows, -1) for leaf in jax.tree.leaves(jacobian)]
    kernels = [jnp.matmul(each, each.T, precision="highest") for each in flat]
    kernel = sum(kernels, jnp.zeros((rows, rows), outputs.dtype))
    return {
        "ntk_condition": formulas.ntk_condition(kernel),
        "ntk_centred": formulas.ntk_centred(kernel),
    }


def first_step(
    run: Callable[[Any, Any], Any], parameters: Any, gradients: Any, batch: Batch
) -> dict[str, Any]:
    """`first_step`, and with labels `signal_efficiency`, along -sign(gradient).

    Without labels `gradients` are those of the random loss. `run(parameters, inputs) -> logits`.
    """
    labelled = batch.step_labels is not None
    if labelled:
        loss = lambda p: cross_entropy(run(p, batch.step_inputs), batch.step_labels)
        gradients = jax.grad(loss)(parameters)
    direction = jax.tree.map(lambda leaf: -jnp.sign(leaf), gradients)
    others = batch.other_inputs if labelled else batch.inputs
    logits, change = jax.jvp(lambda p: run(p, others), (parameters,), (direction,))
    change = formulas.centred(change)
    size = formulas.log_rms(change[None])[0]
    if not labelled:
        return {"first_step": size}
    slope = jax.grad(lambda logits: cross_entropy(logits, batch.other_labels))(logits)
    return {"first_step": size, "signal_efficiency": -jnp.sum(slope * change * jnp.exp(-size))}


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Mean over rows and positions, of classes."""
    log_shares = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(log_shares, labels[..., None], axis=-1))
