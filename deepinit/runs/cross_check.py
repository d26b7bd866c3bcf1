"""The report's sentence on kernels at infinite width: our recursion against neural-tangents."""

from collections.abc import Sequence
from typing import Any

from deepinit.core.errors import ResourceError, SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.layers import Layer
from deepinit.core.layers.outline import activations
from deepinit.core.specs import Spec
from deepinit.quantities.theory import INFINITE_WIDTH
from deepinit.runs.experiment import Case, CaseResult

MOST_COMPARED, MOST_TRIED = 2, 4  # networks: each takes seconds


def neural_tangents_sentence(results: Sequence[CaseResult]) -> str:
    """Largest difference over the first networks that neural-tangents expresses; '' without any.

    Cases with the theory infinite_width; of networks of one kind with equal activations the first.
    """
    from deepinit.infinite_width.agreement import agreement

    found: dict[str, Any] = {}
    for case in _cases(results)[:MOST_TRIED]:
        try:
            found[case.name] = agreement(case.spec, case.inputs)
        except SpecError:  # neural-tangents has no such network
            continue
        except ResourceError as error:
            return f"Kernels at infinite width were not compared with neural-tangents. {error}"
        except Exception as error:  # noqa: BLE001  # a finished run does not fail by another package
            return f"The comparison with neural-tangents failed ({type(error).__name__})."
        if len(found) == MOST_COMPARED:
            break
    if not found:
        return ""
    largest = max(max(each.nngp, each.ntk) for each in found.values())
    inputs = max(each.num_inputs for each in found.values())
    return (
        "Infinite width: NNGP and NTK of the last layer by our recursion and by neural-tangents "
        f"differ by at most {largest:.1e} of the diagonal ({', '.join(found)}; {inputs} inputs)."
    )


def _cases(results: Sequence[CaseResult]) -> list[Case]:
    """One case a kind of network."""
    chosen: dict[Any, Case] = {}
    for result in results:
        case = result.case
        is_compared = any(each.name == INFINITE_WIDTH for each in result.predictions)
        if is_compared and isinstance(case.inputs, Inputs) and isinstance(case.spec, Spec | Layer):
            chosen.setdefault(_kind(case.spec), case)
    return list(chosen.values())


def _kind(spec: Any) -> Any:
    """What the recursion branches on; layers are told apart by their structure."""
    if isinstance(spec, Layer):
        return "layers", tuple(type(each) for each in _parts(spec)), activations(spec)
    functions = tuple(getattr(spec, name, None) for name in ("activation", "inner_activation"))
    return type(spec), functions, spec.depth > 1


def _parts(layer: Layer) -> list[Layer]:
    from deepinit.core.layers.containers import children

    return [layer, *(part for child in children(layer) for part in _parts(child))]
