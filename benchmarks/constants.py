"""Constants of `costs.py`: every part of a block timed by itself. Run by `model.py`."""

import math
from collections.abc import Callable
from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np

import deepinit as di
from deepinit import store
from deepinit.core.generator import standard_normals
from deepinit.ensembles import statistics
from deepinit.ensembles.blocks import Ensemble, compile_ensemble
from deepinit.ensembles.keys import root_key
from deepinit.networks import linear_maps
from deepinit.networks.forward import random_forward
from deepinit.networks.input_rows import input_rows
from deepinit.quantities.kinds.axis import pass_bytes
from deepinit.quantities.measured import measure_block, values_of

NNGP = di.quantities.nngp
SETTINGS = {"linear_map": "conditional", "dtype": "float32", "precision": "highest"}
FEW, MANY = 2, 8  # numbers of inputs


def points(count: int) -> Any:
    """Random inputs in 32 dimensions."""
    return di.inputs.points(np.random.default_rng(0).normal(size=(count, 32)))


def forward_fn(
    width: int, depth: int, count: int, linear_map: Callable[..., Any]
) -> Callable[[Any], Any]:
    """`key -> Measurement`: the engine's forward pass with this linear map."""
    spec, inputs = di.MLP((width,) * depth), points(count)
    start = input_rows(spec, inputs, "float32")
    measure = lambda state: NNGP.measurement.tap(state, inputs)
    return lambda key: random_forward(spec, start(key), key, measure, linear_map=linear_map)[0]


def identity_map(key: Any, rows: Any, law: Any, fan_out: int, depth: int, precision: str) -> Any:
    """No random number and no product: the rows, repeated to the width, with a random sign."""
    del law, depth, precision
    stacked = rows.stacked
    sign = 1.0 - 2.0 * (jax.random.key_data(key)[0] & 1).astype(stacked.dtype)
    return sign * jnp.tile(stacked, (1, -(-fan_out // stacked.shape[1])))[:, :fan_out]


def parts(width: int, depth: int, count: int) -> dict[str, Callable[[Any], Any]]:
    """Seed functions of the whole and of its parts."""

    def layers(step: Callable[[Any, Any], Any], start: Any, key: Any) -> Any:
        keys = jax.vmap(lambda layer: jax.random.fold_in(key, layer))(
            jnp.arange(depth, dtype=jnp.uint32)
        )
        return jax.lax.scan(step, start, keys)[1]

    def random(key: Any) -> Any:
        return layers(
            lambda none, one: (none, jnp.sum(standard_normals(one, (count, width), jnp.float32))),
            None,
            key,
        )

    def linear(key: Any) -> Any:
        # numbers that cost nothing beside the factor and the product, of about their size
        angles = jnp.arange(count * width, dtype=jnp.float32).reshape(count, width)
        numbers = jnp.sin(angles * angles) * (
            1 + 1e-3 * (jax.random.key_data(key)[0] & 255).astype(jnp.float32)
        )

        def step(rows: Any, one: Any) -> tuple[Any, Any]:
            del one
            factor = linear_maps.lower_factor(rows) * math.sqrt(2.0 / width)
            rows = jnp.matmul(factor, numbers, precision="highest")
            return rows, rows[:, 0]

        return layers(step, numbers, key)

    return {
        "whole": forward_fn(width, depth, count, linear_maps.conditional),
        "random": random,
        "linear": linear,
        "active": forward_fn(width, depth, count, identity_map),
    }


def compiled(
    width: int, depth: int, count: int, num_seeds: int, seed_fn: Callable[[Any], Any]
) -> Ensemble:
    """One block, cut as the engine cuts it."""
    at_hand = pass_bytes(di.MLP((width,) * depth), points(count), SETTINGS)
    return compile_ensemble(seed_fn, num_seeds, seed_bytes=at_hand, block_size=num_seeds)


def check_diagonal(values: np.ndarray, width: int, depth: int, count: int) -> None:
    """The last diagonal has the mean of infinite width; its variance is at most (1 + 5/n)^L - 1."""
    own = np.flatnonzero(np.equal(*np.triu_indices(count)))
    exact = di.infinite(di.MLP((width,) * depth), NNGP, points(count)).mean[-1][own]
    variance = exact**2 * ((1 + 5 / width) ** depth - 1)
    harness.check_mean(f"mean diagonal, {count} inputs", values[:, -1, own], exact, variance)


def linear_and_square(few: float, many: float) -> tuple[float, float]:
    """(a, b) with a k + b k^2 equal to both times; never below 0."""
    b = max(0.0, (many / MANY - few / FEW) / (MANY - FEW))
    return max(0.0, few / FEW - b * FEW), b


def device_costs(
    width: int, depth: int, num_seeds: int, repeats: int
) -> tuple[dict[str, float], dict[int, Any]]:
    """Constants of the devices, and one block's measurements by number of inputs."""
    root, runs, blocks = root_key(0), {}, {}
    for count in (FEW, MANY):
        for name, seed_fn in parts(width, depth, count).items():
            ensemble = compiled(width, depth, count, num_seeds, seed_fn)
            runs[name, count] = lambda ensemble=ensemble: ensemble.block_fn(root, 0)
        blocks[count] = runs["whole", count]()
        check_diagonal(values_of(NNGP, blocks[count]), width, depth, count)
    trivial = compile_ensemble(
        lambda key: jax.random.key_data(key)[0], num_seeds, block_size=num_seeds
    )
    runs["call", 0] = lambda: trivial.block_fn(root, 0)
    seconds = harness.least_seconds(runs, repeats)
    call, scale = seconds["call", 0], jax.device_count() / (num_seeds * width * depth)
    # seconds of one device, by neuron
    per = {key: max(0.0, value - call) * scale for key, value in seconds.items()}
    row, pair = linear_and_square(per["linear", FEW], per["linear", MANY])
    active, overlap = linear_and_square(per["active", FEW], per["active", MANY])
    normal = 0.5 * (per["random", FEW] / FEW + per["random", MANY] / MANY)
    names = ("random", "linear", "active")
    sums = [sum(per[name, count] for name in names) for count in (FEW, MANY)]
    together = math.sqrt(per["whole", FEW] * per["whole", MANY] / math.prod(sums))
    found = {"normal": normal, "row": row, "pair": pair, "active": active, "overlap": overlap}
    found |= {"call": call, "together": together}
    return found | {f"whole {count}": seconds["whole", count] for count in (FEW, MANY)}, blocks


def host_costs(measured: Any, folder: str, repeats: int, writes: int) -> dict[str, float]:
    """Constants of statistics and store, from one block's measurement."""
    small = jax.tree.map(lambda leaf: leaf[: len(leaf) // 4], measured)
    whole, quarter = (measure_block(NNGP, block, ())[0] for block in (measured, small))
    one = jax.tree.map(lambda leaf: leaf[:, :1, :1], measured)
    tiny = measure_block(NNGP, one, ())[0]
    values, num_seeds = whole.mean.size, len(measured.value)
    with store.open_run(folder, {"experiment": "costs"}) as run:
        names = iter(f"costs/{number}" for number in range(10**6))
        store.write_block(run, "kept/whole", statistics.to_arrays(whole))
        store.write_block(run, "kept/tiny", statistics.to_arrays(tiny))
        again = statistics.from_arrays(store.read_block(run, "kept/whole"))
        same = all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))
        harness.check("statistics after the store, arrays that differ", float(not same), 0.0)
        sizes = {
            name: len((run.path / "blocks" / "kept" / f"{name}.npz").read_bytes())
            for name in ("whole", "tiny")
        }

        def several(action: Callable[[], Any]) -> Callable[[], None]:
            def act() -> None:
                for _ in range(writes):
                    action()

            return act

        write = lambda stats: store.write_block(run, next(names), statistics.to_arrays(stats))
        read = lambda name: statistics.from_arrays(store.read_block(run, f"kept/{name}"))
        event = {"name": "costs", "bytes": 0, "sha256": "0" * 64}
        seconds = harness.least_seconds(
            {
                "whole": lambda: measure_block(NNGP, measured, ()),
                "quarter": lambda: measure_block(NNGP, small, ()),
                "merge": lambda: statistics.merge(whole, quarter),
                "write whole": several(lambda: write(whole)),
                "write tiny": several(lambda: write(tiny)),
                "journal": several(lambda: store.append_event(run, "measured", **event)),
                "read whole": several(lambda: read("whole")),
                "read tiny": several(lambda: read("tiny")),
            },
            repeats,
        )
    each = {
        name: value / (writes if " " in name or name == "journal" else 1)
        for name, value in seconds.items()
    }
    value = max(0.0, (each["whole"] - each["quarter"]) / (0.75 * num_seeds * values))
    byte = max(0.0, (each["write whole"] - each["write tiny"]) / (sizes["whole"] - sizes["tiny"]))
    merge = each["merge"] / values
    unpack = max(0.0, (each["read whole"] - each["read tiny"]) / (values - 1))
    return {
        "value": value,
        "merge": merge + max(0.0, each["whole"] / values - value * num_seeds),
        "write": max(each["journal"], each["write tiny"] - byte * sizes["tiny"]),
        "byte": byte,
        "journal": each["journal"],
        "read": max(0.0, each["read tiny"] - unpack),
        "unpack": unpack + merge,
    }


def start_cost(folder: str, starts: int) -> float:
    """Seconds of a start per earlier start in its directory, whose records it rewrites."""
    record = store.collect({})
    with store.open_run(folder, {"experiment": "starts"}) as run:
        write = lambda: store.write_provenance(run, record)
        taken = [harness.seconds_of(write)[0] for _ in range(starts)]
    third = starts // 3
    grown = min(taken[-third:]) - min(taken[:third])
    return max(0.0, grown / (starts - third))
