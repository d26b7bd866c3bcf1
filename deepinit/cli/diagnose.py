"""The command diagnose: networks by sizes, by name, or from a file."""

import gc
import importlib.util
import inspect
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepinit.cli.arguments import Diagnose
from deepinit.core.errors import DeepinitError, SpecError
from deepinit.core.terminal import write
from deepinit.runs import user_code

ZOO = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "llama", "resnet18", "vit")
INITS = ("pytorch", "keras", "flax", "he", "glorot", "lecun", "orthogonal", "mup", "critical")
_OUTPUTS = 10
_ALLOCATIONS = 50_000  # between collections: what JAX traces lives, and every one takes 0.1 s
_MODULE = "deepinit_diagnosed"


def diagnose(command: Diagnose) -> int:
    """Print a diagnosis; the exit code is that of its verdict."""
    import deepinit as di

    gc.set_threshold(_ALLOCATIONS)
    rows = None if command.inputs is None else _array(command.inputs)
    network, name, dimension = _network(command, rows)
    if rows is None and dimension is not None:
        from deepinit.diagnosis.default_inputs import usual_rows

        usual = usual_rows(network, dimension)
    else:
        usual = None
    found = di.diagnose(
        network,
        rows if usual is None else usual,
        None if command.labels is None else _array(command.labels, "--labels", 1),
        num_seeds=command.num_seeds,
        apply=command.apply,
        train_steps=command.train_steps,
        name=name,
    )
    scaling = _scaling(network) if command.scaling else None
    if command.html is not None:
        command.html.write_text(found.to_html(), "utf-8")
    if command.json:
        from deepinit.diagnosis.record import record

        own = None if scaling is None else _scaling_record(scaling)
        write(json.dumps(record(found, own), indent=1, allow_nan=False) + "\n")
        return found.exit_code
    write(f"{found}\n")
    if scaling is not None:
        write(f"\n{scaling}\n")
    return found.exit_code


def sizes(text: str) -> tuple[int, ...]:
    """`784,100x50,10`: inputs, 50 layers of width 100, outputs.

    Raises SpecError: other texts.
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([1-9][0-9]{0,6})(?:x([1-9][0-9]{0,3}))?\s*", part)
        if match is None:
            raise _wrong_widths(text, f"{part.strip()!r:.20} in ")
        found += [int(match[1])] * int(match[2] or 1)
    if len(found) < 3:
        raise _wrong_widths(text, f"{len(found)} of 3 or more sizes in ")
    return tuple(found)


def _wrong_widths(text: str, what: str) -> SpecError:
    allowed = "inputs, hidden widths and outputs; 100x50 is 50 layers of width 100"
    return SpecError(f"{what}--widths {text!r:.80}", allowed, "Write --widths 784,100x50,10.")


def _network(command: Diagnose, rows: Any) -> tuple[Any, str | None, int | None]:
    """Network, its name, and the dimension of its inputs if sizes give it."""
    if (command.network is None) == (command.widths is None):
        given = "no network" if command.network is None else "a network and --widths"
        allowed = f"--widths, one of {', '.join(ZOO)}, or FILE.py:NAME"
        raise SpecError(given, allowed, "Write deepinit diagnose --widths 784,100x50,10.")
    if command.widths is not None:
        return *_mlp(command, rows), None if rows is not None else sizes(command.widths)[0]
    name = command.network or ""
    network = _zoo(name.lower()) if name.lower() in ZOO else _from_file(name)
    if command.init is not None:
        given = "--init without --widths"
        raise SpecError(given, "it with --widths", "Use di.init.apply in your file.")
    return network, name, None


def _mlp(command: Diagnose, rows: Any) -> tuple[Any, str | None]:
    import deepinit as di
    from deepinit.core.specs import NetworkSpec

    widths = sizes(command.widths or "")
    if rows is not None and rows[0].size != widths[0]:
        given = f"inputs of {rows[0].size} numbers for --widths {command.widths}"
        raise SpecError(given, f"{widths[0]} numbers", "Change the first width.")
    phi: Any = command.activation
    network: NetworkSpec = di.MLP(widths[1:-1], phi, output_width=widths[-1])
    if command.init is None:
        return network, None
    if command.init not in INITS:
        raise SpecError(
            f"--init {command.init}", ", ".join(INITS), "Leave it out for di.MLP's own."
        )
    scheme = di.init.critical(command.activation) if command.init == "critical" else None
    scheme = scheme or getattr(di.init, command.init)()
    from deepinit.diagnosis.naming import widths_text

    title = f"MLP {widths[0]}, {widths_text(widths[1:-1])}, {widths[-1]}   {command.activation}"
    return di.init.apply(network, scheme, widths[0]), f"{title}, init {command.init}"


def _zoo(name: str) -> Any:
    import deepinit as di

    if name.startswith("gpt2"):
        size: Any = name.removeprefix("gpt2").removeprefix("-") or "small"
        return di.zoo.gpt2(size, outputs=_OUTPUTS)
    make: Callable[..., Any] = getattr(di.zoo, name)
    return make(outputs=_OUTPUTS)


def _array(path: Path, option: str = "--inputs", dimensions: int = 2) -> Any:
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
    except OSError as error:
        given = f"{option} {path} ({error.strerror or error})"
        raise SpecError(given, "a .npy file", "Check the path.") from error
    except (ValueError, EOFError) as error:
        given = f"{option} {path}, which is no array of numbers"
        raise SpecError(given, "a .npy file", "Write it by numpy.save(FILE, array).") from error
    if not isinstance(found, np.ndarray) or found.ndim < dimensions or not found.size:
        raise SpecError(f"{option} {path}", "an array [rows, ...]", "A row for each input.")
    if found.dtype.kind not in "biuf":
        given = f"{option} {path} of type {found.dtype}"
        raise SpecError(given, "real numbers, or whole ones for tokens", "Convert them.")
    return found


def _from_file(text: str) -> Any:
    """The network that `FILE.py:NAME` is or makes."""
    path, _, name = text.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        allowed = f"one of {', '.join(ZOO)}, or FILE.py:NAME"
        raise SpecError(f"the network {text!r:.80}", allowed, "Write model.py:make_model.")
    if not Path(path).is_file():
        raise SpecError(f"{path}, which is no file", "a Python file", "Check the path.")
    spec = importlib.util.spec_from_file_location(_MODULE, Path(path).resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module
    sys.path.append(str(Path(path).resolve().parent))
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, name):
            raise SpecError(f"{path} without {name}", "a name that it defines", "Check the name.")
        return as_network(getattr(module, name))
    except (DeepinitError, KeyboardInterrupt, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        where = user_code.location(error)
        given = f"{text}, whose code fails ({user_code.summary(error)}, at {where or path})"
        raise SpecError(given, "a file that runs", "Fix it; --traceback shows more.") from error


def as_network(value: Any) -> Any:
    """Spec or Network; a linen module; a function of nothing, `rngs` (nnx) or `key` (equinox).

    Raises SpecError: anything else.
    """
    import deepinit as di
    from deepinit.core.specs import NetworkSpec

    if isinstance(value, NetworkSpec | di.Network):
        return value
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(value).__mro__}
    if "flax.linen.module.Module" in kinds:
        return di.from_linen(value)
    if callable(value) and (inspect.isfunction(value) or inspect.isclass(value)):
        needed = [
            parameter.name
            for parameter in inspect.signature(value).parameters.values()
            if parameter.default is parameter.empty and parameter.kind in (0, 1)
        ]
        if not needed:
            return as_network(value())
        if needed == ["rngs"]:
            return di.from_nnx(value)
        if needed == ["key"]:
            return di.from_equinox(value)
    allowed = "a spec, a di.Network, a linen module, or a function of nothing, rngs or key"
    given = f"a model of type {type(value).__name__}"
    raise SpecError(given, allowed, "nnx: def make(rngs); equinox: def make(key).")


def _scaling(network: Any) -> Any:
    """`di.scaling_check` of an MLP at widths 64 to 4096, SGD."""
    import dataclasses

    import deepinit as di

    if not isinstance(network, di.MLP):
        allowed = "an MLP of one law (--widths)"
        raise SpecError(
            "--scaling for this network", allowed, "Use di.scaling_check(make, widths)."
        )

    def make(width: int) -> Any:
        return dataclasses.replace(network, widths=(width,) * network.depth, output_width=1)

    return di.scaling_check(make, (64, 256, 1024, 4096))


def _scaling_record(scaling: Any) -> dict[str, Any]:
    return {
        "title": scaling.title,
        "summary": scaling.summary,
        "widths": list(scaling.widths),
        "rows": [
            {
                "layer": row.layer,
                "part": row.part,
                "probe": row.probe,
                "exponent": row.exponent,
                "error": row.error,
                "predicted": row.predicted,
                "agrees": row.agrees,
            }
            for row in scaling.rows
        ],
    }
