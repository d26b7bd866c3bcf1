"""neural-tangents on the installed JAX, by `neural_tangents()`; never TensorFlow.

Shims for the unmaintained neural-tangents 0.6.5, written for JAX 0.4.25: `import_shims` lend JAX
moved names during import, `function_shims` replace broken functions.
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


def neural_tangents() -> ModuleType:
    """The package neural-tangents, repaired for the installed JAX.

    `nt = di.neural_tangents()` replaces `import neural_tangents as nt`. Its closed-form kernels,
    empirical kernels and predictions work; `neural_tangents.experimental` needs TensorFlow and is
    left out.

    Raises ResourceError: absent, of another version, or not working.
    """
    with _LOCK:
        version = _installed_version()
        if version not in WORKING_VERSIONS:
            raise _unusable(f"neural-tangents {version}" if version else "no neural-tangents")
        try:
            return _repaired_package()
        except Exception as error:  # whatever a future JAX breaks
            import jax

            given = f"jax {jax.__version__}, on which neural-tangents {version} does not load"
            raise _unusable(f"{given} ({error})") from error


@lru_cache(maxsize=1)  # once a process; an exception is not remembered
def require_structured_derivatives() -> None:
    """Compare structured derivatives with the Jacobian contraction.

    Raises ResourceError: they fail or differ.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    nt = neural_tangents()
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
        given = f"jax {jax.__version__}, on which its structured derivatives do not work"
        raise _unusable(f"{given} ({cause or 'wrong values'})") from cause


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


def _repaired_package() -> ModuleType:
    from deepinit.infinite_width.neural_tangents.function_shims import replace_broken_functions
    from deepinit.infinite_width.neural_tangents.import_shims import lent_names

    package = sys.modules.get("neural_tangents")
    if package is None:
        before = set(sys.modules)
        # An empty module in place of the sub-package that needs TensorFlow.
        sys.modules[_EXPERIMENTAL] = ModuleType(_EXPERIMENTAL, "Left out: it needs TensorFlow.")
        try:
            with lent_names(), warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                package = importlib.import_module("neural_tangents")
            replace_broken_functions()
        except BaseException:
            # With a half-imported package the next attempt would fail for another reason.
            for name in set(sys.modules) - before:
                if name.split(".")[0] == "neural_tangents":
                    del sys.modules[name]
            raise
    else:
        replace_broken_functions()
    return package


def _unusable(given: str) -> ResourceError:
    allowed = "neural-tangents 0.6.5 (or 0.6.6) with jax 0.5.3 to 0.12"
    remedy = (
        "Install them: `pip install --no-deps neural-tangents==0.6.5 && pip install frozendict` "
        "(`deepinit[neural-tangents]` brings TensorFlow too). di.simulate, di.predict and "
        "di.infinite do without it"
    )
    return ResourceError(refusal(given, allowed, remedy))
