"""Options of --distributed that are incomplete or do not fit the launcher."""

import pytest
from paths import TINY_EXPERIMENT

TINY = str(TINY_EXPERIMENT)


def test_an_option_of_joining_without_joining(refused, tmp_path):
    message = refused(2, "run", TINY, "--out", tmp_path / "run", "--num-processes", "2")
    assert "without --distributed" in message
    assert "--timed" in refused(2, "run", TINY, "--out", tmp_path / "run", "--timed")
    assert "--join-timeout=-1" in refused(2, "run", TINY, "--distributed", "--join-timeout", "-1")


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (
            ["--num-processes", "2", "--process-id", "0"],
            {},
            "--coordinator=, --num-processes=2, --process-id=0",
        ),
        (
            ["--coordinator", "here:9", "--num-processes", "2", "--process-id", "2"],
            {},
            "--process-id=2",
        ),
        (
            ["--coordinator", "here", "--num-processes", "2", "--process-id", "1"],
            {},
            "--coordinator=here",
        ),
        (
            ["--coordinator", "here:9", "--num-processes", "4", "--process-id", "0"],
            {"SLURM_STEP_NODELIST": "node[1-2]", "SLURM_NTASKS": "2"},
            "--num-processes=4 in a SLURM job of 2 processes (SLURM_NTASKS)",
        ),
        (
            [],
            {
                "JAX_COORDINATOR_ADDRESS": "a:1",
                "JAX_NUM_PROCESSES": "3",
                "JAX_PROCESS_ID": "0",
                "OMPI_COMM_WORLD_SIZE": "2",
            },
            "JAX_NUM_PROCESSES=3 in a MPI job of 2",
        ),
    ],
)
def test_a_process_count_that_does_not_match_the_cluster(
    refused, tmp_path, monkeypatch, options, environment, said
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert said in refused(2, "run", TINY, "--distributed", "--out", tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


def test_places_of_processes_that_do_not_add_up(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    message = refused(2, "run", TINY, "--distributed", "--out", tmp_path / "run")
    assert "JAX_COORDINATOR_ADDRESS=, JAX_NUM_PROCESSES=2, JAX_PROCESS_ID=." in message
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "127.0.0.1:9")
    monkeypatch.setenv("JAX_PROCESS_ID", "2")
    assert "JAX_PROCESS_ID=2" in refused(2, "run", TINY, "--distributed", "--out", tmp_path / "run")
