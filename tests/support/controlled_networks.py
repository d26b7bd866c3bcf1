"""Networks with control variates, a few layer kinds each, and what they draw."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import deepinit as di
from deepinit.core.activations import BUILTIN
from deepinit.ensembles import blocks, keys
from deepinit.quantities.controlled import choose_control
from deepinit.quantities.controls import Control
from deepinit.quantities.measured import values_of
from deepinit.quantities.programs import seed_fn_of

L, Q = di.layers, di.quantities
S, Dense, Act, Residual = L.Sequential, L.Dense, L.Activation, L.Residual
TWO, THREE = (di.normal(variance) for variance in (2.0, 3.0))
BIAS = di.normal(0.2, "absolute")


def _rows(count: int, dimension: int) -> np.ndarray:
    """Correlations 0.3."""
    gram = np.full((count, count), 0.3) + 0.7 * np.eye(count)
    return np.sqrt(dimension) * np.linalg.cholesky(gram) @ np.eye(count, dimension)


PAIR = di.inputs.points(_rows(2, 4))
BATCH = di.inputs.points(_rows(3, 4))
SIGNAL = di.inputs.arranged(_rows(4, 4)[None])
TOKENS = di.inputs.tokens(3)


class Case(NamedTuple):
    """A network of every width.

    Attributes:
        resolves: largest `Drawn.resolution` of 2000 networks of width 256, at the last site.
    """

    network: Callable[[int], Any]
    inputs: Any = PAIR
    quantity: Any = Q.nngp
    resolves: float = 1e-4


def _block(*branch: Any, **options: Any) -> Any:
    return Residual(S(*branch), **options)


def _heads(width: int, **options: Any) -> Any:
    return L.Attention(width // 8, head_width=width // 8, **options)


CASES = {
    "activations": Case(
        lambda n: S(Dense(n), Act("relu"), Dense(n, TWO), Act("tanh"), Dense(n)), resolves=5.4e-5
    ),
    "kinks": Case(
        lambda n: S(Dense(n), Act("gelu"), Dense(n, TWO, BIAS), Act("hard_swish"), Dense(n)),
        resolves=2.6e-5,
    ),
    "gate": Case(
        lambda n: S(Dense(n), _block(L.RMSNorm(), Dense(4 * n), L.Gate("silu"), Dense(n, TWO))),
        resolves=3.8e-5,
    ),
    "norms": Case(
        lambda n: S(
            Dense(n),
            _block(L.LayerNorm(), Dense(2 * n), Act("gelu"), Dense(n, TWO)),
            _block(L.RMSNorm(), Dense(n), Act("gelu")),
        ),
        resolves=2.3e-5,
    ),
    "skips": Case(
        lambda n: S(
            Dense(n),
            _block(L.RMSNorm(), Dense(n, TWO), Act("tanh"), Dense(n), skip=Dense(n), scale=0.7),
            _block(Dense(n), Act("relu"), skip=Dense(n), scale=0.7),
        ),
        resolves=3.4e-5,
    ),
    "dropout": Case(
        lambda n: S(
            Dense(n),
            Act("relu"),
            L.Dropout(0.2),
            Dense(n, TWO),
            Act("tanh"),
            L.Dropout(0.3, shared=False),
            Dense(n),
        ),
        resolves=8.4e-5,
    ),
    "tokens": Case(
        lambda n: S(
            L.Embed(n),
            L.Positions(),
            L.TokenShift(0.3),
            _block(L.RMSNorm(), Dense(n), Act("tanh"), Dense(n)),
            L.TokenShift(0.3),
            Dense(n),
        ),
        TOKENS,
        Q.token_cosine,
        resolves=3.8e-5,
    ),
    "conv": Case(
        lambda n: S(
            L.Conv(n, 3, padding="circular"),
            Act("relu"),
            L.Conv(n, 3, law=TWO),
            L.Pool("mean", 2),
            Dense(n),
            Act("tanh"),
            L.Flatten(),
            Dense(n),
        ),
        SIGNAL,
        Q.log_norm,
        resolves=1.7e-5,
    ),
    "mean_dense": Case(
        lambda n: S(L.Conv(n, 1), Act("tanh"), L.MeanDense(n, TWO), Act("gelu"), Dense(n)),
        di.inputs.arranged(_rows(2, 4)[None]),
        Q.log_norm,
    ),
    "angle": Case(lambda n: di.MLP((n,) * 4), di.inputs.pair(1.0), Q.log_sin2_angle, 1.8e-4),
    "small_angle": Case(lambda n: di.MLP((n,) * 4), di.inputs.pair(0.01), Q.log_sin2_angle, 3.8e-5),
    "batchnorm": Case(
        lambda n: S(Dense(n), L.BatchNorm(), Act("tanh"), Dense(n), L.BatchNorm(), Dense(n)),
        BATCH,
        resolves=4.0e-6,
    ),
    "batchnorm_branch": Case(
        lambda n: S(Dense(n), _block(Dense(n), L.BatchNorm())), BATCH, resolves=4.2e-5
    ),
    "groupnorm": Case(
        lambda n: S(L.Conv(n, 1), L.GroupNorm(n // 2), Act("tanh"), L.Pool("mean"), Dense(n)),
        di.inputs.arranged(_rows(2, 4)[None]),
        Q.log_norm,
        resolves=7.7e-5,
    ),
    "attention": Case(
        lambda n: S(
            L.Embed(n),
            _block(L.RMSNorm(), _heads(n), Dense(n)),
            _block(L.RMSNorm(), Dense(n), Act("gelu"), Dense(n, TWO)),
        ),
        di.inputs.tokens(2),
        Q.token_cosine,
        resolves=6.5e-4,
    ),
    "causal": Case(
        lambda n: S(
            L.Embed(n), L.Positions(), _block(L.RMSNorm(), _heads(n, mask="causal"), Dense(n))
        ),
        di.inputs.tokens(2),
        Q.token_cosine,
        resolves=1e-3,
    ),
    "rotary": Case(
        lambda n: S(
            L.Embed(n),
            _block(L.RMSNorm(), _heads(n, mask="causal", rotary=10.0), Dense(n)),
            _block(L.RMSNorm(), Dense(4 * n), L.Gate("silu"), Dense(n)),
        ),
        di.inputs.tokens(2),
        Q.token_cosine,
        resolves=1e-3,
    ),
    "layernorm": Case(
        lambda n: S(
            Dense(n), L.LayerNorm(), Act("gelu"), Dense(n), L.RMSNorm(), Act("relu"), Dense(n)
        ),
        resolves=7.8e-5,
    ),
}

ACTIVATIONS = {
    name: Case(lambda n, name=name: S(Dense(n), Act(name), Dense(n), Act(name))) for name in BUILTIN
}
# cubes of z: fluctuations are not small
ACTIVATIONS["x2_tanh"] = ACTIVATIONS["x2_tanh"]._replace(resolves=1.2e-3)


class Drawn(NamedTuple):
    """Of networks: values f and controls [networks, sites, entries]; `centre` is infinite width.

    `past`: the part of `mean` with a fitted weight.
    """

    value: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    past: np.ndarray
    centre: np.ndarray
    control: Control
    columns: np.ndarray

    @property
    def controlled(self) -> np.ndarray:
        """f - control - infinite width."""
        return self.value - self.mean - self.centre

    @property
    def resolution(self) -> np.ndarray:
        """[sites, entries], controlled standard error over the rms of f."""
        size = np.sqrt(np.mean(self.value**2, axis=0))
        return self.controlled.std(axis=0) / len(self.value) ** 0.5 / size

    def with_controls_of(self, control: Control) -> "Drawn":
        """Other controls of the same networks."""
        controls = control.of_block(self.columns)
        return self._replace(**controls._asdict(), control=control)


def drawn(
    case: Case, width: int, networks: int, *, linear_map: str = "auto", seed: int = 0
) -> Drawn:
    """Networks of a width, with their controls."""
    spec = case.network(width)
    control, _ = choose_control(spec, case.quantity, case.inputs, "theory")
    seed_fn, _ = seed_fn_of(
        spec, case.quantity, case.inputs, linear_map=linear_map, control=control
    )
    ensemble = blocks.compile_ensemble(seed_fn, networks, block_size=networks)
    measured = ensemble.block_fn(keys.root_key(seed), 0)
    values = values_of(case.quantity, measured)
    controls = control.of_block(measured.columns)
    return Drawn(values, *controls, control.centre, control, measured.columns)


def scores(sample: np.ndarray) -> np.ndarray:
    """|mean| over its standard error [...], of samples [networks, ...]; 0 without spread."""
    spread = sample.std(axis=0) / np.sqrt(len(sample))
    return np.abs(sample.mean(axis=0)) / np.where(spread > 1e-9, spread, np.inf)
