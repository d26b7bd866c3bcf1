"""Scores of one network: one draw, one forward and backward pass, two jvps."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.diagnosis import formulas
from deepinit.diagnosis.probe import Batch, Drawn, Probe

_NTK_ROWS = 12
_NETWORK, _LOSS, _DIRECTION = range(3)  # numbers folded into the key


def measured(probe: Probe, batch: Batch, key: Any) -> dict[str, Any]:
    """Every score of the network of one key.

    Scalars by name, and by layer [layers]: `log_gradient2` ln |dL/dz^l|^2, `log_norm` ln rms z^l,
    `log_sin2`. L is a random linear loss: cotangents c / rows, c normal of the size of those of
    cross-entropy at equal probabilities (1 - 1/classes in square). Scores that need labels, or
    tokens, are left out without them.
    """
    drawn = probe.draw(jax.random.fold_in(key, _NETWORK))
    x = drawn.embed(drawn.parameters, batch.inputs)
    moved = jnp.roll(x, -1, axis=0) - x
    through = lambda x: drawn.forward(drawn.parameters, x, None)
    here, change = jax.jvp(through, (x,), (moved,))
    cotangent = random_cotangent(jax.random.fold_in(key, _LOSS), here.outputs)

    def shifted(parameters: Any, shifts: Any) -> Any:
        return drawn.forward(parameters, drawn.embed(parameters, batch.inputs), shifts).outputs

    zeros = jax.tree.map(jnp.zeros_like, here.states)
    _, pull = jax.vjp(shifted, drawn.parameters, zeros)
    gradients, slopes = pull(cotangent)
    over = lambda formula, values: formulas.mean_of_rows(formula, values, probe.sequences)
    by_layer = {
        "log_gradient2": _layers(formulas.log_squares, slopes),
        "log_norm": _layers(formulas.log_rms, here.states),
        "log_sin2": _layers(jax.vmap(lambda z: over(formulas.log_sin2, z)), here.states),
    }
    kernel = tangent_kernel(pull, here.outputs, jax.random.fold_in(key, _DIRECTION))
    first = probe.first_weights(gradients)
    found = {
        "collapse": over(formulas.log_sin2, x) - over(formulas.log_sin2, here.features),
        "stretch": formulas.stretch(x, moved, here.features, change.features),
        "gradient_slope": by_layer["log_gradient2"][0] - by_layer["log_gradient2"][-1],
        "log_first_gradient2": by_layer["log_gradient2"][0],
        "ntk_condition": formulas.ntk_condition(kernel),
        "ntk_centred": formulas.ntk_centred(kernel),
        "forward_range": jnp.max(jnp.abs(by_layer["log_norm"])),
        "gradient_floor": formulas.log_rms(first[None])[0],
    }
    if probe.sequences:
        found["token_cosine"] = over(formulas.cosines, here.features)
    if here.attention is not None:
        found["attention_entropy"] = jnp.min(here.attention)
    return found | first_step(drawn, gradients, batch) | by_layer


def random_cotangent(key: Any, outputs: Any) -> Any:
    """Gradient by the outputs of a random linear loss, a mean over rows and positions."""
    classes = outputs.shape[-1]
    variance = (1 - 1 / classes) / classes if classes > 1 else 1.0
    rows = outputs.size // classes
    return jax.random.normal(key, outputs.shape, outputs.dtype) * math.sqrt(variance) / rows


def tangent_kernel(pull: Any, outputs: Any, key: Any) -> Any:
    """NTK [m, m] of a random output direction (at the last position), of the first 12 rows."""
    rows, classes = min(_NTK_ROWS, len(outputs)), outputs.shape[-1]
    direction = jax.random.normal(key, (classes,), outputs.dtype)
    direction = direction / jnp.linalg.norm(direction)
    by_row = jnp.zeros((len(outputs), outputs[0].size // classes, classes), outputs.dtype)

    def gradient(row: Any) -> Any:
        return pull(by_row.at[row, -1].set(direction).reshape(outputs.shape))[0]

    jacobian = jax.vmap(gradient)(jnp.arange(rows))
    products = [
        jnp.matmul(flat, flat.T, precision="highest")
        for flat in (leaf.reshape(rows, -1) for leaf in jax.tree.leaves(jacobian))
    ]
    return sum(products, jnp.zeros((rows, rows), outputs.dtype))


def first_step(drawn: Drawn, gradients: Any, batch: Batch) -> dict[str, Any]:
    """`first_step`, and with labels `signal_efficiency`, along -sign(gradient).

    Without labels `gradients` are those of the random loss.
    """

    def run(inputs: Any) -> Any:
        return lambda p: drawn.forward(p, drawn.embed(p, inputs), None).outputs

    labelled = batch.step_labels is not None
    if labelled:
        loss = lambda p: cross_entropy(run(batch.step_inputs)(p), batch.step_labels)
        gradients = jax.grad(loss)(drawn.parameters)
    direction = jax.tree.map(lambda leaf: -jnp.sign(leaf), gradients)
    others = batch.other_inputs if labelled else batch.inputs
    logits, change = jax.jvp(run(others), (drawn.parameters,), (direction,))
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


def _layers(formula: Any, stacks: Any) -> Any:
    return jnp.concatenate([formula(stack) for stack in stacks])
