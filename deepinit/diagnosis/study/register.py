"""Writes `configurations.json`: networks, protocol, formulas and thresholds.

    python -m deepinit.diagnosis.study.register

Run once, before any training; the file is then committed and its SHA-256 is in `registered.py`.
"""

import hashlib
import json
import pathlib
import sys
from typing import Any

from deepinit.diagnosis import features
from deepinit.diagnosis.study import data, families, outcomes, training
from deepinit.diagnosis.study.draw import SEED, networks

_SETS = ("mnist", "digits", "prose", "code")

TRAINING = {
    "optimizers": "Adam (0.9, 0.999, 1e-8); for sgd networks also momentum 0.9",
    "adam_rates": training.ADAM_RATES,
    "sgd_rates": training.SGD_RATES,
    "seeds": training.SEEDS,
    "steps": training.STEPS,
    "long_steps": training.LONG_STEPS,
    "rows": training.ROWS,
    "sequences": [training.SEQUENCES, data.TOKENS],
    "loss": "cross-entropy on training batches; mean of the last 20 steps; mean over seeds; least "
    "over rates",
    "P": "(trivial - loss) / (trivial - reference), at least -1; trivial: ln 10, unigram entropy; "
    "reference: logistic regression, of texts embedding + LayerNorm + readout, trained alike by "
    "the same optimizer",
    "fails": f"P < {outcomes.THRESHOLD}",
    "reserve": "a family with fewer than 10 failing or fewer than 10 training networks among its "
    "draws A and B is extended by its reserve (draw R), in order, until it has both or the reserve "
    "ends; reserve networks count as draw A",
}
SCORES = {
    "networks": families.NUM_SEEDS,
    "definitions": "deepinit/diagnosis: one_network.py, formulas.py, estimates.py, features.py of "
    "the commit that adds this file",
    "loss": "random and linear (label-free); cross-entropy for first_step and signal_efficiency",
    "events": "a score that is not finite in more than half of the networks has its worst value",
    "worst": features.WORST,
    "larger_is_worse": "gradient_spread, |gradient_slope|, max(collapse, |stretch|), collapse, "
    "|stretch|, -signal_efficiency, ntk_condition, -ntk_centred, token_cosine, -attention_entropy, "
    "forward_range, |gradient_floor|, |first_step|",
    "theory": "stack_theory.py for dense and convolutional stacks (width: channels); other "
    "families have none: 0 in pooled models",
    "baselines": "depth, depth/width, -parameters, |sum ln chi|, |infinite stretch|, loss of steps "
    "41-50 at the best rate (3 seeds; 1 seed)",
}
VERDICT = {
    "features": "ln(1 + (gradient_spread, |gradient_slope|, max(collapse, 0), |stretch|)); with "
    "labels also signal_efficiency",
    "model": "logistic, features standardized over the fitted networks, ridge |w|^2 / 2 + 0.3 sum "
    "of log-losses, intercept free",
    "baseline": "the same model of ln(1 + depth), ln width, ln(1 + |sum ln chi|), ln(1 + |infinite "
    "stretch|)",
    "starting_point": "pilot, C = 1: logit P(fail) = -3.63 + 2.00 spread + 1.11 slope + .12 "
    "collapse + .31 stretch; with labels -1.29 + 1.78, .90, -.01, .20, -2.27 efficiency",
    "range": "Mahalanobis distance of the features within the 99 % point of the fitted networks",
    "labels": "trains: share >= .75; fails: share <= .25; else uncertain",
}
ANALYSIS = {
    "held_out": "fitted on draw A, judged on draw B (96 networks of other shapes)",
    "leave_family_out": "families mlp, layernorm, residual, conv, transformer, gated; mean of the "
    "AUC of those with at least 3 failing and 3 training networks",
    "same_shape": "pairs of equal family, norm, width, depth and data set",
    "bootstrap": "2000 resamples of networks within families, seed 0; 95 % interval",
    "calibration": "bins of predicted P(fail) 0, .125, .25, .5, .75, 1, leave-family-out",
    "regimes": "plain and LayerNorm stacks at depth/width <= .25, .25-.8, > .8",
    "repairs": "every failing network is changed by repairs.py and scored and trained again; its "
    "predicted failure is by the model fitted without its family; the best predicted repair is the "
    "one of least predicted failure",
}
ACCEPTANCE = {
    "leave_family_out_mean": [">=", 0.94],
    "leave_family_out_each_with_10_fails": [">=", 0.88],
    "held_out_auc": [">=", 0.93],
    "held_out_same_shape": [">=", 0.90],
    "labels_held_out_auc": [">=", 0.95],
    "labels_brier": ["<=", 0.09],
    "over_baseline_leave_family_out": [">=", 0.05, "paired 95 % interval above 0"],
    "over_baseline_repaired": [">=", 0.05],
    "mean_rho_within_family": [">=", 0.72],
    "mean_rho_over_depth": [">=", 0.05],
    "calibration_largest_error_bins_of_20": ["<=", 0.12],
    "best_predicted_repair": [">=", 0.95],
    "critical_alone_depth_over_width_at_most_half": [">=", 0.90],
    "critical_alone_depth_over_width_at_least_1": ["<=", 0.10],
    "non_residual_repairs_auc": [">=", 0.90],
    "train_50_steps": "printed, expected to win",
    "not_claimed": "an advantage over depth, width and chi inside plain stacks",
}


def document() -> dict[str, Any]:
    """The registered file as data."""
    return {
        "registered": "2026-11-30",
        "seed": SEED,
        "python": ".".join(map(str, sys.version_info[:2])),
        "data_sha256": {name: data.sha256(name) for name in _SETS},
        "training": TRAINING,
        "scores": SCORES,
        "verdict": VERDICT,
        "analysis": ANALYSIS,
        "acceptance": ACCEPTANCE,
        "networks": networks(),
    }


def main() -> None:
    """Write the file and print its SHA-256."""
    found = document()
    head = {name: value for name, value in found.items() if name != "networks"}
    rows = ",\n".join("  " + json.dumps(network) for network in found["networks"])
    text = json.dumps(head, indent=1)[:-2] + ',\n "networks": [\n' + rows + "\n ]\n}\n"
    path = pathlib.Path(__file__).parent / "configurations.json"
    path.write_text(text, "ascii")
    print(hashlib.sha256(path.read_bytes()).hexdigest())  # noqa: T201


if __name__ == "__main__":
    main()
