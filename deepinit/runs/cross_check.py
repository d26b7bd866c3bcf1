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
    name, worst = max(found.items(), key=lambda item: max(item[1].nngp, item[1].ntk))
    largest, others = max(worst.nngp, worst.ntk), [each for each in found if each != name]
    where = f"{name}, {worst.num_inputs} inputs" + "".join(f"; less in {each}" for each in others)
    sentence = (
        "Infinite width: NNGP and NTK of the last layer by our recursion and by neural-tangents "
        f"differ by at most {largest:.1e} of the diagonal ({where})."
    )
    if worst.quadrature:
        names = ", ".join(worst.quadrature)
        sentence += f" neural-tangents integrates {names} by quadrature, for variances of order 1."
    return sentence


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
