"""The page of benchmarks, from the committed records in benchmarks/results."""

import json
from pathlib import Path

from benchmarks.record import machine_lines, ratios_markdown, results_markdown

HEAD = """# Benchmarks

Every benchmark checks its answers before it times anything; all times of one comparison are taken
in turns in one run, so that ratios are better than times. Goals were set beforehand; a missed one
is shown as missed. Again (twenty minutes on two quiet cores):

```sh
python -m benchmarks
```

deepinit draws what a Gaussian matrix does to the given rows instead of the matrix: the same law at
cost width instead of width^2 (`linear_map="conditional"`; `"auto"` takes it wherever it is exact).
Programs are scanned over depth and vmapped over seeds.

"""
PEERS = "peers.svg"  # first: what a reader looks for


def records(results: Path) -> dict[str, dict]:
    """Backend -> record."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(results.glob("*.json"))}


def pictures(results: Path) -> dict[str, bytes]:
    """`cpu-peers.svg`: content, and so on."""
    files = sorted(results.glob("*/*.svg"), key=lambda file: (file.name != PEERS, file.name))
    return {f"{file.parent.name}-{file.name}": file.read_bytes() for file in files}


def page(results: Path) -> str:
    """Text of the page; its pictures are those of `pictures`."""
    parts = [HEAD]
    names = list(pictures(results))
    for backend, record in records(results).items():
        own = [name for name in names if name.startswith(f"{backend}-")]
        shown = [f"![{name.removesuffix('.svg').replace('_', ' ')}]({name})" for name in own]
        machine = "\n".join(machine_lines(record))
        parts += [f"## {backend.upper()}", machine, *shown, "### Goals", ratios_markdown(record)]
        details = results_markdown({backend: record}, {}).partition("### Ratios and goals")[2]
        details = details[details.find("\n### ") : details.find("\n## ")] + "\n"
        parts.append(_collapsed(details))
    return "\n\n".join(parts) + "\n"


def _collapsed(text: str) -> str:
    """Each section `### name` as a dropdown."""
    sections = [part.partition("\n") for part in text.split("\n### ")[1:]]
    return "\n\n".join(f":::{{dropdown}} {name}\n{body.strip()}\n:::" for name, _, body in sections)
