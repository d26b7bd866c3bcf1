"""Scores of networks at initialization, over random draws, beside their theory."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs, arrays
from deepinit.core.layers import Layer, Program, Shape, program, shape_of
from deepinit.core.own_models import network_remedy
from deepinit.core.specs import NetworkSpec
from deepinit.diagnosis import score_programs
from deepinit.diagnosis.estimates import Estimate, by_layer, estimates
from deepinit.diagnosis.probe import Batch
from deepinit.diagnosis.score_inputs import MOST_ROWS, arranged, batch_of
from deepinit.diagnosis.score_sizes import MOST_AT_ONCE, is_deferred, networks_at_once
from deepinit.diagnosis.theory_scores import predictions

NAMES = (
    "collapse",
    "stretch",
    "gradient_slope",
    "gradient_spread",
    "ntk_condition",
    "ntk_centred",
    "signal_efficiency",
    "first_step",
    "forward_range",
    "gradient_floor",
    "token_cosine",
    "attention_entropy",
)
_MAPS = ("auto", "explicit", "deferred")
_PARTS = ("all", "first_step", "states")
_MOST_DEFERRED_AT_ONCE = 4


class Score(NamedTuple):
    """A score over networks.

    Attributes:
        mean, standard_error, spread: over networks without an event; NaN of fewer than two.
        events: networks without a finite value (overflow, underflow to 0).
        predicted: theory at infinite width, or of order 1/width (gradient_spread); None: none.
    """

    mean: float
    standard_error: float
    spread: float
    events: int
    predicted: float | None


class Scores(NamedTuple):
    """Scores of a network.

    Attributes:
        scores: by name; those that do not apply are left out (labels, tokens, visible attention).
        layers: `log_norm`, `log_sin2`, `log_gradient2` -> an `Estimate` for every layer.
        paths: names of the layers.
        num_seeds: networks.
        states: what the layers are: "layers" of a spec, "read" by `di.read_layers`, "products"
            of a Network that no layers of `di.layers` are equal to.
    """

    scores: dict[str, Score]
    layers: dict[str, list[Estimate]]
    paths: tuple[str, ...]
    num_seeds: int
    states: str

    def __repr__(self) -> str:
        lines = [f"{'score':<18} {'mean':>10} {'+-':>9} {'spread':>9} {'theory':>9}  events"]
        for name, score in self.scores.items():
            theory = "" if score.predicted is None else f"{score.predicted:.4g}"
            numbers = f"{score.mean:>10.4g} {score.standard_error:>9.2g} {score.spread:>9.3g}"
            lines.append(f"{name:<18} {numbers} {theory:>9}  {score.events or ''}".rstrip())
        return "\n".join([*lines, f"{self.num_seeds} networks"])


def scores(
    network: Any,
    inputs: Any,
    labels: Any = None,
    *,
    num_seeds: int = 64,
    key: int = 0,
    linear_map: str = "auto",
    parts: str = "all",
    enough: Callable[[Scores], bool] | None = None,
) -> Scores:
    """Scores at initialization of a spec, a network of `di.layers`, or a `di.Network`.

    Formulas: docs/diagnosis.md. Rows x, features f (what the readout sees), states z^l after every
    layer or block, a random linear loss L:

    - collapse: mean over pairs of ln sin^2 of the angle of inputs, less that of features.
    - stretch: ln of the growth of |J u|^2 relative to |f|^2, u differences of inputs.
    - gradient_slope, gradient_spread: mean over networks of ln |dL/dz^1|^2 - ln |dL/dz^L|^2, and
      standard deviation of ln |dL/dz^1|^2.
    - ntk_condition, ntk_centred: ln of the condition number, and share of the trace that is left
      after centring, of the tangent kernel of a random output direction on 12 inputs.
    - first_step: ln of the rms change of logits per rate along -sign(gradient).
    - signal_efficiency (labels): decrease of the loss on other inputs per rms change of logits.
    - forward_range: largest |ln rms z^l|. gradient_floor: ln rms of the gradient of the first
      matrix; of a Network, of its matrix with the smallest.
    - token_cosine, attention_entropy (sequences): mean cosine of tokens at the end; least entropy
      over blocks, 1 for uniform attention.

    Standard errors are over networks at these inputs. float32; ln sin^2 is at least ln 1e-12.

    Args:
        inputs: `di.inputs`, or an array [rows, ...] as the network takes it; at least 4 rows, of
            which 16 are measured.
        labels: classes [rows, *positions]: the first half of the rows makes the step, the second
            judges it.
        num_seeds: networks.
        linear_map: "explicit" draws matrices. "deferred" draws them as far as they act
            (`di.deferred`), of the same law, and leaves out scores by parameters (ntk_condition,
            ntk_centred, first_step, signal_efficiency, gradient_floor). "auto": deferred above 3e6
            parameters, of `parts="states"` 2e7.
        parts: "first_step" leaves out the tangent kernel, "states" every score by parameters: half
            the time, most of which compiles.
        enough: asked with the scores of half of the networks; if it says so, they are returned.

    Raises:
        SpecError: inputs that do not fit; layers without explicit parameters (Tied, dropout).
        ResourceError: "explicit" with more than about 1e8 parameters.
    """
    validate.integer("num_seeds", num_seeds, 2, "64 is usual.")
    validate.integer("key", key, 0, "Write key=0.", most=2**32 - 1)
    import jax
    import jax.numpy as jnp

    from deepinit.networks.network import Network

    if not isinstance(network, NetworkSpec):
        remedy = network_remedy(network, "Write di.MLP((64,) * 8).")
        validate.instance("network", network, Network, "a network", remedy)
    own, shown = arranged(network, inputs)
    batch = batch_of(shown, labels)
    chosen = validate.choice("linear_map", linear_map, _MAPS)
    part = validate.choice("parts", parts, _PARTS)
    if isinstance(network, NetworkSpec):
        functions = _measure_spec(network, shape_of(own), part)
    else:
        functions = _measure_network(network, own, batch, part)
    size, given = functions.parameters, jax.tree.map(jnp.asarray, batch)
    theory = predictions(network, shown[:MOST_ROWS])

    def summary(values: dict[str, np.ndarray]) -> Scores:
        found = estimates(values)
        ordered = {name: Score(*found[name], theory.get(name)) for name in NAMES if name in found}
        count = len(values["gradient_slope"])
        return Scores(ordered, by_layer(values), functions.paths, count, functions.states)

    deferred = is_deferred(size, chosen, part)
    if functions.program is None or deferred:
        run = _program(functions, num_seeds, deferred, part)
        values = run(given, jax.random.key(key))
        return summary({name: np.asarray(each) for name, each in values.items()})
    draw = functools.partial(
        score_programs.values,
        functions.program,
        given,
        key,
        parts=part,
        chunk=networks_at_once(size, MOST_AT_ONCE, part),
    )
    half = num_seeds if enough is None else (num_seeds + 1) // 2
    values = draw(range(half))
    if half < num_seeds and not (enough is not None and enough(summary(values))):
        rest = draw(range(half, num_seeds))
        values = {name: np.concatenate([values[name], rest[name]]) for name in values}
    return summary(values)


class _Measure(NamedTuple):
    """Functions `(batch, key) -> scores` of one network.

    Attributes:
        whole, by_states: all scores; those that need no gradient by parameters.
        paths, states: as in `Scores`.
        parameters: their number.
        program: of layers; None for a Network of one's own.
    """

    whole: Callable[..., Any]
    by_states: Callable[..., Any]
    paths: tuple[str, ...]
    states: str
    parameters: int
    program: Program | None = None


@functools.lru_cache(maxsize=16)
def _measure_spec(network: Any, shape: Shape, parts: str) -> _Measure:
    from deepinit.diagnosis.doors.layers import layers_probe, site_paths
    from deepinit.diagnosis.one_network import measured, state_scores

    probe = layers_probe(network, shape)
    whole = functools.partial(measured, probe, kernel=parts == "all")
    by_states = functools.partial(state_scores, probe)
    paths, net = site_paths(network, shape), program(network, shape)
    return _Measure(whole, by_states, paths, "layers", score_programs.size(net), net)


def _measure_network(network: Any, own: Inputs, batch: Batch, parts: str) -> _Measure:
    import jax

    from deepinit.diagnosis.doors import networks
    from deepinit.diagnosis.one_network import state_scores
    from deepinit.quantities.own.functions import abstract_outputs

    outputs = abstract_outputs(network, own)
    drawn = jax.eval_shape(network.batch.init, jax.random.key(0), batch.inputs)[0]
    read = read_as_layers(network, batch.inputs)
    if read is not None:
        from deepinit.diagnosis.doors.layers import layers_probe, site_paths

        layers, shown = read
        shape = shape_of(shown)
        probe, rows = layers_probe(layers, shape), shown.points.astype(np.float32)
        by_states = lambda batch, key: state_scores(probe, Batch(rows), key)
        paths, states = site_paths(layers, shape), "read"
    else:
        places = networks.hidden_places(network, arrays(np.asarray(batch.inputs)))
        by_states = networks.product_scores(network, places, len(outputs.shape) == 3)
        paths, states = networks.place_names(places), "products"

    def whole(batch: Any, key: Any) -> Any:
        own = networks.parameter_scores(network, batch, key, kernel=parts == "all")
        return by_states(batch, key) | own

    return _Measure(whole, by_states, paths, states, _size(drawn))


def _as_deferred(measure: Callable[..., Any]) -> Callable[..., Any]:
    """With the law of `measure`, its matrices drawn as far as they act."""
    from deepinit.deferral.function import deferred

    run = deferred(lambda key, batch: measure(batch, key))
    return lambda batch, key: run(key, batch)


def _size(tree: Any) -> int:
    import jax

    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def read_as_layers(network: Any, rows: Any) -> tuple[Layer, Inputs] | None:
    """The network of `di.layers` that it is and its inputs, or None."""
    from deepinit.core.inputs import rows as vectors
    from deepinit.core.inputs import sequences
    from deepinit.reading.read import read_layers

    try:
        if rows.dtype.kind in "iu":
            shown = sequences.token_ids(rows)
        elif rows.ndim == 2:
            shown = vectors.points(rows)
        else:
            shown = sequences.arranged(rows)
        return read_layers(network, arrays(rows)), shown
    except SpecError:
        return None


def _program(functions: _Measure, num_seeds: int, deferred: bool, parts: str) -> Callable[..., Any]:
    """`(batch, key) -> values [num_seeds, ...]`."""
    import jax
    import jax.numpy as jnp

    size = functions.parameters
    if deferred:
        measure, chunk = _as_deferred(functions.by_states), _MOST_DEFERRED_AT_ONCE
    elif parts == "states":
        measure, chunk = functions.by_states, networks_at_once(size, num_seeds, parts)
    else:
        measure, chunk = functions.whole, networks_at_once(size, num_seeds, parts)

    def many(batch: Any, root: Any) -> Any:
        of_seed = lambda seed: measure(batch, jax.random.fold_in(root, seed))
        seeds = jnp.arange(num_seeds, dtype=jnp.uint32)
        return jax.lax.map(of_seed, seeds, batch_size=min(chunk, num_seeds))

    return jax.jit(many, compiler_options=score_programs.options(quick=False))
