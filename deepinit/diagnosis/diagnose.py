"""Will it train? Verdict, causes, and changes that are measured again."""

import dataclasses
import html
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.layers import num_parameters
from deepinit.core.own_models import network_remedy
from deepinit.core.specs import MLP, NetworkSpec
from deepinit.diagnosis.causes import Cause, causes
from deepinit.diagnosis.checkpoints import depends_on_key, with_keyed_parameters
from deepinit.diagnosis.default_inputs import Rows, labelled, own_rows, usual_rows
from deepinit.diagnosis.fixes import Fix, applied, fixes, is_expected_to_fail
from deepinit.diagnosis.judgement import Judgement, family_of, is_decided, judgement
from deepinit.diagnosis.naming import described
from deepinit.diagnosis.precision import PrecisionLimit, precision_limits
from deepinit.diagnosis.scores import Scores, read_as_layers, scores
from deepinit.init import places

_LARGE = 3_000_000  # parameters: scores by states, fewer networks
_FEWER = 16
_OF_CHANGES = 32  # networks
_FEWEST_RATIO = 0.3  # depth/width up to which infinite-width slopes are checked


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What `di.diagnose` found; `print` shows one screen.

    Attributes:
        name: of the network. network: the measured spec, or network of one's own.
        verdict: label, share of networks like this that train, interval, evidence.
        causes: at most 3. fixes: at most 3, re-measured, by share.
        scores: of `deepinit.diagnosis.scores`, with estimates by layer.
        precision: format -> limits; empty where no theory covers the network.
        source: spec, read (from code), or products: simulated only.
        remarks: what was not seen, or not covered.
        inputs: their name. labels: whether given.
        training: `EarlyTraining` of `train_steps`, or None.
        depth, widths, parameters: of the network; 0 if unknown.
        disagreement: where theory and simulation differ; empty for none.
        seconds: taken.
    """

    name: str
    network: Any
    verdict: Judgement
    causes: tuple[Cause, ...]
    fixes: tuple[Fix, ...]
    scores: Scores
    precision: dict[str, PrecisionLimit]
    source: str
    remarks: tuple[str, ...]
    inputs: str
    labels: bool
    training: Any
    rows: int
    depth: int
    widths: tuple[int, ...]
    parameters: int
    disagreement: str
    seconds: float
    key: int

    @property
    def exit_code(self) -> int:
        """0 trains, 10 fails, 11 uncertain or outside the range, 6 theory and simulation differ."""
        if self.disagreement:
            return 6
        return {"trains": 0, "fails": 10}.get(self.verdict.label, 11)

    def to_json(self) -> dict[str, Any]:
        """Schema 1 of docs/diagnosis.md; null where a number does not exist."""
        from deepinit.diagnosis.record import record

        return record(self)

    def to_html(self) -> str:
        """A page: the screen, figures by layer, scores."""
        from deepinit.diagnosis.page import page

        return page(self)

    def __str__(self) -> str:
        from deepinit.diagnosis.screen import screen

        return screen(self)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def diagnose(
    network: Any,
    inputs: Any = None,
    labels: Any = None,
    *,
    num_seeds: int | None = None,
    apply: str | None = None,
    train_steps: int | None = None,
    key: int = 0,
    name: str | None = None,
) -> Diagnosis:
    """Diagnose a network before training: share of such networks that train, causes, changes.

    The share is of a model fitted on networks that were trained (`deepinit.diagnosis.verdict`):
    400 steps of Adam, three quarters of the way from the best constant answer to a linear model.
    With labels the model that also sees `signal_efficiency` decides. Changes (`fixes`) are
    predicted by theory where there is one, and the best is measured on the changed network
    (32 draws), unless the verdict is "trains".

    Args:
        network: spec, network of `di.layers`, or `di.Network` (flax, nnx, equinox, haiku,
            functions). A Network is read as layers where `di.read_layers` can; else it is
            simulated only, without share and changes.
        inputs: `di.inputs`, or an array [rows, ...], 4 rows or more, of which 16 are measured.
            None: MNIST or digits of its size, Gaussian rows or images, random tokens.
        labels: classes of the inputs, integers from 0 [rows, *positions]; 64 rows or more, of
            which 32 make the first step and 32 judge it, as in the study. Changes are judged
            without them.
        num_seeds: networks; None for 64, or 32 if errors of 3 standard errors change no label;
            above 3e6 parameters 16.
        apply: diagnose the changed network: critical, residual, norm, width, depth,
            first_weight_var, center, readout.
        train_steps: also train it, 50, 100, ... steps of Adam at 5 rates from 3 seeds
            (`deepinit.diagnosis.early_training`). Of 50 steps the share of the study's networks
            that went on to train is known, better than from scores.
        name: on the screen.

    Raises SpecError: inputs that do not fit, are constant or not finite; a network without random
    weights, or that cannot be traced; a change that does not apply.
    """
    started = time.perf_counter()
    validate.integer("key", key, 0, "Write key=0.", most=2**32 - 1)
    original, given, shown = network, inputs, labels
    if labels is not None:
        inputs, shown = labelled(network, inputs, labels)
    network, rows, source, remarks, fresh = _prepared(network, inputs)
    title = name or described(network, rows.inputs)
    if apply is not None:
        if not isinstance(network, NetworkSpec):
            given = "apply for a network that no layers of di.layers are equal to"
            raise SpecError(given, "a spec, or a network that di.read_layers reads", remarks[-1])
        network = original = applied(apply, network, rows.inputs)
        title = f"with {apply}: {title}"
    parameters = num_parameters(network, rows.inputs) if isinstance(network, NetworkSpec) else 0
    is_large = parameters > _LARGE
    seeds = num_seeds if num_seeds is not None else _FEWER if is_large else 64
    validate.integer("num_seeds", seeds, 2, "64 is usual.")
    parts = "states" if is_large else "first_step"
    if is_large and labels is not None:
        given = f"labels for a network of {parameters:.2g} parameters"
        raise SpecError(given, f"at most {_LARGE:.0e}", "Leave labels out.")
    judge = lambda found: judgement(found, network, rows.inputs, fresh)
    can_change = isinstance(network, NetworkSpec) and fresh
    changed = lambda: fixes(network, rows.inputs, min(seeds, _OF_CHANGES), key)
    with ThreadPoolExecutor(1) as other:  # changes are measured meanwhile if theory expects failure
        is_needed = can_change and is_expected_to_fail(network, rows.inputs)
        ahead = other.submit(changed) if is_needed else None
        found = scores(
            network,
            _given(rows),
            shown,
            num_seeds=seeds,
            key=key,
            parts=parts,
            enough=None if num_seeds or is_large else lambda half: is_decided(half, judge),
        )
    judged = judge(found)
    own = causes(found, judged.share)
    trained = None
    if train_steps is not None:
        from deepinit.diagnosis.early_training import early_training

        trained = early_training(
            original, rows if given is None else given, labels, train_steps, key
        )
    changes: tuple[Fix, ...] = ()
    if judged.label != "trains" and can_change:
        changes = changed() if ahead is None else ahead.result()
    return Diagnosis(
        name=title,
        network=network,
        verdict=judged,
        causes=own,
        fixes=changes,
        scores=found,
        precision=_precision(network, rows.inputs),
        source=source,
        remarks=(*remarks, *_unseen(rows, labels)),
        inputs=rows.name,
        labels=labels is not None,
        training=trained,
        rows=rows.inputs.num_rows if isinstance(network, NetworkSpec) else len(_given(rows)),
        depth=len(found.paths),
        widths=tuple(network.widths) if isinstance(network, MLP) else (),
        parameters=parameters,
        disagreement=_disagreement(network, found),
        seconds=time.perf_counter() - started,
        key=key,
    )


def _prepared(network: Any, inputs: Any) -> tuple[Any, Rows, str, tuple[str, ...], bool]:
    """Network, inputs, source, remarks, and whether parameters depend on the key."""
    if isinstance(network, NetworkSpec):
        rows = usual_rows(network) if inputs is None else own_rows(network, inputs)
        if not places(network, rows.inputs):
            given = "a network without random weights"
            raise SpecError(given, "one or more random layers", "Add di.layers.Dense(64).")
        return network, rows, "spec", _without_theory(network, rows), True
    from deepinit.networks.network import Network

    remedy = network_remedy(network, "Write di.MLP((64,) * 8).")
    validate.instance("network", network, Network, "a network", remedy)
    rows = usual_rows(network) if inputs is None else own_rows(network, inputs)
    given = _given(rows)
    if not depends_on_key(network, given):
        remark = "not at initialization: this network is measured alone, spreads are of the loss"
        return with_keyed_parameters(network), rows, "products", (remark,), False
    read = read_as_layers(network, np.asarray(given))
    if read is None:
        return network, rows, "products", (_uncovered(network, rows),), True
    layers, shown = read
    return (
        layers,
        rows._replace(inputs=shown),
        "read",
        _without_theory(layers, rows._replace(inputs=shown)),
        True,
    )


def _given(rows: Rows) -> Any:
    arrays = getattr(rows.inputs, "arrays", None)
    return rows.inputs if arrays is None else np.asarray(arrays[0])


def _uncovered(network: Any, rows: Rows) -> str:
    """Why no theory covers a network of one's own."""
    from deepinit.core.errors import reason_against
    from deepinit.reading.read import read_layers

    reason = reason_against(lambda: read_layers(network, rows.inputs)) or ""
    return f"simulated only: {reason.removeprefix('Got ').partition(' Allowed:')[0].rstrip('.')}"


def _without_theory(network: NetworkSpec, rows: Rows) -> tuple[str, ...]:
    from deepinit.diagnosis.theory_scores import predictions

    if predictions(network, np.concatenate([rows.inputs.points, rows.inputs.partners])):
        return ()
    return (f"theory: scores of family {family_of(network, rows.inputs)} are simulated only",)


def _unseen(rows: Rows, labels: Any) -> tuple[str, ...]:
    found = () if labels is not None else ("labels: the model without labels decides",)
    if rows.own:
        return found
    return (*found, f"inputs of yours: {rows.name} were used (--inputs FILE.npy)")


def _precision(network: Any, inputs: Any) -> dict[str, PrecisionLimit]:
    if not isinstance(network, NetworkSpec):
        return {}
    try:
        return precision_limits(network, inputs)
    except SpecError:
        return {}


def _disagreement(network: Any, found: Scores) -> str:
    """Slope against infinite width, where depth/width is small; corrections are of its order."""
    score = found.scores["gradient_slope"]
    spread = found.scores["gradient_spread"].predicted
    if not isinstance(network, MLP) or score.predicted is None or spread is None or score.events:
        return ""
    ratio = sum(1 / width for width in network.widths)
    if ratio > _FEWEST_RATIO or not math.isfinite(score.mean + score.predicted + spread):
        return ""
    allowed = 5 * score.standard_error + 0.1 * abs(score.predicted) + 0.3 + spread**2
    if abs(score.mean - score.predicted) <= allowed:
        return ""
    return (
        f"gradient_slope {score.mean:.3g} +- {score.standard_error:.2g}, theory "
        f"{score.predicted:.3g}"
    )
