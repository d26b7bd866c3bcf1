"""A diagnosis as one screen: at most 24 lines of 100 columns."""

import math
import textwrap
from typing import Any

from deepinit.core.terminal import one_line
from deepinit.diagnosis.layer_groups import MARKED, Group, groups

COLUMNS, LINES = 100, 24
_MARGIN = 11
_MOST_WHY = 2  # lines of one cause


def screen(found: Any) -> str:
    """Header, VERDICT, TRAINED, WHY, FIX, layers, precision, what was not seen."""
    head = f"deepinit diagnose   {found.name}"
    tail = f"{found.seconds:.1f} s, {found.scores.num_seeds} networks"
    room = COLUMNS - len(tail) - 3
    lines = [f"{head if len(head) <= room else head[: room - 3] + '...'}   {tail}"]
    lines += _section("VERDICT", _verdict(found), 3)
    if found.training is not None:
        lines += _section("TRAINED", _training(found.training, found.verdict.share), 3)
    lines += _numbered("WHY", _why(found), "123")
    for number, text in enumerate(_fixes(found)):
        lines += _cut([f"{'' if number else 'FIX':<{_MARGIN}}{text}"], 1)
    end = _section("precision", _precision(found), 2)
    end += _section("not seen", "; ".join(found.remarks) or "nothing", 2)
    word = found.causes[0].id if found.causes else "share"
    options = f"--json  --html FILE  --apply NAME  --train-steps 50  --explain {word}  --scaling"
    end.append(f"exit {found.exit_code}    {options}")
    lines += [*_layers(found, LINES - len(lines) - len(end) - 1), *end]
    return "\n".join(one_line(line.rstrip()) for line in lines)


def _section(head: str, text: str, most: int) -> list[str]:
    start, indent = head.ljust(_MARGIN), " " * _MARGIN
    return _cut(_wrapped(text, start, indent), most)


def _wrapped(text: str, start: str, indent: str) -> list[str]:
    """Lines of at most 100 columns; a number and its % stay together."""
    joined = text.replace(" %", "\N{NO-BREAK SPACE}%")  # textwrap breaks at ASCII spaces alone
    lines = textwrap.wrap(joined, COLUMNS, initial_indent=start, subsequent_indent=indent)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _cut(lines: list[str], most: int) -> list[str]:
    """At most so many lines; what is left out shows as three points."""
    if len(lines) <= most and len(lines[-1]) <= COLUMNS:
        return lines
    last = lines[most - 1]
    return [*lines[: most - 1], f"{last[: COLUMNS - 4].rstrip()} ..."]


def _numbered(head: str, texts: list[str], marks: str) -> list[str]:
    lines: list[str] = []
    single = len(texts) == 1 and texts[0].startswith("no ")
    for number, text in enumerate(texts):
        mark = "" if single else f"{marks[number]}. "
        start = (head if not number else "").ljust(_MARGIN) + mark
        indent = " " * (_MARGIN + len(mark))
        lines += _cut(_wrapped(text, start, indent), _MOST_WHY)
    return lines


def _verdict(found: Any) -> str:
    own = found.verdict
    evidence = f"{own.networks} trained networks, {own.family_networks} of family {own.family}"
    if found.disagreement:
        return f"theory and simulation disagree: {found.disagreement}. No verdict; report this."
    if own.share is None:
        return f"{own.label}: {own.reason} (evidence: {evidence})"
    low, high = own.interval
    auc = "too few to leave out" if own.auc is None else f"AUC {own.auc:.2f} when left out"
    return (
        f"{own.label}: {percent(own.share)} of networks like this get 3/4 of the way to a linear "
        f"model in 400 steps of Adam (95 % range {100 * low:.0f}-{100 * high:.0f}; from "
        f"{evidence}, {auc}; scores inside the range seen)"
    )


def _training(own: Any, share: float | None) -> str:
    """With a remark where its share and that of the scores are on two sides of a half."""
    text = (
        f"{own.steps} steps of Adam on {own.data}: loss {own.loss:.3g} at rate {own.rate:.2g}, "
        f"{100 * own.progress:.0f} % of the way to a linear model"
    )
    if own.share is None:
        return text
    low, high = own.interval
    differs = share is not None and (share - 0.5) * (own.share - 0.5) < 0
    remark = "; differs from the verdict: these steps rank networks better" if differs else ""
    return (
        f"{text}; of such networks {percent(own.share)} ({100 * low:.0f}-{100 * high:.0f}) get 3/4 "
        f"in 400 steps (AUC {own.auc:.2f} on families left out){remark}"
    )


def percent(share: float) -> str:
    """Whole percent, never 0 or 100."""
    return f"{min(max(100 * share, 1), 99):.0f} %"


def _why(found: Any) -> list[str]:
    texts = []
    for cause in found.causes:
        gain = ""
        if cause.share_without is not None and found.verdict.share is not None:
            gain = f"; without it {percent(cause.share_without)}"
        texts.append(f"{cause.sentence}{gain}")
    if texts:
        return texts
    means = {name: score.mean for name, score in found.scores.scores.items()}
    shown = ("gradient_slope", "gradient_spread", "collapse", "stretch")
    listed = ", ".join(f"{name} {means[name]:.2g}" for name in shown if name in means)
    return [f"no score is large: {listed}"]


def _fixes(found: Any) -> list[str]:
    if not found.fixes:
        if found.verdict.label == "trains":
            return ["none where the verdict is trains; --apply residual, norm, ... measures one"]
        return ["no change of di.layers applies to this network"]
    return [f"{fix.id:<17}{fix.change:<44} {_share_after(fix)}" for fix in found.fixes]


def _share_after(fix: Any) -> str:
    """Of the changed network, with its source."""
    if not fix.source:
        return f"--apply {fix.id} measures it"
    source = "measured" if fix.source == "simulated" else "theory"
    if fix.share is None:
        return f"{source}: outside the range"
    low, high = fix.interval
    return f"{source}: {percent(fix.share)} ({100 * low:.0f}-{100 * high:.0f})"


def _layers(found: Any, most: int) -> list[str]:
    """Means over networks, and standard deviations between them at the last layer of a group."""
    heads = ("layer", "ln norm", "ln sin^2 angle", "ln gradient^2", "spread (simulated)")
    lines = [_row(heads)]
    for group in groups(found, most):
        cells = [f"{_range(group, name)}" for name in MARKED]
        spread = ", ".join(number(group.spreads[name]) for name in MARKED)
        lines.append(_row((group.label, *cells, f"+-{spread}")))
    return lines


def _row(cells: tuple[str, ...]) -> str:
    sizes = (9, 16, 18, 18, 0)
    return "  ".join(cell.ljust(size) for cell, size in zip(cells, sizes, strict=True)).rstrip()


def _range(group: Group, name: str) -> str:
    first, last = group.values[name]
    text = number(first) if group.first == group.last else f"{number(first)} .. {number(last)}"
    return f"{text} !" if name in group.marks else text


def number(value: float) -> str:
    """Two decimals; a dash for none."""
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _precision(found: Any) -> str:
    step = found.scores.scores.get("first_step")
    rate = ""
    if step is not None and math.isfinite(step.mean):
        rate = f"; sign step that moves a logit by 1: {math.exp(-step.mean):.2g} (simulated)"
    if not found.precision:
        norms = [each.mean for each in found.scores.layers["log_norm"] if math.isfinite(each.mean)]
        size = (
            f"ln rms between {min(norms):.2g} and {max(norms):.2g}" if norms else "no finite norm"
        )
        return f"float32 simulated, {size}; no theory of other formats for this network{rate}"
    fine = [name for name, limit in found.precision.items() if limit.fine]
    texts = [f"{', '.join(fine)} fine"] if fine else []
    for name, limit in found.precision.items():
        where = [
            f"{what.replace('_', ' ')}s at layer {at}"
            for what, at in limit._asdict().items()
            if at is not None
        ]
        texts += [f"{name} {', '.join(where)}"] if where else []
    return "; ".join(texts) + " (theory)" + rate
