"""Engines that are optional: dask, Ray and submitit, as executors."""

import contextlib
import importlib
import threading
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from deepinit.core.errors import ResourceError, SpecError
from deepinit.runs.crew import Crew

_CONNECT_SECONDS = 5
_WORKER_SECONDS = 10
_POLL_SECONDS = 0.25


def _package(name: str, distribution: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SpecError(
            f"an executor of {name}, which is not installed here",
            "packages that are installed here and at the workers",
            f"pip install '{distribution}'",
        ) from error


@contextlib.contextmanager
def dask(address: str) -> Iterator[Crew]:
    """Workers of a dask scheduler at HOST:PORT; ResourceError where none answers."""
    distributed = _package("distributed", "distributed")
    try:
        client = distributed.Client(
            f"tcp://{address}", timeout=_CONNECT_SECONDS, set_as_default=False
        )
    except (OSError, TimeoutError) as error:
        raise ResourceError(
            f"--executor dask://{address}, where no scheduler answers",
            "the address that `dask scheduler` prints",
            "Start it, and workers: dask worker tcp://HOST:PORT.",
        ) from error
    with client:
        deadline = time.monotonic() + _WORKER_SECONDS
        while not client.nthreads() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        workers = sum(client.nthreads().values())
        if not workers:
            raise ResourceError(
                f"--executor dask://{address}, a scheduler without workers",
                "one worker or more",
                f"Start them: dask worker tcp://{address}.",
            )
        yield Crew(
            lambda: client.get_executor(pure=False),
            workers,
            closed=lambda: client.status == "closed",
        )


class _RayExecutor(Executor):
    """Ray's tasks as futures."""

    def __init__(self, ray: Any, resources: dict[str, int]) -> None:
        self._remote = ray.remote(max_retries=0, **resources)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = self._remote(fn).remote(*args, **kwargs).future()
        return future


@contextlib.contextmanager
def ray_cluster(address: str | None) -> Iterator[Crew]:
    """Workers of a Ray cluster; None starts Ray on this machine."""
    ray = _package("ray", "ray")
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, OSError, TimeoutError, ValueError) as error:
        raise ResourceError(
            f"--executor ray:{address}, where no cluster answers",
            "the address that `ray start --head` prints, or auto",
            "Start it, or leave the address out to start Ray on this machine.",
        ) from error
    try:
        found = ray.cluster_resources()
        kind = "GPU" if found.get("GPU") else "CPU"
        executor = _RayExecutor(ray, {"num_gpus" if kind == "GPU" else "num_cpus": 1})
        yield Crew(lambda: executor, max(1, int(found.get(kind, 1))))
    finally:
        ray.shutdown()


class _Jobs(Executor):
    """submitit's jobs as futures."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor
        self._pending: list[tuple[Any, Future[Any]]] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            self._pending.append((self._executor.submit(fn, *args, **kwargs), future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._closed.set()
        if cancel_futures:
            for job, _ in self._pending:
                job.cancel(check=False)

    def _watch(self) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            with self._lock:
                pending = list(self._pending)
            for job, future in pending:
                if future.cancelled():
                    job.cancel(check=False)
                elif job.done():
                    _settle(job, future)
                else:
                    continue
                with self._lock:
                    self._pending.remove((job, future))


def _settle(job: Any, future: Future[Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job.result())
    except Exception as error:  # noqa: BLE001 (a lost job, whatever submitit raises)
        future.set_exception(error)


@contextlib.contextmanager
def submitit_jobs(file: Path) -> Iterator[Crew]:
    """Jobs that submitit submits as a TOML file says; each computes a share of the list."""
    submitit = _package("submitit", "submitit")
    options = _options_of(file)
    workers, folder = options.pop("workers"), options.pop("folder", "submitit")
    platform, cluster = options.pop("platform", None), options.pop("cluster", None)
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(**options)
    except (ValueError, TypeError, NameError, RuntimeError, AssertionError) as error:
        raise SpecError(
            f"the parameters of submitit in {file} ({str(error).splitlines()[0][:200]})",
            "cluster, folder, workers, platform, and those of submitit.AutoExecutor",
            "See `deploy/slurm/submitit.toml`.",
        ) from error
    jobs = _Jobs(executor)
    try:
        yield Crew(lambda: jobs, workers, answers=False, whole_shares=True, platform=platform)
    finally:
        jobs.shutdown(cancel_futures=True)


def _options_of(file: Path) -> dict[str, Any]:
    allowed = "a TOML file with workers = N (jobs), and submitit's parameters"
    remedy = "See `deploy/slurm/submitit.toml`."
    try:
        options = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        given = f"--executor submitit:{file}, which cannot be read ({error.strerror})"
        raise SpecError(given, allowed, remedy) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        given = f"--executor submitit:{file}, which is no TOML ({error})"
        raise SpecError(given, allowed, remedy) from error
    workers = options.get("workers")
    if type(workers) is not int or workers < 1:
        raise SpecError(f"{file} with workers = {workers!r}", allowed, remedy)
    return options
