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
_STYLE = "body{font-family:sans-serif;max-width:70em;margin:2em auto}td,th{padding:.2em 1em}"


def page(found: Any) -> str:
    """Self-contained."""
    title = html.escape(f"deepinit diagnose: {found.name}")
    rows = "".join(
        f"<tr><td>{name}</td><td>{s.mean:.4g} &plusmn; {s.standard_error:.2g}</td>"
        f"<td>{s.spread:.3g}</td><td>{'' if s.predicted is None else f'{s.predicted:.4g}'}</td>"
        f"<td>{s.events}</td></tr>"
        for name, s in found.scores.scores.items()
    )
    head = "<tr><th>score</th><th>mean</th><th>spread</th><th>theory</th><th>events</th></tr>"
    image = base64.b64encode(_figure(found)).decode("ascii")
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><pre>{html.escape(str(found))}</pre>"
        f"<img alt='Norms, angles and gradients by layer' src='data:image/png;base64,{image}'>"
        f"<table>{head}{rows}</table></body></html>\n"
    )


def _figure(found: Any) -> bytes:
    """Means by layer with a band of one standard deviation between networks, PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    panels = figure.subplots(1, len(_NAMES))
    for axes, (name, label) in zip(panels, _NAMES.items(), strict=True):
        layers = found.scores.layers[name]
        at = np.arange(1, len(layers) + 1)
        mean = np.array([each.mean for each in layers])
        spread = np.array([each.spread for each in layers])
        axes.plot(at, mean, marker=".")
        axes.fill_between(at, mean - spread, mean + spread, alpha=0.25)
        axes.set(xlabel="layer", title=label)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()
