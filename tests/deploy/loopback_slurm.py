"""SLURM on the loopback address of one machine, and its commands."""

import contextlib
import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
SLURM_PORTS = (26817, 26818)
MINUTE = 60.0

CONFIGURATION = """\
ClusterName=rehearsal
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs=4
PartitionName=abrupt Nodes={host} PriorityTier=1 PreemptMode=REQUEUE GraceTime=0 Default=YES
PartitionName=graceful Nodes={host} PriorityTier=1 PreemptMode=REQUEUE GraceTime=120
PartitionName=urgent Nodes={host} PriorityTier=10 PreemptMode=OFF
"""


class Failure(Exception):
    """An expectation of the test that does not hold."""


def field(job: str, name: str) -> str:
    """A field of a job from `scontrol show job`."""
    words = command(["scontrol", "show", "job", job]).split()
    return next(word.split("=", 1)[1] for word in words if word.startswith(name + "="))


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """SLURM on the loopback address within the context."""
    host, user = socket.gethostname().split(".")[0], pwd.getpwuid(os.getuid()).pw_name
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(128))
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(host=host, ports=SLURM_PORTS, user=user, folder=folder)
    )
    os.environ["SLURM_CONF"] = str(configuration)
    munge = {"key-file": key, "socket": folder / "munge.socket", "pid-file": folder / "munge.pid"}
    munge |= {"log-file": folder / "munge.log", "seed-file": folder / "munge.seed"}
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            daemon("munged", "--foreground", *(f"--{name}={path}" for name, path in munge.items()))
        )
        wait("munged", munge["socket"].exists)
        stack.enter_context(daemon("slurmctld", "-D", "-f", str(configuration)))
        stack.enter_context(daemon("slurmd", "-D", "-f", str(configuration)))
        wait(
            "the node",
            lambda: "idle" in command(["sinfo", "--noheader", "--format=%T"], may_fail=True),
        )
        version = command(["sinfo", "--version"]).split()[1]
        report(f"SLURM {version} is up: one node of four nominal cores, on 127.0.0.1 alone")
        try:
            yield
        finally:
            command(["scancel", f"--user={user}"], may_fail=True)
            wait(
                "the jobs to go",
                lambda: not command(["squeue", "--noheader"], may_fail=True).strip(),
                MINUTE,
            )


@contextlib.contextmanager
def daemon(name: str, *arguments: str) -> Iterator[None]:
    """A daemon in the foreground, ended with the context."""
    process = subprocess.Popen(
        [name, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def command(words: list[str], may_fail: bool = False) -> str:
    """The output of a command."""
    return subprocess.run(words, check=not may_fail, capture_output=True, text=True).stdout


def wait(what: str, condition: Callable[[], bool], seconds: float = 5 * MINUTE) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.5)


def require(condition: bool, otherwise: str) -> None:
    """Fail unless the condition holds."""
    if not condition:
        raise Failure(otherwise)


STARTED = time.monotonic()


def report(line: str) -> None:
    """Print a line with the seconds since the start."""
    sys.stdout.write(f"{time.monotonic() - STARTED:5.0f} s  {line}\n")
    sys.stdout.flush()
