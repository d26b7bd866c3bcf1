"""Float32 on the present backend against float64 on the CPU; TF32 and bfloat16 are rejected.

    python benchmarks/precision.py [--quick] [--out FILE]

The same networks in float32 at precision "highest" and in float64 (explicit maps: NumPy on the
drawn matrices; conditional maps: the forward pass in float64 on the same normals). Measured: the
largest errors of ln sin^2 of an angle, and relative ones of second moments and tangent kernels.
Bound: 8 units of float32 (1.2e-7) a layer. Rejected on every backend: NumPy with operands rounded
to the 10 bits of TF32 or the 7 of bfloat16. Precision "default", on a CPU full float32, is measured
too.
"""

from collections.abc import Callable
from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np

import deepinit as di
from deepinit.core.generator import standard_normals
from deepinit.ensembles.blocks import compile_ensemble
from deepinit.ensembles.keys import root_key
from deepinit.infinite_width.precision import host_float64
from deepinit.networks import linear_maps
from deepinit.networks.forward import random_forward
from deepinit.networks.input_rows import input_rows
from deepinit.quantities.measured import values_of
from deepinit.quantities.routes import seed_fn_of

UNITS = 8.0  # of float32's 1.2e-7, a layer
BITS = {"TF32": 10, "bfloat16": 7}
PAIR = di.inputs.pair(1.0)
QUANTITIES = {
    "ln sin^2": di.quantities.log_sin2_angle,
    "second moments": di.quantities.nngp,
    "tangent kernels": di.quantities.ntk,
}

# relu' jumps: where a float32 value crosses 0 the tangent kernel differs by a neuron's share.
ACTIVATIONS = {"ln sin^2": "relu", "second moments": "relu", "tangent kernels": "tanh"}
SLOPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda z: (z > 0).astype(np.float64),
    "tanh": lambda z: 1.0 - np.tanh(z) ** 2,
}

Values = dict[str, np.ndarray]  # by quantity, [networks, layers or 1, entries]


def network(width: int, depth: int, activation: str) -> di.MLP:
    """At criticality, with one output."""
    return di.MLP((width,) * depth, getattr(di, activation), output_width=1)


def engine(shape: tuple[int, int], num_networks: int, linear_map: str, precision: str) -> Values:
    """Float32 on the present backend."""
    found = {}
    for name, quantity in QUANTITIES.items():
        spec = network(*shape, ACTIVATIONS[name])
        seed_fn, _ = seed_fn_of(
            spec, quantity, PAIR, linear_map=linear_map, dtype="float32", precision=precision
        )
        ensemble = compile_ensemble(seed_fn, num_networks, block_size=num_networks)
        found[name] = values_of(quantity, ensemble.block_fn(root_key(0), 0))
    return found


def laws(spec: di.MLP) -> list[di.Law]:
    """Of every matrix, output layer last."""
    assert isinstance(spec.weight_law, di.Law)
    assert isinstance(spec.output_law, di.Law)
    return [spec.weight_law] * spec.depth + [spec.output_law]


def matrices(spec: di.MLP, seed: int) -> list[np.ndarray]:
    """W of every layer, output layer last, as the explicit map draws them in float32."""
    key, drawn = jax.random.fold_in(root_key(0), seed), []
    shapes = [*spec.matrix_shapes(PAIR.dimension), (spec.widths[-1], 1)]
    for layer, (law, (fan_in, fan_out)) in enumerate(zip(laws(spec), shapes, strict=True), start=1):
        weight_key = jax.random.fold_in(jax.random.fold_in(key, layer), 0)
        drawn.append(np.asarray(law.sample(weight_key, (fan_out, fan_in)), np.float64))
    return drawn


def rounded(values: np.ndarray, bits: int | None) -> np.ndarray:
    """To so many bits of mantissa after the leading one, to nearest; None leaves all."""
    if bits is None:
        return values
    fraction, exponent = np.frexp(values)
    return np.ldexp(np.round(np.ldexp(fraction, bits + 1)), exponent - bits - 1)


def numpy_values(spec: di.MLP, weights: list[np.ndarray], bits: int | None) -> Values:
    """One float64 network with rounded operands: ln sin^2, second moments, tangent kernel."""
    product = lambda a, b: rounded(a, bits) @ rounded(b, bits)
    h, hidden, before = np.concatenate([PAIR.points, PAIR.partners]), [], []
    kernels, sines = [], []
    for matrix in weights[:-1]:
        hidden.append(h)
        before.append(product(h, matrix.T))
        h = np.maximum(before[-1], 0.0) if spec.activation.name == "relu" else np.tanh(before[-1])
        kernels.append((h @ h.T / h.shape[1])[np.triu_indices(2)])
        residual = h[1] - (h[0] @ h[1]) / (h[0] @ h[0]) * h[0]
        sines.append(np.log(residual @ residual / (h[1] @ h[1])))
    hidden.append(h)
    back, tangent = np.ones((2, 1)), np.zeros((2, 2))
    for layer in range(spec.depth, -1, -1):  # gradients with respect to weights of variance 1
        rows = hidden[layer]
        tangent += (
            laws(spec)[layer].entry_variance(rows.shape[1], spec.depth)
            * (back @ back.T)
            * (rows @ rows.T)
        )
        if layer:
            back = product(back, weights[layer]) * SLOPES[spec.activation.name](before[layer - 1])
    found = {"ln sin^2": np.array(sines)[:, None], "second moments": np.array(kernels)}
    return found | {"tangent kernels": tangent[np.triu_indices(2)][None]}


def reference(shape: tuple[int, int], num_networks: int, bits: int | None = None) -> Values:
    """`numpy_values` of all networks."""
    found: Values = {}
    for activation in SLOPES:
        spec = network(*shape, activation)
        each = [numpy_values(spec, matrices(spec, seed), bits) for seed in range(num_networks)]
        found |= {
            name: np.stack([one[name] for one in each])
            for name in QUANTITIES
            if ACTIVATIONS[name] == activation
        }
    return found


def conditional_float64(shape: tuple[int, int], num_networks: int) -> Values:
    """Conditional maps in float64 on the CPU, with the normals of float32."""

    def linear_map(key: Any, rows: Any, law: Any, fan_out: int, depth: int, precision: str) -> Any:
        del precision
        std = law.entry_variance(rows.points.shape[1], depth) ** 0.5
        factor = linear_maps.factor_of(rows)
        normals = standard_normals(key, (factor.shape[0], fan_out), jnp.float32).astype(
            factor.dtype
        )
        return jnp.matmul(std * factor, normals, precision="highest")

    found = {}
    with host_float64():
        for name in ("ln sin^2", "second moments"):
            quantity, spec = QUANTITIES[name], network(*shape, ACTIVATIONS[name])
            start = input_rows(spec, PAIR, "float64")

            def one(
                seed: Any, start: Any = start, quantity: Any = quantity, spec: Any = spec
            ) -> Any:
                key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), seed)
                measure: Callable[[Any], Any] = lambda state: quantity.measurement.tap(state, PAIR)
                return random_forward(spec, start(key), key, measure, linear_map=linear_map)[0]

            seeds = jnp.arange(num_networks, dtype=jnp.uint32)
            measured = jax.jit(lambda seeds, one=one: jax.lax.map(one, seeds))(seeds)
            found[name] = values_of(quantity, jax.tree.map(np.asarray, measured))
    return found


def errors(found: Values, exact: Values) -> dict[str, float]:
    """Largest: of ln sin^2 as it is, of the others relative."""
    largest = {}
    for name, wanted in exact.items():
        size = 1.0 if name == "ln sin^2" else np.abs(wanted)
        largest[name] = float(np.max(np.abs(found[name] - wanted) / size))
    return largest


def main() -> None:
    """Checks and tells; there is nothing to time."""
    options = harness.arguments(__doc__)
    report = harness.Report("precision", options.out, quick=options.quick)
    report.device()
    size, num_networks = ((64, 6), 16) if options.quick else ((256, 10), 64)
    backend, allowed = jax.default_backend(), UNITS * size[1] * float(np.finfo(np.float32).eps)
    shape = {"width": size[0], "depth": size[1], "networks": num_networks, "backend": backend}
    exact = reference(size, num_networks)
    pairs = {
        "explicit": (engine(size, num_networks, "explicit", "highest"), exact),
        "conditional": (
            engine(size, num_networks, "conditional", "highest"),
            conditional_float64(size, num_networks),
        ),
    }
    for linear_map, (found, wanted) in pairs.items():
        for name, error in errors(found, wanted).items():
            harness.check(f"{linear_map}, float32 on {backend}: {name}", error, allowed)
            report.add(
                f"{linear_map}, float32 on {backend}: error of {name}",
                error,
                "",
                ("<=", allowed),
                **shape,
            )
    for format_name, bits in BITS.items():
        for name, error in errors(reference(size, num_networks, bits), exact).items():
            harness.reject(f"operands in {format_name}: {name}", error, allowed)
            report.add(
                f"operands in {format_name} (planted): error of {name}",
                error,
                "",
                (">=", allowed),
                **shape,
            )
    for name, error in errors(engine(size, num_networks, "explicit", "default"), exact).items():
        verdict = "within the bound" if error <= allowed else "rejected"
        report.add(
            f"explicit at precision default on {backend}: error of {name}: {verdict}",
            error,
            "",
            **shape,
        )
    report.print()


if __name__ == "__main__":
    main()
