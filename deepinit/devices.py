"""One JAX device per CPU core: what the command starts with, and what a Python session may ask for."""

import os
import sys
from collections.abc import Mapping

from deepinit.core.errors import ResourceError

_FLAG = "xla_force_host_platform_device_count"
# Flags that change no number, by their beginning: device counts, dumps and logs.
_SILENT = (f"--{_FLAG}", "--xla_dump", "--xla_log", "--xla_hlo_profile")
_NUMERIC = (
    "XLA_FLAGS",
    "LIBTPU_INIT_ARGS",
    "NVIDIA_TF32_OVERRIDE",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_DISABLE_MOST_OPTIMIZATIONS",
)


def num_cores() -> int:
    """CPU cores that this process may use: its affinity mask where the system has one."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _num_devices() -> int:
    # Two at least: XLA compiles a program for several devices alike for any number of them, but otherwise for a single one,
    # and a core more or less should not change the last digits.
    return max(2, num_cores())


def use_all_cores() -> None:
    """Gives JAX one CPU device per usable core, so that an ensemble's networks are shared out among the cores.

    One device uses several cores only inside its large operations; a device per core has every core at work on networks
    of its own, which halves the time of a simulation on two cores. Accelerators are left alone, and so is a count that
    the user has set by JAX_NUM_CPU_DEVICES, by XLA_FLAGS, or by `jax.config`. The networks are the same for every count; on
    a single core JAX gets two devices, so that rounding is that of several.

    Call it before JAX is used for the first time: the `deepinit` command does. Once JAX has devices it changes nothing.
    """
    if "JAX_NUM_CPU_DEVICES" in os.environ or _FLAG in os.environ.get("XLA_FLAGS", ""):
        return
    if "jax" not in sys.modules:
        os.environ["JAX_NUM_CPU_DEVICES"] = str(
            _num_devices()
        )  # JAX reads it when it is imported, and that takes a while
        return
    import jax

    if getattr(jax.config, "jax_num_cpu_devices", 0) < 0:
        try:
            jax.config.update("jax_num_cpu_devices", _num_devices())
        except RuntimeError:
            return  # JAX has devices already


def numeric_flags(environment: Mapping[str, str]) -> str:
    """The environment's flags that change numbers, sorted; empty without any."""
    found = []
    for name in _NUMERIC:
        flags = sorted(
            flag for flag in environment.get(name, "").split() if not flag.startswith(_SILENT)
        )
        if flags:
            found.append(f"{name}={' '.join(flags)}")
    return "; ".join(found)


def require_devices() -> None:
    """Refuse a platform that JAX cannot use, such as JAX_PLATFORMS=cuda without a GPU.

    Raises:
        ResourceError: JAX has no device.
    """
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError, ValueError) as error:
        asked = os.environ.get("JAX_PLATFORMS", "")
        lines = str(error).splitlines()
        reason = f" ({lines[0][:200]})" if lines else ""
        raise ResourceError(
            f"JAX_PLATFORMS={asked!r}, for which JAX finds no device{reason}",
            "a platform whose devices and plugin are installed here",
            "Leave JAX_PLATFORMS out, or write JAX_PLATFORMS=cpu.",
        ) from error
