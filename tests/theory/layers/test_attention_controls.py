"""Control variates through attention: exact mean 0 at small heads, and what they save."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from limit_network import rows_of
from scipy.special import roots_genlaguerre, roots_hermitenorm

import deepinit as di
from deepinit.core.layers import program, shape_of
from deepinit.core.layers.calls import Columns, Heads
from deepinit.ensembles import blocks, keys
from deepinit.networks import forward, linear_maps
from deepinit.networks.input_rows import input_rows
from deepinit.quantities.controls import control_of
from deepinit.quantities.measured import values_of
from deepinit.theory.layers import controls
from deepinit.theory.layers.head_terms import head_terms
from deepinit.theory.layers.precision import host_float64

L = di.layers
G = np.array([[1, 0.4, 0.1], [0.4, 0.9, -0.2], [0.1, -0.2, 1.3]])
SIGMA = 5.0
HEADS, WIDTH, DRAWS = 4, 8, 20_000
CAUSAL, ALL, TWO = np.tri(3, dtype=bool), np.ones((3, 3), bool), np.kron(np.eye(2), np.ones((2, 2)))
EQUAL = np.array([[1, 0.3, 1], [0.3, 1, 0.3], [1, 0.3, 1.0]])
FOUR = 0.7 * np.eye(4) + 0.3
# Rows' products, what each sees, factor of scores; variance saved by every output, at least.
CASES = {
    "two": (G[:2, :2], ALL[:2, :2], 1.0, 100),
    "three": (G, ALL, 1.0, 20),
    "causal": (G, CAUSAL, 1.0, 30),
    "two inputs": (FOUR, TWO > 0, 1.0, 100),
    "two equal rows": (EQUAL, ALL, 1.0, 20),
}


def drawn(gram, seen, beta, seed=0):
    """Scores [n, k, k] and outputs [n, p] of heads of width 8."""
    rng, size = np.random.default_rng(seed), len(gram)
    values, vectors = np.linalg.eigh(gram)
    root = vectors * np.sqrt(np.maximum(values, 0))
    q, k, v = (root @ rng.normal(size=(HEADS * DRAWS, size, WIDTH)) for _ in range(3))
    scores = beta / np.sqrt(WIDTH) * q @ np.swapaxes(k, 1, 2)
    shares = np.where(seen, np.exp(scores), 0)
    shares /= shares.sum(axis=2, keepdims=True)
    o, at = shares @ v, np.triu_indices(size)
    return scores, (o @ np.swapaxes(o, 1, 2) / WIDTH)[:, *at]


def terms_of(scores, outputs, gram, seen, spread):
    with host_float64():
        vector = jnp.asarray(gram[np.triu_indices(len(gram))])
        step = jax.jit(lambda s, o: head_terms(s, o, vector, spread, 1.0, seen))
        return np.asarray(step(jnp.asarray(scores), jnp.asarray(outputs)))


def largest_z(values):
    spread = np.maximum(values.std(axis=0), 1e-12)
    return np.abs(values.mean(axis=0) / spread).max() * len(values) ** 0.5


@pytest.mark.slow
@pytest.mark.exhaustive_cases("two", "two inputs", "two equal rows")
@pytest.mark.parametrize("case", CASES)
def test_terms_have_mean_zero_and_follow_outputs(case):
    """Means of four heads."""
    gram, seen, beta, least = CASES[case]
    scores, outputs = drawn(gram, seen, beta)
    of_heads = lambda values: values.reshape(DRAWS, HEADS, -1).mean(axis=1)
    terms = of_heads(terms_of(scores, outputs, gram, seen, beta**2))
    assert largest_z(terms) < SIGMA
    rest, size = of_heads(outputs) - terms, np.abs(gram).max()
    assert (of_heads(outputs).var(axis=0) > least * rest.var(axis=0) - 1e-12 * size).all()


@pytest.mark.slow
def test_remainder_has_the_exact_mean_of_two_causal_tokens():
    """Wrong second moments of scores are rejected."""
    gram, seen = G[:2, :2], CAUSAL[:2, :2]
    scores, outputs = drawn(gram, seen, 1.0)
    expected = token(gram, 1.0)
    remainder = lambda spread: (outputs - terms_of(scores, outputs, gram, seen, spread))[:, 2]
    assert largest_z(remainder(1.0) - expected) < SIGMA
    assert largest_z(remainder(1.02) - expected) > SIGMA


def token(gram, beta):
    """E of the second causal token's output at head width 8: Gaussian scores given the keys."""
    (chi, mass), (z, weights) = roots_genlaguerre(40, WIDTH / 2 - 1), roots_hermitenorm(60)
    apart = gram[0, 0] + gram[1, 1] - 2 * gram[0, 1]
    share = 1 / (1 + np.exp(-beta * np.sqrt(gram[1, 1] * apart * 2 * chi[:, None] / WIDTH) * z))
    one = (1 - share) ** 2 * gram[0, 0] + share**2 * gram[1, 1]
    values = one + 2 * share * (1 - share) * gram[0, 1]
    return mass @ values @ weights / (mass.sum() * weights.sum())


def network(width, heads, times=1, **options):
    norm, dense = L.RMSNorm(), L.Dense(width)
    attention = L.Residual(L.Sequential(norm, L.Attention(heads, **options)))
    perceptron = L.Sequential(norm, L.Dense(2 * width), L.Activation(di.gelu), dense)
    return L.Sequential(dense, L.Repeat(L.Sequential(attention, L.Residual(perceptron)), times))


def sequences(count, length, width):
    gram = 0.7 * np.eye(count * length) + 0.3
    return di.inputs.arranged(rows_of(gram, width).reshape(count, length, width))


def controlled(spec, quantity, inputs, networks, linear_map="conditional"):
    """Values, controls and controls of squares [networks, sites, entries], and the centre."""
    control, start = control_of(spec, quantity, inputs), input_rows(spec, inputs, "float32")
    tap = lambda state: (quantity.measurement.tap(state, inputs), control.columns(state))
    own = {"linear_map": linear_maps.FUNCTIONS[linear_map], "shape": shape_of(inputs)}

    def of_seed(key):
        return forward.random_forward(spec, start(key), key, tap, watch=True, **own)[0]

    ensemble = blocks.compile_ensemble(of_seed, networks, block_size=networks)
    measured, columns = ensemble.block_fn(keys.root_key(0), 0)
    found = control.of_block(np.asarray(columns))
    return values_of(quantity, measured), found.mean, found.square, control.centre


NETWORKS = {
    "causal": (network(8, 2, mask="causal", beta=2.0), (1, 3)),
    "laws": (network(8, 2, query_law=di.normal(2.0), value_law=di.normal(0.5)), (1, 2)),
    "two sequences": (network(8, 2, head_width=3), (2, 2)),
    "mup": (network(8, 2, scores="mup", beta=2.0), (1, 3)),
    "no norm": (L.Sequential(L.Dense(8), L.Attention(2), L.Attention(2)), (1, 2)),
    "rotary": (network(8, 2, mask="causal", rotary=10.0), (2, 2)),
    "qk_norm": (network(8, 2, qk_norm=True), (1, 2)),
}


@pytest.mark.exhaustive_cases("causal-conditional", "laws-explicit")
@pytest.mark.slow
@pytest.mark.exhaustive_cases(*(f"{case}-conditional" for case in NETWORKS if case != "causal"))
@pytest.mark.parametrize(
    ("case", "linear_map"), [("laws", "explicit"), *((case, "conditional") for case in NETWORKS)]
)
def test_exact_at_small_widths(case, linear_map):
    spec, shape = NETWORKS[case]
    parts = controlled(spec, di.quantities.nngp, sequences(*shape, 8), 4000, linear_map)
    for control in parts[1:3]:
        assert largest_z(control.reshape(len(control), -1)) < SIGMA


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize(("quantity", "least"), [("token_cosine", 60), ("nngp", 500)])
def test_saved_variance_of_blocks(quantity, least):
    """Width 64, two blocks, 3 tokens; 8 and 5 with unknown means."""
    spec, inputs = network(64, 4, times=2), sequences(1, 3, 64)
    value, control, square, centre = controlled(
        spec, getattr(di.quantities, quantity), inputs, 2000
    )
    saved = value.var(axis=0) / (value - control).var(axis=0)
    assert saved.min() > least
    squares = (value - centre) ** 2
    assert (squares.var(axis=0) > 2 * (squares - square).var(axis=0)).all()
    for part in (control, square):
        assert largest_z(part.reshape(len(part), -1)) < SIGMA


def kinds_of(attention, length):
    """What the rule reads."""
    inputs = sequences(1, length, 64)
    with host_float64():
        net = program(L.Sequential(L.Dense(64), attention), shape_of(inputs))
        places = controls.plan(net, length)
    return {type(request.columns) for request in places[1].requests}


def test_what_is_recorded():
    """Heads, but beyond 1024 numbers of scores and for normed queries their mean output."""
    assert kinds_of(L.Attention(4), 3) == {Heads}
    assert kinds_of(L.Attention(16, head_width=4), 8) == {Heads}
    assert kinds_of(L.Attention(17, head_width=4), 8) == {Columns}
    assert kinds_of(L.Attention(4, qk_norm=True), 3) == {Columns}
