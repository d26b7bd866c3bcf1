"""Progress: a bar on a terminal, else a line every ten seconds."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from deepinit.core.terminal import remark

_PATIENCE = 2.0  # seconds before anything is shown
_LINE_EVERY = 10.0


class Report(Protocol):
    """Callback of progress."""

    def __call__(self, done: float, total: float, label: str = "") -> None:
        """Units done of the total, and the current work."""
        ...


@contextlib.contextmanager
def callback(function: Callable[[float, float], None]) -> Iterator[Report]:
    """Reports to `function(done, total)`."""
    yield lambda done, total, label="": function(done, total)


@contextlib.contextmanager
def bar(label: str) -> Iterator[Report]:
    """Progress on standard error, once work takes over 2 s."""
    from rich.console import Console

    console = Console(stderr=True)
    with _rich_bar(console, label) if console.is_terminal else _plain_lines(label) as report:
        yield report


@contextlib.contextmanager
def _plain_lines(name: str) -> Iterator[Report]:
    start = last_line = time.monotonic()  # a clock that cannot be set back

    def report(done: float, total: float, label: str = "") -> None:
        nonlocal last_line
        now = time.monotonic()
        ends = done >= total and last_line > start  # later silence should not look like a hang
        if now - last_line >= _LINE_EVERY or ends:
            share, seconds = done / total, now - start
            left = f", about {seconds * (1 - share) / share:.0f} s left" if share else ", compiling"
            text = f"{label or name}: {share:.0%} done, {seconds:.0f} s"
            remark(f"{text}{left if share < 1 else ''}\n")
            last_line = now

    yield report


@contextlib.contextmanager
def _rich_bar(console: object, name: str) -> Iterator[Report]:
    from rich import progress as rich_progress

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.TaskProgressColumn(),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TextColumn("left"),
        rich_progress.TimeRemainingColumn(),
    )
    display = rich_progress.Progress(*columns, console=console)  # type: ignore[arg-type]
    task = display.add_task(name)
    start = time.monotonic()
    shown = False

    def report(done: float, total: float, label: str = "") -> None:
        nonlocal shown
        if not shown and time.monotonic() - start > _PATIENCE:
            display.start()
            shown = True
        display.update(task, completed=done, total=total, description=label or name)

    try:
        yield report
    finally:
        if shown:
            display.stop()
