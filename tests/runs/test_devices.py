"""A device per core for the command and for those who ask; never against the user's own setting."""

import os
import subprocess
import sys

import pytest

from deepinit.devices import _cgroup_cores, num_cores


def devices(code, **environment):
    free = {
        name: value
        for name, value in os.environ.items()
        if name not in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS")
    }
    code = code + "\nimport jax; print(jax.local_device_count('cpu'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=100,
        env=free | environment,
        check=True,
    )
    return int(done.stdout)


ASK = "from deepinit import devices; devices.num_cores = lambda: 3; devices.use_all_cores()"


@pytest.mark.parametrize(
    ("before", "environment", "expected"),
    [
        ("", {}, 3),
        ("import jax", {}, 3),
        ("import jax; jax.config.update('jax_num_cpu_devices', 2)", {}, 2),
        ("import jax; jax.devices()", {}, 1),
        ("", {"JAX_NUM_CPU_DEVICES": "2"}, 2),
        ("", {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}, 2),
    ],
    ids=[
        "before JAX",
        "after its import",
        "after its setting",
        "after its use",
        "variable",
        "flag",
    ],
)
@pytest.mark.slow
def test_a_device_per_core_unless_the_user_chose(before, environment, expected):
    assert devices(f"{before}\n{ASK}", **environment) == expected


def test_the_affinity_mask_counts():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("the system has no affinity masks")
    mask = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mask)})
        assert num_cores() == 1
    finally:
        os.sched_setaffinity(0, mask)
    assert num_cores() == len(mask)


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {}, None),
        ("0::/a/b", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2.0),
        ("0::/a/b", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "50000 100000"}, 0.5),
        ("0::/gone", {"cpu.max": "300000 100000"}, 3.0),
        ("4:cpu,cpuacct:/x", {"cpu/x/cpu.cfs_quota_us": "1", "cpu/x/cpu.cfs_period_us": "2"}, 0.5),
        ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("4:memory:/", {"cpu/cpu.cfs_quota_us": "1", "cpu/cpu.cfs_period_us": "2"}, None),
        ("nonsense", {"cpu.max": "nonsense"}, None),
    ],
)
def test_the_quota_of_the_cgroup_counts(tmp_path, own, files, cores):
    (tmp_path / "own").write_text(f"{own}\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert _cgroup_cores(tmp_path, tmp_path / "own") == cores
    assert _cgroup_cores(tmp_path, tmp_path / "absent") is None


def test_a_quota_limits_the_cores_and_leaves_one(monkeypatch):
    cores = num_cores()
    for quota, expected in ((0.3, 1), (1.0, 1), (10_000.0, cores), (None, cores)):
        monkeypatch.setattr("deepinit.devices._cgroup_cores", lambda *_, quota=quota: quota)
        assert num_cores() == expected


@pytest.mark.slow
def test_the_console_script_takes_all_cores():
    code = (
        "import sys; sys.argv = ['deepinit', '--help']\n"
        "from deepinit import __main__, devices; devices.num_cores = lambda: 3\n"
        "try: __main__.command()\nexcept SystemExit: pass\n"
        "assert 'jax' not in sys.modules; print(end='', file=sys.stdout)"
    )
    free = {
        name: value
        for name, value in os.environ.items()
        if name not in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS")
    }
    done = subprocess.run(
        [sys.executable, "-c", code + "\nimport jax; print('devices', jax.device_count())"],
        capture_output=True,
        text=True,
        timeout=100,
        env=free,
        check=True,
    )
    assert done.stdout.endswith("devices 3\n")
