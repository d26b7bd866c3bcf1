"""A run whose blocks are computed by jobs that submitit submits, from Python.

python deploy/slurm/submit.py vanishing_angles runs/full
"""

import sys
from pathlib import Path

from deepinit.runs.execute import run
from deepinit.runs.executors import opened
from deepinit.runs.load import load_experiment

CONFIG = Path(__file__).parent / "submitit.toml"


def main(name: str, out: str, config: str = str(CONFIG)) -> None:
    """Run the experiment's last preset; jobs that are lost are submitted again."""
    experiment = load_experiment(name)
    preset = list(experiment.presets.values())[-1]
    with opened(f"submitit:{config}") as crew:
        outcome = run(experiment, preset, Path(out), executor=crew)
    if outcome is not None:
        sys.stdout.write(f"{outcome.report}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
