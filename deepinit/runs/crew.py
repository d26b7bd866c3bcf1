"""An executor and how to use it."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import NamedTuple

from deepinit.core.errors import ResourceError, SpecError
from deepinit.devices import num_cores


class Crew(NamedTuple):
    """An executor and how to use it.

    Attributes:
        make: returns the executor; called again where it broke.
        workers: tasks at the same time.
        answers: whether a first task is computed within a minute; else versions alone are compared.
        whole_shares: one process a task (jobs): tasks are shares of the list of work.
        platform: of the workers where no task answers.
        kill: ends tasks at once.
        closed: whether the executor will never answer again.
    """

    make: Callable[[], Executor]
    workers: int
    answers: bool = True
    whole_shares: bool = False
    platform: str | None = None
    kill: Callable[[], None] = lambda: None
    closed: Callable[[], bool] = lambda: False


def crew_of(executor: Executor | Callable[[], Executor], workers: int | None = None) -> Crew:
    """Crew of an executor, or of a function that makes one (again where it broke).

    SpecError: neither, or a pool that forks.
    """
    if isinstance(executor, Executor):
        _refuse_fork(executor)
        given = iter([executor])
        client = getattr(executor, "_client", None)  # of dask
        closed = lambda: getattr(client, "status", "") == "closed"
        return Crew(lambda: _once(given), workers or _num_workers(executor), closed=closed)
    if not callable(executor):
        raise SpecError(
            f"executor={executor!r}",
            "a concurrent.futures.Executor, or a function that returns one",
            "Write executor=ProcessPoolExecutor(4, mp_context=get_context('spawn')).",
        )

    def make() -> Executor:
        made = executor()
        if not isinstance(made, Executor):
            raise SpecError(
                f"a function that returns {made!r}", "a concurrent.futures.Executor", "Return it."
            )
        _refuse_fork(made)
        return made

    first = make()
    kept = [first]
    return Crew(lambda: kept.pop() if kept else make(), workers or _num_workers(first))


def _once(given: Iterator[Executor]) -> Executor:
    for executor in given:
        return executor
    raise ResourceError(
        "an executor that broke with its workers",
        "an executor that goes on, or a function that makes another",
        "Finished blocks are kept: run again, with executor=lambda: ProcessPoolExecutor(...).",
    )


def _refuse_fork(executor: Executor) -> None:
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise SpecError(
            "a ProcessPoolExecutor that forks: JAX's threads do not survive it",
            "spawn or forkserver",
            "Write ProcessPoolExecutor(4, mp_context=multiprocessing.get_context('spawn')).",
        )


def _num_workers(executor: Executor) -> int:
    count = getattr(executor, "_max_workers", None)
    client = getattr(executor, "_client", None)  # of dask
    if client is not None:
        count = sum(client.nthreads().values())
    return max(1, int(count or num_cores()))
