"""Tables of trainability: accuracies and angles, rank correlations."""

from deepinit.core.result_views import with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import CaseResult, Results

from .cases import NOTEBOOKS, THEORIES, Config


def tables(config: Config, results: Results) -> list[Table]:
    """All architectures; from four on how well each theory ranks them."""
    rows = []
    for net in config.nets:
        angle = results[f"angle-{net}"]
        last = angle.dataset.isel(layer=-1, component=0)
        measured = with_error(float(last["mean"]), float(last["standard_error"]))
        public = ", ".join(map(str, NOTEBOOKS[net])) if net in NOTEBOOKS else None
        accuracy = with_error(*tested(results[f"accuracy-{net}"]))
        rows.append([net, accuracy, public, measured, *predicted(angle).values()])
    table = Table(
        "Test accuracy and the angle at initialization",
        ["network", "test accuracy", "public notebooks", "angle, measured", *THEORIES.values()],
        rows,
        "Angle: ln sin^2 of two orthogonal inputs at the last hidden layer. "
        "Public notebooks: two runs.",
    )
    return [table, rank_table(config, results)] if len(config.nets) > 3 else [table]


def rank_table(config: Config, results: Results) -> Table:
    """Spearman correlation of predicted angles with test accuracies."""
    import scipy.stats

    accuracies = [tested(results[f"accuracy-{net}"])[0] for net in config.nets]
    angles = [predicted(results[f"angle-{net}"]) for net in config.nets]
    rows = [
        [label, float(scipy.stats.spearmanr([a[name] for a in angles], accuracies).statistic)]
        for name, label in THEORIES.items()
    ]
    title = "Rank correlation between predicted angle and test accuracy"
    return Table(title, ["theory", "rank correlation"], rows)


def predicted(result: CaseResult) -> dict[str, float]:
    """theory -> ln sin^2 at the last hidden layer."""
    last = result.dataset.isel(layer=-1, component=0)
    return {name: float(last["predicted"].sel(theory=name)) for name in THEORIES}


def tested(result: CaseResult) -> tuple[float, float]:
    """Test accuracy at the end and its standard error."""
    last = result.dataset.isel(step=-1).sel(component="test set")
    return float(last["mean"]), float(last["standard_error"])
