"""Compiled programs on disk, between sessions."""

import os
import tempfile
from pathlib import Path
from typing import Any

from deepinit.core.errors import SpecError

_SECONDS = 0.1  # shorter compilations are not kept


def use_compile_cache(directory: str | os.PathLike[str] | None = None) -> Path:
    """Keep compiled programs on disk: a later session reads instead of compiling them again.

    It is JAX's persistent cache, of every function that this session compiles from now on; the
    `deepinit` command uses it always. Within a session, compilations are shared without it.

    Args:
        directory: created if missing; None for JAX_COMPILATION_CACHE_DIR where it is set, else
            `deepinit/jax` in XDG_CACHE_HOME or `~/.cache`. Delete it at any time.

    Returns the directory. Raises SpecError: one that cannot be written.
    """
    chosen = _chosen(directory)
    try:
        chosen.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen):
            pass
    except OSError as error:
        given = f"the directory {str(chosen)!r} ({error.strerror})"
        remedy = "Write di.use_compile_cache('DIRECTORY')."
        raise SpecError(given, "a directory that can be written", remedy) from error
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    jax.config.update("jax_compilation_cache_dir", str(chosen))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _SECONDS)
    compilation_cache.reset_cache()  # JAX may have decided already that it has none
    return chosen


def _chosen(directory: Any) -> Path:
    if directory is not None:
        if not isinstance(directory, str | os.PathLike) or not os.fspath(directory):
            remedy = "Write di.use_compile_cache(), or a path."
            raise SpecError(f"directory={directory!r}", "a path, or None", remedy)
        return Path(directory).expanduser().absolute()
    if given := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return Path(given).absolute()
    # by the XDG specification an empty or relative path counts as unset
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "deepinit" / "jax"
