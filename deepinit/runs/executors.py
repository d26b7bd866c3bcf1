"""Executors of the command line: a process pool of this machine, dask, Ray, submitit."""

import contextlib
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

from deepinit.core.errors import SpecError
from deepinit.devices import num_cores
from deepinit.runs import engines
from deepinit.runs.crew import Crew

KINDS = "process, process:N, dask://HOST:PORT, ray, ray:ADDRESS, submitit:FILE.toml"


@contextlib.contextmanager
def opened(text: str) -> Iterator[Crew]:
    """The crew that a command line asks for, closed at the end.

    SpecError: an unknown name, or a package that is not installed. ResourceError: nobody answers.
    """
    name, _, rest = text.partition(":")
    number = re.fullmatch("[1-9][0-9]{0,4}", rest)
    address = re.fullmatch(r"//[^/:\s]+:[0-9]{1,5}", rest)
    if name == "process" and (number or text == "process"):
        with process_pool(int(rest) if rest else num_cores()) as crew:
            yield crew
    elif name == "dask" and address:
        with engines.dask(rest.removeprefix("//")) as crew:
            yield crew
    elif name == "ray" and (rest or text == "ray"):
        with engines.ray_cluster(text if rest.startswith("//") else rest or None) as crew:
            yield crew
    elif name == "submitit" and rest:
        with engines.submitit_jobs(Path(rest)) as crew:
            yield crew
    else:
        raise SpecError(f"--executor {text}", KINDS, "Write --executor process.")


@contextlib.contextmanager
def process_pool(workers: int) -> Iterator[Crew]:
    """Processes of this machine, started anew and made again where one is killed."""
    made: list[ProcessPoolExecutor] = []

    def make() -> Executor:
        devices = max(2, num_cores() // workers)
        pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), _begin_worker, (devices,)
        )
        made.append(pool)
        return pool

    try:
        yield Crew(make, workers, kill=lambda: _kill(made))
    finally:
        for pool in made:
            pool.shutdown(cancel_futures=True)


def _kill(pools: list[ProcessPoolExecutor]) -> None:
    for pool in pools:
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.kill()


def _begin_worker(devices: int) -> None:
    """A worker leaves signals to its parent, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(devices))
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(75)

    threading.Thread(target=follow, daemon=True).start()
