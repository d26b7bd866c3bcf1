"""Config, presets and cases of cutoff."""

import dataclasses

import numpy as np

import deepinit as di
from deepinit.runs.experiment import Case
from deepinit.theory.cutoff import critical_gain

SURVIVAL, LOG_NORM, ANGLE = (
    di.quantities.survival,
    di.quantities.log_norm,
    di.quantities.log_sin2_angle,
)
# U(-1, 1) / sqrt(width), and a normal law of its variance
UNIFORM, NORMAL = di.uniform(1.0 / 3.0), di.normal(1.0 / 3.0)
START = 0.05  # mean square of the input whose length relaxes
ONE_INPUT, TWO_INPUTS = 2.25, 6.25  # weight variances of the relaxing networks
ANGLE_AT_START = 0.45  # cosine 0.9
LENGTH_AT_START = 0.6338  # mean square of two inputs: the fixed point of TWO_INPUTS
UNDERFLOW_DEPTHS = {"float32": 180, "float16": 48}
GAIN_DEPTH = 120
METASTABLE_GAIN = 1.15


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    rho: float = 1e-3
    """Spacing of the grid of values."""
    depth: int = 24
    """Layers of the survival curves."""
    widths: tuple[int, ...] = (1, 4, 16, 64)
    """Widths of the sweep with normal weights; roundings below."""
    roundings: tuple[str, ...] = ("truncate",)
    """truncate, nearest: one sweep each."""
    relu_widths: tuple[int, ...] = (1, 64)
    """Widths of the ReLU chains, uniform weights."""
    meshes: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    """Grids of the exact chain at width 1."""
    norm_widths: tuple[int, ...] = (2, 16)
    """Widths for the random walk of log |x|, at the critical gain and for ReLU."""
    phase_width: int = 64
    """Width of the networks in the ordered phase, where two inputs become one."""
    relaxation_widths: tuple[int, ...] = (64, 256)
    """Widths for the relaxation of one input's length, and of the overlap of two inputs."""
    underflow_widths: tuple[int, ...] = (16, 64)
    """Widths of tanh networks that underflow, uniform weights."""
    underflow_paths: int = 100
    """Paths at the largest of these widths; in proportion more at the others."""
    gain_width: int = 8
    """Width of the tanh networks at, below and above the critical gain; 0 for none."""
    gains: tuple[float, ...] = (0.9, 1.0, 1.1)
    """Gains over the critical gain."""
    metastable_widths: tuple[int, ...] = (8,)
    """Widths of chains kept alive by rounding to nearest, rho = 1/2, gain 1.15."""
    metastable_depth: int = 240
    """Layers of these chains."""
    trained_depths: tuple[int, ...] = ()
    """Depths of tanh networks of width 32, trained on two circles by SGD and by Adam."""
    glorot_depths: tuple[int, ...] = ()
    """Depths with weights U(-1, 1) sqrt(3 / width), of the critical variance."""
    trained_networks: int = 4
    """Trained networks per depth and optimizer."""
    num_paths: int = 20_000
    """Paths (networks) per case."""
    key: int = 0
    """Root key of the ensembles."""


PRESETS = {
    "smoke": Config(),
    "paper": Config(
        widths=(1, 2, 4, 8, 16, 32, 64, 128),
        relu_widths=(1, 2, 8, 64),
        num_paths=1_000_000,
        phase_width=256,
        underflow_paths=1000,
    ),
    "trainability": Config(
        widths=(16, 32),
        relu_widths=(),
        norm_widths=(),
        relaxation_widths=(),
        underflow_widths=(),
        gain_width=0,
        metastable_widths=(),
        trained_depths=(4, 6, 8, 10, 12, 16),
        glorot_depths=(12, 16, 24),
        trained_networks=2,
    ),
    "full": Config(
        widths=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
        roundings=("truncate", "nearest"),
        relu_widths=(1, 2, 4, 8, 16, 32, 64),
        norm_widths=(1, 2, 4, 16, 64),
        num_paths=1_000_000,
        phase_width=256,
        relaxation_widths=(64, 256, 1024),
        underflow_paths=1000,
        metastable_widths=(8, 16),
        metastable_depth=4000,
        trained_depths=(4, 6, 8, 10, 12, 16, 24),
    ),
}


def cases(config: Config) -> tuple[Case, ...]:
    """The paper's curves, widths, ReLU, underflow, gains, norms, two inputs, training."""
    truncated = {
        "tanh-w1": ("tanh", 1, UNIFORM),
        "tanh-w2": ("tanh", 2, UNIFORM),
        "swish-w1": ("silu", 1, di.normal(1.0)),
    }
    result = [
        chain(config, f"paper-{name}", *setting, "truncate") for name, setting in truncated.items()
    ]
    for rounding in config.roundings:
        result += [
            chain(config, sweep_name(rounding, width), "tanh", width, NORMAL, rounding)
            for width in config.widths
        ]
    result += [
        chain(config, f"relu-w{width}", "relu", width, UNIFORM, "truncate")
        for width in config.relu_widths
    ]
    result += [
        *underflow_cases(config),
        *gain_cases(config),
        *norm_cases(config),
        *phase_cases(config),
    ]
    return (*result, *trained_cases(config))


def chain(
    config: Config, name: str, activation: str, width: int, law: di.Law, rounding: str
) -> Case:
    """A survival curve, with the exact law at width 1."""
    spec = di.MLP((width,) * config.depth, di.rounded(activation, config.rho, rounding), law)
    start, checked = di.inputs.ones(width), ("exact",) if width == 1 else ()
    return Case(name, spec, SURVIVAL, start, config.num_paths, checked=checked, key=config.key)


def underflow_cases(config: Config) -> list[Case]:
    """tanh with the underflow of a dtype; bfloat16 has the smallest number of float32."""
    result = []
    for width in config.underflow_widths:
        paths = config.underflow_paths * max(config.underflow_widths) // width
        for dtype, depth in UNDERFLOW_DEPTHS.items():
            spec = di.MLP((width,) * depth, di.stored("tanh", dtype), UNIFORM)
            name = f"underflow-{dtype}-w{width}"
            result.append(Case(name, spec, SURVIVAL, di.inputs.ones(width), paths, key=config.key))
    return result


def gain_cases(config: Config) -> list[Case]:
    """Truncated tanh chains around the critical gain; chains kept alive by rounding to nearest."""
    result, paths = [], min(config.num_paths, 20_000)
    for ratio in config.gains if config.gain_width else ():
        law = di.normal((ratio * critical_gain(config.gain_width)) ** 2)
        spec = di.MLP(
            (config.gain_width,) * GAIN_DEPTH, di.rounded("tanh", config.rho, "truncate"), law
        )
        name, start = f"gain-{ratio:g}", di.inputs.ones(config.gain_width)
        result.append(Case(name, spec, SURVIVAL, start, paths, theories=(), key=config.key))
    for width in config.metastable_widths:
        spec = di.MLP(
            (width,) * config.metastable_depth,
            di.rounded("tanh", 0.5, "nearest"),
            di.normal(METASTABLE_GAIN**2),
        )
        name, start = f"metastable-w{width}", di.inputs.ones(width)
        result.append(
            Case(name, spec, SURVIVAL, start, min(paths, 5000), theories=(), key=config.key)
        )
    return result


def norm_cases(config: Config) -> list[Case]:
    """log |x_t| / |x_0|: ReLU with He weights, and linear networks at the gain without drift."""
    result = []
    for width in config.norm_widths:
        shape, seeds = (width,) * config.depth, min(config.num_paths, 100_000)
        specs = {
            f"norm-relu-w{width}": di.MLP(shape),
            f"norm-critical-w{width}": di.MLP(
                shape, "linear", di.normal(critical_gain(width) ** 2)
            ),
        }
        law = {"checked": ("exact",), "rejected": ("infinite_width",), "key": config.key}
        inputs = di.inputs.ones(width)
        result += [Case(name, spec, LOG_NORM, inputs, seeds, **law) for name, spec in specs.items()]
    return result


def phase_cases(config: Config) -> list[Case]:
    """Ordered phase: two inputs become one. Chaotic phase: length and overlap relax."""
    seeds, width = min(config.num_paths, 3000), config.phase_width
    ordered = di.MLP((width,) * 40, "tanh", di.normal(0.81), di.normal(0.09, "absolute"))
    pair = di.inputs.pair(ANGLE_AT_START, width)
    result = [Case("ordered", ordered, ANGLE, pair, seeds, key=config.key)]
    for width in config.relaxation_widths:
        one = di.MLP((width,) * 24, "tanh", di.normal(ONE_INPUT))
        short = di.inputs.points(np.full((1, width), START**0.5))
        result.append(Case(f"relaxing-w{width}", one, LOG_NORM, short, seeds, key=config.key))
        two, pair = di.MLP((width,) * 40, "tanh", di.normal(TWO_INPUTS)), settled_pair(width)
        layers = tuple(range(1, 41))
        result.append(
            Case(f"chaotic-w{width}", two, ANGLE, pair, seeds, sample_layers=layers, key=config.key)
        )
    return result


def settled_pair(width: int) -> di.inputs.Inputs:
    """Two inputs of the stationary length: only their angle relaxes."""
    rows = np.zeros((2, width))
    rows[:, 0], rows[1, 1] = (1.0, np.cos(ANGLE_AT_START)), np.sin(ANGLE_AT_START)
    rows *= (width * LENGTH_AT_START) ** 0.5
    return di.inputs.from_arrays(
        rows[0], rows[1], f"angle {ANGLE_AT_START:g}, mean square {LENGTH_AT_START:g}"
    )


def trained_cases(config: Config) -> list[Case]:
    """Accuracy on two circles after 500 full-batch steps, by depth."""
    laws = [
        ("", UNIFORM, config.trained_depths),
        ("glorot-", di.uniform(1.0), config.glorot_depths),
    ]
    if not any(depths for _, _, depths in laws):
        return []
    import optax

    circles, result = di.targets.two_circles(), []
    optimizers = {"sgd": optax.sgd(0.5), "adam": optax.adam(3e-3)}
    for start, law, depth in [
        (start, law, depth) for start, law, depths in laws for depth in depths
    ]:
        spec = di.MLP(
            (32,) * depth, "tanh", law, output_width=2, output_law=law, bias_law=di.constant(0.0)
        )
        for name, optimizer in optimizers.items():
            run = di.TrainingConfig(circles, (0, 500), optimizer, loss="cross_entropy", name=name)
            name, networks = f"trained-{start}{name}-{depth}", config.trained_networks
            result.append(Case(name, spec, di.quantities.accuracy, run, networks, key=config.key))
    return result


def sweep_name(rounding: str, width: int) -> str:
    """The name of a case."""
    return f"{rounding}-w{width}"
