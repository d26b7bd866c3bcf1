"""JAX devices: one per CPU core, numeric flags, unavailable platforms."""

import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deepinit.core.errors import ResourceError

_FLAG = "xla_force_host_platform_device_count"
# Prefixes of flags that change no number: device counts, dumps and logs.
_SILENT = (f"--{_FLAG}", "--xla_dump", "--xla_log", "--xla_hlo_profile")
_NUMERIC = (
    "XLA_FLAGS",
    "LIBTPU_INIT_ARGS",
    "NVIDIA_TF32_OVERRIDE",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_DISABLE_MOST_OPTIMIZATIONS",
)


def num_cores() -> int:
    """CPU cores of this process, by its affinity mask and its cgroup's quota, if any."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    quota = _cgroup_cores(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _cgroup_cores(root: Path, own: Path) -> float | None:
    """CPU quota in cores: the least from the process's cgroup up to the root; None without one.

    A container sees a quota here, not in the affinity mask: all cores of its node are in that.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        base = root if number == "0" else root / "cpu"
        if number != "0" and "cpu" not in controllers.split(","):
            continue
        folder = base / path.lstrip("/")
        for each in (folder, *folder.parents):
            quotas.append(_quota(each))
            if each == base:
                break
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(folder: Path) -> float | None:
    """Quota over period of one cgroup, version 2 or 1."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
            )
        cores = int(quota) / int(period)  # "max" and -1: no quota
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None


def _num_devices() -> int:
    # XLA compiles differently for a single device; with at least two, last digits do not depend on
    # the number of cores.
    return max(2, num_cores())


def use_all_cores() -> None:
    """Give JAX one CPU device per usable core, to run networks on all cores.

    One device uses several cores only inside large operations; a device per core halves the time of
    a simulation on two cores. Accelerators and an explicit count (JAX_NUM_CPU_DEVICES, XLA_FLAGS or
    `jax.config`) are left alone. Networks are the same for every count; on a single core JAX gets
    two devices, for equal rounding.

    Call it before the first use of JAX, as the `deepinit` command does; later it has no effect.
    """
    if "JAX_NUM_CPU_DEVICES" in os.environ or _FLAG in os.environ.get("XLA_FLAGS", ""):
        return
    if "jax" not in sys.modules:
        os.environ["JAX_NUM_CPU_DEVICES"] = str(_num_devices())  # without importing JAX
        return
    import jax

    if getattr(jax.config, "jax_num_cpu_devices", 0) < 0:
        try:
            jax.config.update("jax_num_cpu_devices", _num_devices())
        except RuntimeError:
            return  # JAX is initialized


def backend() -> str:
    """Platform, device, and one or several: what the last digits depend on."""
    import jax

    # XLA compiles otherwise for one device than for several, and the last digits differ; how
    # many several are makes no difference.
    several = "several devices" if jax.device_count() > 1 else "one device"
    return f"{jax.default_backend()}, {jax.devices()[0].device_kind}, {several}"


def numeric_flags(environment: Mapping[str, str]) -> str:
    """The environment's flags that change numbers, sorted; empty without any."""
    settings = []
    for name in _NUMERIC:
        flags = [flag for flag in environment.get(name, "").split() if not flag.startswith(_SILENT)]
        if flags:
            settings.append(f"{name}={' '.join(sorted(flags))}")
    return "; ".join(settings)


def require_devices() -> None:
    """Raise ResourceError if JAX has no device (JAX_PLATFORMS=cuda without a GPU)."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError, ValueError) as error:
        platforms = os.environ.get("JAX_PLATFORMS", "")
        lines = str(error).splitlines()
        reason = f" ({lines[0][:200]})" if lines else ""
        raise ResourceError(
            f"JAX_PLATFORMS={platforms!r}, for which JAX finds no device{reason}",
            "a platform whose devices and plugin are installed here",
            "Leave JAX_PLATFORMS out, or write JAX_PLATFORMS=cpu.",
        ) from error
