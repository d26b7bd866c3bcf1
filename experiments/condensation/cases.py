"""Cases of condensation."""

import numpy as np

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.reproducible import constant
from deepinit.runs.experiment import Case
from deepinit.theory import condensation as theory

from .config import Config

COUNT = di.quantities.orientation_count
ACTIVATIONS = {1: di.tanh, 2: di.x_tanh, 3: di.x2_tanh}
LAST_STEP, NUM_RECORDS = 640, 32  # of the runs that condense
FIRST_DROP = 1e-3  # loss drop that ends the initial stage for multiplicity 1; 1e-2 for higher ones


def cases(config: Config) -> tuple[Case, ...]:
    """All cases; see the functions below."""
    return (
        *multiplicity_cases(config),
        *law_cases(config),
        *other_cases(config),
        *deep_cases(config),
        *image_cases(config),
        *phase_cases(config),
        *scale_cases(config),
    )


def multiplicity_cases(config: Config) -> list[Case]:
    """p = 1, 2, 3 in one and five dimensions; p = 3 on a simplex: 2 (d + 1) orientations."""
    result = []
    for p in config.multiplicities:
        net = di.training.small_mlp(
            (config.width * (3 if p == 3 else 1),), ACTIVATIONS[p], std=config.std
        )
        data = {f"p{p}-1d": di.targets.two_sines()}
        data |= {
            f"p{p}-5d-data{seed}": di.targets.sum_of_sines(seed=seed) for seed in config.data_seeds
        }
        if p == 3:
            data["p3-simplex"] = di.targets.simplex(5)
        result += [
            counted(config, name, net, condensing(examples, p)) for name, examples in data.items()
        ]
    return result


def law_cases(config: Config) -> list[Case]:
    """p = 1 in five dimensions: aligned fraction, distance, time of the first loss drop."""
    net = di.training.small_mlp((config.width,), di.tanh, std=config.std)
    examples = di.targets.sum_of_sines(seed=1)
    rate = growth_rate(examples)
    steps = di.TrainingConfig(examples, range(0, 321, 20), rate=0.02 / rate, initial_stage=True)
    drop = di.TrainingConfig(
        examples, (6000,), rate=0.002 / rate, stop_drop=FIRST_DROP, initial_stage=True
    )
    runs = {"aligned_fraction": steps, "relative_distance": steps, "drop_time": drop}
    return [
        Case(
            name.replace("_", "-"),
            net,
            di.quantities.BUILTIN[name],
            run,
            config.law_seeds,
            checked=("leading_order",),
            rejected=("infinite_width",) if run is steps else (),
            key=config.key,
        )
        for name, run in runs.items()
    ]


def other_cases(config: Config) -> list[Case]:
    """Adam instead of gradient flow; ReLU, without a multiplicity."""
    small = 0.1 * config.std
    tanh, quadratic = (
        di.training.small_mlp((config.width,), activation, std=small)
        for activation in (di.tanh, di.x_tanh)
    )
    relu = di.training.small_mlp((3 * config.width,), di.relu, std=config.std)
    steps = range(0, 601, 20)
    adam = {"mode": "adam", "rate": 10.0 * small}
    return [
        counted(
            config,
            "adam-p1-5d",
            tanh,
            di.TrainingConfig(di.targets.sum_of_sines(seed=1), steps, **adam),
        ),
        counted(
            config, "adam-p1-1d", tanh, di.TrainingConfig(di.targets.two_sines(), steps, **adam)
        ),
        counted(
            config,
            "adam-p2-1d",
            quadratic,
            di.TrainingConfig(di.targets.two_sines(), steps, **adam),
        ),
        counted(config, "relu-1d", relu, condensing(di.targets.two_sines(), 0)),
    ]


def deep_cases(config: Config) -> list[Case]:
    """Five hidden layers of 18 neurons under Adam, with and without residual connections."""
    examples = di.targets.centred(di.targets.sum_of_sines(3, amplitude=4.0, frequency=12.0))
    run = di.TrainingConfig(examples, records(config.deep_steps), mode="adam", rate=4e-5)
    result = []
    for name in config.deep_activations:
        spec = di.training.small_mlp((18,) * 5, name, std=0.01)
        for residual in (False, True):
            label = f"deep-{name.replace('_', '-')}{'-residual' if residual else ''}"
            network = di.training.perceptron(spec, residual=residual)
            result.append(counted(config, label, network, run, checked=()))
    return result


def image_cases(config: Config) -> list[Case]:
    """A convolutional network of flax on MNIST digits; optionally a residual one, two inits."""
    if not config.image_steps:
        return []
    from . import models

    train, test = di.targets.digits(500), di.targets.digits(500, skip=500)
    small = di.TrainingConfig(
        train, records(config.image_steps), mode="adam", rate=1e-4, loss="cross_entropy"
    )
    result = [counted(config, "cnn", models.convolutional(), small, num_seeds=2, checked=())]
    if config.residual_module:
        run = di.TrainingConfig(
            train,
            records(config.image_steps),
            mode="adam",
            rate=1e-3,
            loss="cross_entropy",
            batch_size=128,
            test=test,
        )
        for kind in ("condensed", "glorot"):
            network = models.residual(kind)
            accuracy = di.quantities.accuracy
            result.append(
                Case(f"resnet-{kind}", network, accuracy, run, 2, num_saved=1, key=config.key)
            )
    return result


def phase_cases(config: Config) -> list[Case]:
    """Distance of the input weights at a loss drop of 10 %, by point of the phase diagram."""
    x = np.linspace(-1.0, 1.0, 8)
    run = di.TrainingConfig(
        di.targets.examples(x, x + 0.5, "a line"), (4000,), mode="flow", stop_drop=0.1
    )
    return [
        Case(
            phase_name(gamma, gamma_prime, width),
            di.training.small_mlp((width,), di.tanh, std=input_std, output_std=output_std),
            di.quantities.relative_distance,
            run,
            config.phase_seeds,
            theories=(),
            key=config.key,
        )
        for gamma, gamma_prime in points(config)
        for width in config.phase_widths
        for output_std, input_std in [stds(width, gamma, gamma_prime)]
    ]


def scale_cases(config: Config) -> list[Case]:
    """Variances width^-gamma, from the scale of the tangent kernel (1/2) to condensation."""
    examples = di.targets.two_sines()
    result = []
    for gamma in config.scales:
        std = config.scale_width ** (-0.5 * gamma)
        net = di.training.small_mlp((config.scale_width,), di.tanh, std=std)
        # a bound on the eigenvalues of the tangent kernel; steps are a tenth of the shortest time
        squares = float(np.mean(examples.inputs**2)) + 1.0
        fastest = 2.0 * config.scale_width * std**2 * squares + growth_rate(examples)
        run = di.TrainingConfig(
            examples, di.training.log_spaced_steps(3000, 30), rate=0.1 / fastest
        )
        seeds, options = 4 * config.law_seeds, {"rejected": ("infinite_width",), "key": config.key}
        loss = di.quantities.training_loss
        result.append(Case(scale_name(gamma), net, loss, run, seeds, **options))
    return result


def counted(
    config: Config,
    name: str,
    net,
    run: di.TrainingConfig,
    *,
    num_seeds: int = 0,
    checked: tuple[str, ...] = ("leading_order",),
) -> Case:
    """A case that counts orientations and stores the weights of its first network."""
    seeds = num_seeds or config.num_seeds
    return Case(name, net, COUNT, run, seeds, checked=checked, num_saved=1, key=config.key)


def condensing(examples, p: int) -> di.TrainingConfig:
    """Training until neurons condense: descent for p = 1, else a clock per neuron."""
    options = {"stop_drop": FIRST_DROP if p == 1 else 10 * FIRST_DROP, "initial_stage": True}
    if p == 1:
        return di.TrainingConfig(
            examples, records(LAST_STEP), mode="gd", rate=0.02 / growth_rate(examples), **options
        )
    return di.TrainingConfig(examples, records(LAST_STEP), mode="neuron_flow", rate=0.02, **options)


def records(last: int) -> range:
    """About NUM_RECORDS equally spaced steps, from 0."""
    return range(0, last + 1, max(1, last // NUM_RECORDS))


def growth_rate(examples) -> float:
    """Growth rate of aligned tanh weights, to 12 digits, part of a run's identity."""
    return constant(theory.growth_rate(examples.inputs, examples.targets), 12)


def points(config: Config) -> list[tuple[float, float]]:
    """(gamma, gamma') of the phase diagram."""
    return [point(text) for text in config.phases]


def stds(width: int, gamma: float, gamma_prime: float) -> tuple[float, float]:
    """Of output and input weights: their product is width^-gamma, their ratio width^-gamma'."""
    return width ** (-0.5 * (gamma + gamma_prime)), width ** (-0.5 * (gamma - gamma_prime))


def phase_name(gamma: float, gamma_prime: float, width: int) -> str:
    """The name of a case."""
    return f"phase-{gamma:g}-{gamma_prime:g}-w{width}".replace("--", "-minus")


def scale_name(gamma: float) -> str:
    """The name of a case."""
    return f"scale-{gamma:g}"


def point(text: str) -> tuple[float, float]:
    """`1.5,-0.4` as numbers."""
    try:
        gamma, gamma_prime = (float(part) for part in text.split(","))
    except ValueError:
        given, remedy = f"the point {text!r} of the phase diagram", "Write --config.phases 1.75,0."
        raise SpecError(given, "two numbers joined by ','", remedy) from None
    return gamma, gamma_prime
