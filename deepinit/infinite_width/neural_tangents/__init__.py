"""The one door to neural-tangents: `load()` returns the package, working on the installed JAX.

neural-tangents 0.6.5 was written for JAX 0.4.25 and is no longer maintained: newer JAX has moved some names that it
imports and has changed what some others return. Its own private names are frozen, so they can be mended safely:

- while it is being imported, the names that moved are lent to JAX and then taken back (`lending`);
- afterwards the few functions of it that no longer work are replaced by ones on documented JAX (`replacements`).

JAX itself is left as it was. TensorFlow, which only `neural_tangents.experimental` needs, is never imported.
"""

import importlib
import importlib.metadata
import importlib.util
import sys
import threading
import warnings
from functools import lru_cache
from types import ModuleType

from deepinit.core.errors import ResourceError, refusal

WORKING_VERSIONS = ("0.6.5", "0.6.6")
_EXPERIMENTAL = "neural_tangents.experimental"
_LOCK = threading.Lock()


def load() -> ModuleType:
    """The package neural_tangents: stax kernels, batching, empirical kernels, `predict` and Monte Carlo.

    Raises:
        ResourceError: the package is absent, of another version, or cannot be made to work on the installed JAX.
    """
    with _LOCK:
        version = _installed_version()
        if version not in WORKING_VERSIONS:
            raise ResourceError(
                _message(f"neural-tangents {version}" if version else "no neural-tangents")
            )
        try:
            return _mended_package()
        # Whatever a JAX release of the future breaks, of whatever type, the user needs this one explanation.
        except Exception as error:
            import jax

            raise ResourceError(
                _message(
                    f"jax {jax.__version__}, on which neural-tangents {version} does not load ({error})"
                )
            ) from error


@lru_cache(maxsize=1)  # once a process; an exception is not remembered
def require_structured_derivatives() -> None:
    """Checks the part of the adapter that a new JAX release is likeliest to break, on two matrix products and a split.

    Raises:
        ResourceError: the structured derivatives fail or disagree with the Jacobian contraction.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    nt = load()
    first, second = jnp.asarray([[1.0, 2.0], [3.0, 4.0]]), jnp.asarray([[0.5], [-1.0]])

    def network(p, x):
        left, right = jnp.split(jnp.maximum(x @ p[0], 0), 2, axis=-1)
        return jnp.concatenate([left, 2.0 * right], axis=-1) @ p[1]

    def kernel(implementation):
        fn = nt.empirical_ntk_fn(network, implementation=implementation)
        return np.asarray(fn(first, None, (first, second)))

    try:
        agree = np.allclose(
            kernel(nt.NtkImplementation.STRUCTURED_DERIVATIVES),
            kernel(nt.NtkImplementation.JACOBIAN_CONTRACTION),
        )
        cause: Exception | None = None
    except Exception as error:  # noqa: BLE001
        agree, cause = False, error
    if not agree:
        given = f"jax {jax.__version__}, on which the structured derivatives of neural-tangents do not work"
        raise ResourceError(_message(f"{given} ({cause or 'wrong values'})")) from cause


def _installed_version() -> str | None:
    package = sys.modules.get("neural_tangents")
    if package is not None:
        return str(getattr(package, "__version__", "of unknown version"))
    if importlib.util.find_spec("neural_tangents") is None:
        return None
    try:
        return importlib.metadata.version("neural-tangents")
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _mended_package() -> ModuleType:
    from deepinit.infinite_width.neural_tangents.lending import lent_names
    from deepinit.infinite_width.neural_tangents.replacements import replace_broken_functions

    package = sys.modules.get("neural_tangents")
    if package is None:
        before = set(sys.modules)
        # The empty module stands in for the sub-package that needs TensorFlow: `from . import experimental` finds it.
        sys.modules[_EXPERIMENTAL] = ModuleType(_EXPERIMENTAL, "Left out: it needs TensorFlow.")
        try:
            with lent_names(), warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                package = importlib.import_module("neural_tangents")
            replace_broken_functions()
        except BaseException:
            # A half-imported package would make the next attempt fail for another reason than this one.
            for name in set(sys.modules) - before:
                if name.split(".")[0] == "neural_tangents":
                    del sys.modules[name]
            raise
    else:
        replace_broken_functions()
    return package


def _message(given: str) -> str:
    return refusal(
        given,
        "neural-tangents 0.6.5 (or 0.6.6) with jax 0.5.3 to 0.12",
        "Install them: `pip install --no-deps neural-tangents==0.6.5 && pip install frozendict` (TensorFlow, which the "
        "package asks for, is not needed). Everything that does not need neural-tangents still works: simulation, "
        "finite-width predictions, and the infinite-width recursions of deepinit.infinite_width.recursion and .angles",
    )
