"""A diagnosis as one HTML page: the screen, figures by layer, all scores."""

import base64
import html
import io
from typing import Any

import numpy as np

_NAMES = {
    "log_norm": "ln rms of states",
    "log_sin2": "ln sin^2 of angles",
    "log_gradient2": "ln |gradient|^2",
}
_STYLE = (
    "body{font-family:system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "line-height:1.5}h1{font-size:1.4rem}pre{line-height:1.35;overflow-x:auto}"
    "img{max-width:100%}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.2rem 1rem;text-align:right;border-bottom:1px solid #ddd}"
    "th:first-child,td:first-child{text-align:left}p{color:#555;font-size:.9rem}"
)
_CAPTION = "Mean over random networks by layer. Band: standard deviation between networks."
_COLUMNS = (
    "Mean over networks and its standard error; spread: standard deviation between networks; "
    "events: networks without a finite value. <code>deepinit diagnose --explain SCORE</code> "
    "explains a score."
)
_ROUNDING = 1e-6  # scores are logarithms of order 1: a prediction below is 0


def page(found: Any) -> str:
    """Self-contained."""
    title = html.escape(f"deepinit diagnose: {found.name}")
    rows = "".join(
        f"<tr><td>{name}</td><td>{s.mean:.4g} &plusmn; {s.standard_error:.2g}</td>"
        f"<td>{s.spread:.3g}</td><td>{_theory(s.predicted)}</td>"
        f"<td>{s.events}</td></tr>"
        for name, s in found.scores.scores.items()
    )
    head = "<tr><th>score</th><th>mean</th><th>spread</th><th>theory</th><th>events</th></tr>"
    image = base64.b64encode(_figure(found)).decode("ascii")
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><pre>{html.escape(str(found))}</pre>"
        f"<img alt='Norms, angles and gradients by layer' src='data:image/png;base64,{image}'>"
        f"<p>{_CAPTION}</p><table>{head}{rows}</table><p>{_COLUMNS}</p></body></html>\n"
    )


def _theory(predicted: float | None) -> str:
    if predicted is None:
        return ""
    return f"{predicted:.4g}" if abs(predicted) > _ROUNDING else "0"


def _figure(found: Any) -> bytes:
    """Means by layer with a band of one standard deviation between networks, PNG."""
    from matplotlib.figure import Figure

    from deepinit.plots.style import BLACK, styled

    with styled():
        figure = Figure(figsize=(11, 3.2), layout="constrained")
        panels = figure.subplots(1, len(_NAMES))
    for axes, (name, label) in zip(panels, _NAMES.items(), strict=True):
        layers = found.scores.layers[name]
        at = np.arange(1, len(layers) + 1)
        mean = np.array([each.mean for each in layers])
        spread = np.array([each.spread for each in layers])
        axes.plot(at, mean, marker=".", color=BLACK)
        axes.fill_between(at, mean - spread, mean + spread, color=BLACK, alpha=0.12)
        axes.set(xlabel="layer", title=label)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()
