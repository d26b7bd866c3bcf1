"""Worker's side of an executor: blocks of one run, computed and written into its directory.

Arguments and answers are plain dictionaries, so that another version of deepinit can refuse them in
words. Nothing is raised: an exception that reaches the other side is the executor's own.
"""

import contextlib
import dataclasses
import os
import pickle
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from deepinit.core.errors import ConflictError, DeepinitError, ResourceError, SpecError

MARKER = ".executor"  # in the run directory: a token of the start; without it workers stop
DEVICE = ".executor-device"  # of the first worker, where none was asked before
_RUNS: dict[tuple[str, str], Any] = {}  # prepared runs of this process, the last few
_MOST_RUNS = 4
_LOCK = threading.Lock()  # executors with several threads in a process


def describe() -> dict[str, Any]:
    """Versions, device and flags of this process, which its numbers depend on."""
    return _answer(_describe)


def compute(task: dict[str, Any]) -> dict[str, Any]:
    """Compute the missing blocks of a task; `{"blocks", "seconds", "host", "pid"}` or an error."""
    return _answer(lambda: _compute(task))


def _answer(call: Any) -> dict[str, Any]:
    from deepinit.runs import user_code

    where = {"host": socket.gethostname(), "pid": os.getpid()}
    try:
        return {**where, **call()}
    except DeepinitError as error:
        text, code = str(error), error.exit_code
    except MemoryError:
        text, code = "out of memory; finished blocks are kept. Take a smaller --block-size.", 5
    except Exception as error:  # noqa: BLE001 (told by the other side)
        text, code = user_code.refused(error), SpecError.exit_code
        if not text:
            text, code = "".join(traceback.format_exception(error)), 1
    return {**where, "error": text, "code": code}


def _describe() -> dict[str, Any]:
    from deepinit import store
    from deepinit.devices import backend, numeric_flags, require_devices, use_all_cores
    from deepinit.runs.cutting import device

    use_all_cores()
    require_devices()
    return {
        "environment": {**store.environment(backend()), "flags": numeric_flags(os.environ)},
        "device": tuple(device()),
    }


def _compute(task: dict[str, Any]) -> dict[str, Any]:
    out, start, count = Path(task["out"]), time.process_time(), 0
    _require_same_environment(task["environment"])
    if not _may_go_on(out, task["token"]):
        raise ResourceError(
            f"a worker on {socket.gethostname()} that does not see {out} as its run was started",
            "workers on one file system with the process that started the run",
            "Put --out on a disk that all of them share.",
        )
    with _LOCK:
        run = _prepared(task)
    for case, first, last in task["parts"]:
        for block in range(first, last):
            if not _may_go_on(out, task["token"]):
                break  # the run was stopped, or started again elsewhere
            count += run.write(case, block)
    return {"blocks": count, "seconds": time.process_time() - start}


def _require_same_environment(expected: dict[str, Any]) -> None:
    """ConflictError: other versions, device or flags than the run's."""
    if not expected:
        return
    found = _describe()["environment"]
    differences = [
        f"{name} {found.get(name) or 'none'} where the run has {value or 'none'}"
        for name, value in expected.items()
        if found.get(name) != value
    ]
    if differences:
        raise ConflictError(
            f"a worker on {socket.gethostname()} with {'; '.join(differences)}",
            "workers of the versions and the device of the run, on which the last digits depend",
            "Install the same versions everywhere, or record the mix: --allow-mixed.",
        )


def _require_first_device(run: Any) -> None:
    """ConflictError: another device than that of the first worker, which writes and records it."""
    from deepinit import store
    from deepinit.devices import backend
    from deepinit.store.atomic import create_file

    here = backend()
    if create_file(run.path, DEVICE, here.encode("utf-8"), run.shard):
        environment = store.environment(here)
        whole = dataclasses.replace(run, shard=(0, 1))
        store.append_event(whole, "start", environment=environment, mixed=[])
    first = (run.path / DEVICE).read_text(encoding="utf-8")
    if first != here:
        raise ConflictError(
            f"a worker on {socket.gethostname()} with the device {here}, the first with {first}",
            "workers with one kind of device, on which the last digits depend",
            "Ask for one kind, or record the mix: --allow-mixed.",
        )


def _may_go_on(out: Path, token: str) -> bool:
    with contextlib.suppress(OSError):
        return (out / MARKER).read_text() == token
    return False


class _PreparedRun:
    """One run in this process: its cases, blocks, and what is compiled of them."""

    def __init__(self, task: dict[str, Any]) -> None:
        import jax

        from deepinit import store
        from deepinit.devices import use_all_cores
        from deepinit.runs.cutting import stored_plan
        from deepinit.runs.experiment import checked_cases

        use_all_cores()
        if task["cache"] and not getattr(jax.config, "jax_compilation_cache_dir", None):
            jax.config.update("jax_compilation_cache_dir", task["cache"])
        run = store.load_run(task["out"])
        experiment, config = _asked(task, run)
        self.run = store.writing(run, task["start"])
        if task["environment"] and "backend" not in task["environment"]:
            _require_first_device(self.run)
        self.cases = checked_cases(experiment, config)
        self.plans = [stored_plan(run, case) for case in self.cases]
        self.compiled: dict[int, Any] = {}
        self.lock = threading.Lock()
        devices = {
            "device_kind": jax.devices()[0].device_kind,
            "device_count": jax.device_count(),
            "process_count": 1,
            "worker": os.getpid(),
        }
        store.write_provenance(self.run, store.collect(devices))

    def write(self, case: int, block: int) -> bool:
        """Compute and write a block; False where it exists."""
        from deepinit import store
        from deepinit.ensembles import keys
        from deepinit.runs.measure import case_control, wanted_block, write_part

        asked, plan = self.cases[case], self.plans[case]
        name = wanted_block(asked, plan, block)
        if store.has_block(self.run, name):
            return False
        control, _ = case_control(asked)
        values = self._ensemble(case, control).block_fn(keys.root_key(asked.key), block)
        write_part(self.run, name, values, asked, plan.seeds(block)[0], control)
        return True

    def _ensemble(self, case: int, control: Any) -> Any:
        from deepinit.runs.measure import compiled, on_smaller_batches

        with self.lock:
            if case not in self.compiled:
                asked = self.cases[case]
                smaller = on_smaller_batches(self.run, asked)
                self.compiled[case] = compiled(asked, self.plans[case], smaller, control)
            return self.compiled[case]


def _prepared(task: dict[str, Any]) -> _PreparedRun:
    """The run of a task; compiled once per case and process."""
    key = task["out"], task["token"]
    if key not in _RUNS:
        while len(_RUNS) >= _MOST_RUNS:
            del _RUNS[next(iter(_RUNS))]
        _RUNS[key] = _PreparedRun(task)
    return _RUNS[key]


def reference(experiment: Any) -> str:
    """How a worker finds an experiment: its file, or `module:NAME`.

    SpecError: defined where no other process can read it.
    """
    from deepinit.runs.load import MODULE

    module = sys.modules.get(experiment.cases.__module__)
    file = getattr(module, "__file__", None)
    if module is not None and file and module.__name__.startswith(MODULE):
        name = module.__name__.removeprefix(f"{MODULE}_").partition(".")[0]
        package = sys.modules.get(module.__name__.partition(".")[0])
        return str(Path(getattr(package, "__file__", file) or file)) if name else file
    name = getattr(module, "__name__", "__main__")
    if name == "__main__" or getattr(module, "EXPERIMENT", None) is not experiment:
        raise SpecError(
            f"the experiment {experiment.name} of the module {name}, which workers cannot find",
            "an experiment of load_experiment(...), or EXPERIMENT of a module that they can import",
            "Write it into a file: EXPERIMENT = Experiment(...).",
        )
    return f"module:{name}"


def _asked(task: dict[str, Any], run: Any) -> tuple[Any, Any]:
    """Experiment and config of a task: what is loaded already, if it is this run, else read anew.

    ConflictError: the code here computes another run.
    """
    from deepinit import store
    from deepinit.runs.experiment import identity

    here = ""
    for find in (_loaded, _read):
        experiment = find(task["experiment"])
        if experiment is not None:
            config = pickle.loads(task["config"])
            here = store.identity_hash(identity(experiment, config, task["block_size"]))
            if here == run.identity_hash:
                return experiment, config
    raise ConflictError(
        f"a worker on {socket.gethostname()} whose {experiment.name} is another run "
        f"({here[:8]} there, {run.identity_hash[:8]} in {run.path})",
        "the same code of the experiment everywhere",
        "Put its file where all workers read the same one.",
    )


def _loaded(text: str) -> Any:
    for name, module in list(sys.modules.items()):
        if name.startswith("deepinit_experiment") and getattr(module, "__file__", None) == text:
            return getattr(module, "EXPERIMENT", None)
    return None


def _read(text: str) -> Any:
    import importlib

    from deepinit.runs.load import load_experiment

    if text.startswith("module:"):
        return importlib.import_module(text.removeprefix("module:")).EXPERIMENT
    return load_experiment(text)
