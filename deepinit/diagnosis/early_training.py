"""A few training steps before the long training: loss, and the share of networks that go on."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs, images
from deepinit.core.layers import shape_of
from deepinit.core.specs import NetworkSpec
from deepinit.diagnosis import logistic
from deepinit.diagnosis.default_inputs import IMAGE_DATA, Rows, own_rows, usual_rows
from deepinit.diagnosis.doors.layers import layers_probe
from deepinit.diagnosis.doors.networks import trained_functions
from deepinit.diagnosis.one_network import NETWORK
from deepinit.diagnosis.study import outcomes, training
from deepinit.diagnosis.study.data import Data
from deepinit.diagnosis.study.data import data as study_data
from deepinit.diagnosis.study.outcomes import FINAL
from deepinit.diagnosis.study.training import CHUNK
from deepinit.diagnosis.verdict import interval_of, model

Functions = tuple[Callable[..., Any], Callable[..., Any]]  # init and outputs, of `training.trainer`

LAST = 10  # steps of which the loss is a mean, 41 to 50 as in the study
MOST = 3_000_000  # parameters
_LEAST_ROWS = 64
_LEARNED = 0.9  # loss of the linear model over that of the best constant answer


class EarlyTraining(NamedTuple):
    """Adam from 3 seeds at 5 rates, batches of 32 rows.

    Attributes:
        steps: of training. rate: the best of the study's five.
        loss: mean of the last 10 steps and of the seeds at that rate; infinite if all diverged.
        trivial, reference: losses of the best constant answer, and of a linear model after 400
            steps.
        progress: (trivial - loss) / (trivial - reference), at least -1.
        share, interval: of the study's networks with this progress after 50 steps, how many were
            three quarters of the way after 400; None of other numbers of steps.
        auc: area under the curve of that progress; mean over families that were left out.
        data: name of the rows.
    """

    steps: int
    rate: float
    loss: float
    trivial: float
    reference: float
    progress: float
    share: float | None
    interval: tuple[float, float] | None
    auc: float | None
    data: str


def early_training(
    network: Any, inputs: Any, labels: Any, steps: int, key: int = 0
) -> EarlyTraining:
    """Train a network and a linear model on labelled rows.

    Args:
        inputs, labels: array [rows, ...] and classes [rows, *positions]; without both, MNIST or
            digits for networks of vectors of their sizes (`inputs`: None or `Rows`).
        steps: 50, 100, 150, ...

    Raises SpecError: other steps, no labels, too few outputs, more than 3e6 parameters,
        labels that a linear model does not learn.
    """
    validate.integer("train_steps", steps, CHUNK, "50 is usual.")
    if steps % CHUNK:
        raise SpecError(f"train_steps={steps}", "a multiple of 50", "Write train_steps=50.")
    data, name = _usual(network, inputs) if labels is None else _own(network, inputs, labels)
    functions, data = _functions(network, data)
    _check(data, *functions)
    table = _losses(*functions, data, steps, key)[-LAST:].mean(axis=0)
    reference = outcomes.best(_losses(*_linear(data), data, training.STEPS, key)[-FINAL:].mean(0))
    if not reference < _LEARNED * data.trivial:
        given = f"labels that a linear model does not learn (loss {reference:.3g} after 400 steps)"
        allowed = (
            f"a loss below {_LEARNED * data.trivial:.3g}, {_LEARNED} of the best constant answer"
        )
        raise SpecError(given, allowed, "Leave train_steps out: progress has no unit there.")
    progress = outcomes.performance(table, data.trivial, reference)
    share, interval, auc = _share(progress) if steps == CHUNK else (None, None, None)
    rate = training.ADAM_RATES[int(np.argmin(table.mean(axis=1)))]
    loss = outcomes.best(table)
    return EarlyTraining(
        steps, rate, loss, data.trivial, reference, progress, share, interval, auc, name
    )


def _own(network: Any, inputs: Any, labels: Any) -> tuple[Data, str]:
    """The user's rows, checked."""
    array, classes = np.asarray(inputs), np.asarray(labels)
    if isinstance(inputs, Inputs | Rows) or classes.dtype.kind not in "iu" or classes.min() < 0:
        given = f"labels of type {classes.dtype} for inputs of type {type(inputs).__name__}"
        raise SpecError(given, "classes, integers from 0, and an array [rows, ...]", "One a row.")
    if not len(array) == len(classes) >= _LEAST_ROWS:
        given = f"{len(classes)} labels for {len(array)} rows"
        raise SpecError(given, f"equally many, {_LEAST_ROWS} or more", "Give more rows.")
    shares = np.bincount(classes.ravel()) / classes.size
    shares = shares[shares > 0]
    if len(shares) < 2:
        raise SpecError("labels of one class", "two classes or more", "Give other labels.")
    own_rows(network, array)  # refuses what is no batch of inputs
    trivial = float(-np.sum(shares * np.log(shares)))
    found = Data(array, classes.astype(np.int32), int(classes.max()) + 1, trivial)
    return found, f"{len(array)} rows of yours"


def _usual(network: Any, rows: Rows | None) -> tuple[Data, str]:
    """MNIST or digits for a network of vectors."""
    remedy = "Give inputs and labels (--inputs, --labels)."
    is_usual = rows is None or (isinstance(rows, Rows) and not rows.own)
    if not is_usual or not isinstance(network, NetworkSpec):
        raise SpecError("train_steps without labels", "inputs and labels", remedy)
    shown = (rows or usual_rows(network)).inputs
    size = shown.dimension
    if size not in IMAGE_DATA or shape_of(shown).positions:
        given = f"train_steps without labels, for inputs of {size} numbers"
        allowed = "inputs and labels, or networks of 784, 196 or 64 inputs (MNIST, digits)"
        raise SpecError(given, allowed, remedy)
    if size != 784:
        return study_data("mnist" if size == 196 else "digits"), IMAGE_DATA[size]
    pixels, labels = images()
    whole = ((pixels - pixels.mean()) / pixels.std()).astype(np.float32)
    return Data(whole, labels.astype(np.int32), 10, float(np.log(10))), IMAGE_DATA[784]


def _functions(network: Any, data: Data) -> tuple[Functions, Data]:
    """Of a network, and the data with inputs as they take them."""
    if not isinstance(network, NetworkSpec):
        rows = data.inputs
        rows = rows if rows.dtype.kind in "iu" else rows.astype(np.float32)
        return trained_functions(network, rows[:2]), data._replace(inputs=rows)
    shown = own_rows(network, data.inputs, len(data.inputs)).inputs
    probe = layers_probe(network, shape_of(shown))
    given = probe.given
    assert given is not None

    def init(values: Any, key: Any) -> Any:
        return probe.draw(jax.random.fold_in(key, NETWORK)).parameters

    def outputs(values: Any, parameters: Any, inputs: Any) -> Any:
        drawn = given(parameters)
        return drawn.forward(parameters, drawn.embed(parameters, inputs), None).outputs

    return (init, outputs), data._replace(inputs=shown.points.astype(np.float32))


def _linear(data: Data) -> Functions:
    """Logistic regression on whole rows; on each position, of labels by position or of tokens."""
    inputs, labels = data.inputs, data.labels
    assert labels is not None
    is_tokens, positions = inputs.dtype.kind in "iu", labels.shape[1:]
    rows = inputs.reshape(len(inputs), *positions, -1)
    size = int(inputs.max()) + 1 if is_tokens else rows.shape[-1]
    zeros = {"weights": jnp.zeros((size, data.classes)), "biases": jnp.zeros(data.classes)}

    def outputs(values: Any, parameters: Any, inputs: Any) -> Any:
        weights, rows = parameters["weights"], inputs.reshape(len(inputs), *positions, -1)
        found = weights[rows].mean(axis=-2) if is_tokens else rows @ weights
        return found + parameters["biases"]

    return lambda values, key: zeros, outputs


def _check(data: Data, init: Any, outputs: Any) -> None:
    """SpecError for too many parameters, or outputs that are no logits of the labels."""

    def whole(key: Any) -> Any:
        parameters = init({}, key)
        return parameters, outputs({}, parameters, jnp.asarray(data.inputs[:2]))

    parameters, found = jax.eval_shape(whole, jax.random.key(0))
    size = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    if size > MOST:
        given = f"train_steps for a network of {size:.2g} parameters"
        raise SpecError(given, f"at most {MOST:.0e}", "Leave it out, or take a smaller network.")
    assert data.labels is not None
    positions = data.labels.shape[1:]
    if found.shape[:-1] != (2, *positions) or found.shape[-1] < data.classes:
        given = f"outputs of shape {found.shape[1:]} for {data.classes} classes"
        given = f"{given} at {positions} positions" if positions else given
        allowed = f"[{', '.join(map(str, (*positions, data.classes)))}]"
        raise SpecError(given, allowed, f"Give the network {data.classes} outputs.")


def _losses(init: Any, outputs: Any, data: Data, steps: int, key: int) -> np.ndarray:
    """[steps, rates, seeds]."""
    run = training.trainer(init, outputs, data)
    return training.losses(run, {}, jax.random.key(key), steps=steps)


def _share(progress: float) -> tuple[float, tuple[float, float], float]:
    """Share of the study's networks that train, its interval, and how well it ranks them."""
    own = model()["after_50_steps"]
    fails = float(logistic.from_json(own["model"]).probability([progress]))
    low, high = interval_of(own, fails)
    areas = list(own["auc_of_left_out_families"].values())
    return min(max(1 - fails, low), high), (low, high), float(np.mean(areas))
