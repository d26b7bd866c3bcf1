"""Blocks of a run, sent to an executor; those that are lost are sent again."""

import os
import pickle
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from typing import Any, NamedTuple

from deepinit import store
from deepinit.core.errors import DeepinitError, ResourceError, SpecError
from deepinit.core.terminal import remark
from deepinit.runs import tasks
from deepinit.runs.crew import Crew
from deepinit.runs.cutting import Device
from deepinit.runs.experiment import Experiment
from deepinit.runs.work import Part, Work, pieces, shares
from deepinit.store.atomic import remove_file, replace_file

_ANSWER_SECONDS = 120  # for a worker to start and import JAX
_LEAST_SECONDS = 0.2
_MOST_LOSSES = 3  # without a new block in between
_ABSENT = (ModuleNotFoundError, ImportError, AttributeError, pickle.UnpicklingError)


class Workers(NamedTuple):
    """What a first worker said: environment, devices."""

    environment: dict[str, Any]
    where: Device


class Dispatcher:
    """Sends tasks to a crew's executor, made again where it breaks."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.executor = crew.make()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """A task; a broken executor is replaced."""
        try:
            return self.executor.submit(function, *arguments)
        except BrokenExecutor:
            self.executor = self.crew.make()
            return self.executor.submit(function, *arguments)

    def workers(self) -> Workers:
        """Environment and devices of the workers; ResourceError without an answer."""
        versions = store.environment(None)
        known = {name: value for name, value in versions.items() if value is not None}
        if not self.crew.answers:
            return Workers(known, Device(self.crew.platform or "cpu", 1))
        future = self.submit(tasks.describe)
        if future not in wait([future], _ANSWER_SECONDS).done:
            future.cancel()
            raise ResourceError(
                f"an executor of which no worker has answered within {_ANSWER_SECONDS} s",
                "workers that are up",
                "Start them, and run the command again.",
            )
        answer = _answer_of(future)
        if "lost" in answer:
            raise _lost(answer["lost"], "before their first task")
        _raise_told(answer)
        return Workers({**answer["environment"], **known}, Device(*answer["device"]))


def sent(experiment: Experiment, config: Any) -> dict[str, Any]:
    """The parts of a task that name the experiment; SpecError where no worker can find it."""
    try:
        data = pickle.dumps(config)
    except Exception as error:
        raise SpecError(
            f"a config of {experiment.name} that cannot be sent ({type(error).__name__}: {error})",
            "a dataclass of the experiment's own file, with fields that can be pickled",
            "Define it at the top level of the file.",
        ) from error
    return {"experiment": tasks.reference(experiment), "config": data}


def compute_all(
    dispatcher: Dispatcher,
    task: dict[str, Any],
    works: Sequence[Work],
    handle: store.Run,
    stop: store.Stop,
    report: Callable[[float, float], None],
) -> None:
    """Compute every block; returns early where a stop is requested.

    Raises DeepinitError: what a worker refused. ResourceError: workers are lost again and again.
    """
    workers = dispatcher.crew.workers
    cut = shares(works, workers) if dispatcher.crew.whole_shares else pieces(works, workers)
    queue = [parts for parts in cut if parts]
    total, done = sum(_cost(works, parts) for parts in queue), 0.0
    waiting: dict[Future[Any], list[Part]] = {}
    losses, before = 0, _num_blocks(handle)
    token = secrets.token_hex(16)
    replace_file(handle.path, tasks.MARKER, token.encode("ascii"), handle.shard)
    task = {**task, "token": token, "out": os.path.abspath(handle.path), "start": handle.start}
    try:
        while (queue or waiting) and not stop.requested:
            if dispatcher.crew.closed():
                raise ResourceError(
                    "an executor that has closed, with its scheduler",
                    "one that goes on until the end",
                    "Start it again; finished blocks are kept, and the same command continues.",
                )
            for parts in queue:
                plain = {"parts": [tuple(part) for part in parts], "attempt": losses}
                waiting[dispatcher.submit(tasks.compute, {**task, **plain})] = parts
            report(done, total)
            ended, _ = wait(waiting, _LEAST_SECONDS, FIRST_COMPLETED)
            answers = [(waiting.pop(future), _answer_of(future)) for future in ended]
            queue = [parts for parts, answer in answers if "lost" in answer]
            for parts, answer in answers:
                if "lost" not in answer:
                    _raise_told(answer)
                    store.append_event(handle, "task", **answer)
                    done += _cost(works, parts)
            if queue:
                what = next(answer["lost"] for _, answer in answers if "lost" in answer)
                now = _num_blocks(handle)
                losses, before = (losses + 1 if now == before else 1), now
                if losses > _MOST_LOSSES:
                    raise _lost(what, f"{losses} times without a new block")
                remark(
                    f"a worker was lost ({what}): {len(queue)} of {len(queue) + len(waiting)} "
                    "tasks are submitted again; finished blocks are kept\n"
                )
    except KeyboardInterrupt:
        dispatcher.crew.kill()
        raise
    finally:
        remove_file(handle.path, tasks.MARKER)  # workers stop after their block
        remove_file(handle.path, tasks.DEVICE)
        if not dispatcher.crew.closed():
            wait([future for future in waiting if not future.cancel()], _ANSWER_SECONDS)


def _answer_of(future: Future[Any]) -> dict[str, Any]:
    """What the worker said, or `lost`: tasks raise nothing, so that exceptions are the executor's.

    SpecError: no module there.
    """
    try:
        return dict(future.result())
    except _ABSENT as error:
        raise SpecError(
            f"a worker without this deepinit, or without the experiment's module ({_name(error)})",
            "workers where both are installed",
            "Install the same version everywhere.",
        ) from error
    except (Exception, CancelledError) as error:  # noqa: BLE001
        return {"lost": _name(error)}


def _cost(works: Sequence[Work], parts: Sequence[Part]) -> float:
    return sum((part.last - part.first) * works[part.case].cost for part in parts)


def _num_blocks(handle: store.Run) -> int:
    return len(store.finished_blocks(handle))


def _name(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}{': ' if lines else ''}{lines[0][:200] if lines else ''}"


def _lost(what: str, when: str) -> ResourceError:
    return ResourceError(
        f"an executor whose workers were lost {when} ({what})",
        "workers that live for a block",
        "Look at their logs: memory is the usual reason. Finished blocks are kept; a smaller "
        "--block-size in a new directory needs less.",
    )


def _raise_told(answer: dict[str, Any]) -> None:
    """Raise what a worker refused, with its exit code."""
    if "error" not in answer:
        return
    text, code = answer["error"], answer["code"]
    if code == 1:
        text = f"A worker on {answer['host']} failed.\n{text}"
    error = DeepinitError(text)
    error.exit_code = code
    raise error
