"""Progress with the time left: a bar on a terminal, a plain line every ten seconds elsewhere, nothing for short work."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

Report = Callable[[int, int], None]

_PATIENCE = 2.0  # seconds before anything is shown
_LINE_EVERY = 10.0


@contextlib.contextmanager
def callback(report: Report) -> Iterator[Report]:
    """A caller's own progress function."""
    yield report


@contextlib.contextmanager
def bar(label: str, total: int) -> Iterator[Report]:
    """Yields `report(done, total)`; shows elapsed time and time left on standard error once work takes over 2 s."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    start = last_line = time.monotonic()
    if not console.is_terminal:

        def plain(done: int, total: int) -> None:
            nonlocal last_line
            now = time.monotonic()
            if now - last_line >= _LINE_EVERY:
                left = (now - start) * (total - done) / max(done, 1)
                sys.stderr.write(f"{label}: {done}/{total}, {now - start:.0f} s, about {left:.0f} s left\n")
                sys.stderr.flush()
                last_line = now

        yield plain
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=console, transient=False)
    task = progress.add_task(label, total=total)
    shown = False

    def report(done: int, total: int) -> None:
        nonlocal shown
        if not shown and time.monotonic() - start > _PATIENCE:
            progress.start()
            shown = True
        progress.update(task, completed=done, total=total)

    try:
        yield report
    finally:
        if shown:
            progress.stop()
