"""Kernel matrices of thousands of inputs: `di.kernels` against neural-tangents.

    python benchmarks/kernel_matrices.py [--quick] [--out FILE] [--repeats 2]

NNGP and NTK of a ReLU network with three hidden layers and biases at 3000 inputs of dimension 784,
float64. Times after compilation, in turns; peak memory (Linux) in fresh processes (inputs, Python
with JAX take 0.3 GiB, the two results 0.13 GiB). Goals: no slower than neural-tangents, no more
memory. Checked before: both agree with the recursion over layers to 1e-7.
"""

from pathlib import Path

import harness
import numpy as np

import deepinit as di
from deepinit.infinite_width.kernel_matrices import kernel_matrices
from deepinit.infinite_width.kernels import nngp_and_ntk
from deepinit.infinite_width.recursion import kernel_layers

DIMENSION = 784
SPEC = di.MLP(
    (64,) * 3,
    "relu",
    weight_law=di.normal(2.0),
    bias_law=di.normal(0.1, "absolute"),
    output_width=1,
)

# A child's `ru_maxrss` starts at its parent's: the high-water mark of its own memory is exact.
MEASURE = """
import json, re, sys
sys.path.insert(0, sys.argv[3])
import kernel_matrices as bench
bench.ENGINES[sys.argv[1]](bench.inputs(int(sys.argv[2])))
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
print(json.dumps({"peak": 1024 * int(peak[1])}))
"""


def inputs(num: int) -> np.ndarray:
    """[num, 784]."""
    return np.random.default_rng(0).standard_normal((num, DIMENSION))


ENGINES = {
    "di.kernels": lambda x: kernel_matrices(SPEC, x),
    "neural-tangents": lambda x: nngp_and_ntk(SPEC, x),
}


def main() -> None:
    """Checks, times, measures memory."""
    options, report = harness.begin(__doc__, repeats=(2, 2), devices="one")
    num = 500 if options.quick else 3000
    x = inputs(num)
    exact = kernel_layers(SPEC, x[:200], last_only=True)
    for name, engine in ENGINES.items():
        nngp, ntk = (
            np.abs(k / e[-1] - 1.0).max() for k, e in zip(engine(x[:200]), exact, strict=True)
        )
        harness.check(f"relative error of {name}", float(max(nngp, ntk)), 1e-7)
    wrong = np.abs(exact.nngp / exact.ntk - 1.0).max()
    harness.reject("the NNGP kernel as NTK", float(wrong), 1e-7)
    functions = {name: lambda engine=engine: engine(x) for name, engine in ENGINES.items()}
    seconds = harness.least_seconds(functions, options.repeats)
    for name, value in seconds.items():
        report.add(f"{name}, {num} inputs", value, "s")
    ours, theirs = ENGINES
    ratio = seconds[theirs] / seconds[ours]
    report.add("neural-tangents over di.kernels, time", ratio, "x", (">=", 1.0), peer=theirs)
    folder = str(Path(__file__).parent)
    peaks = {
        name: harness.in_fresh_process(MEASURE, name, str(num), folder)["peak"] for name in ENGINES
    }
    for name, peak in peaks.items():
        report.add(f"{name}, peak memory", peak / 2**30, "GiB")
    ratio = peaks[theirs] / peaks[ours]
    report.add("neural-tangents over di.kernels, memory", ratio, "x", (">=", 1.0), peer=theirs)


if __name__ == "__main__":
    main()
