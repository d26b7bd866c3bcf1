"""Types of a user's program: a right one passes mypy, a wrong one does not."""

import subprocess
import sys

import pytest

PROGRAM = """
import deepinit as di

net = di.MLP(widths=(256,) * 32, activation=di.relu)
pair = di.inputs.pair(angle=0.1)
angle = di.quantities.log_sin2_angle
sim = di.simulate(net, angle, pair, num_seeds=5_000, key=0)
fin = di.predict(net, angle, pair)
inf = di.infinite(net, angle, pair)
print(di.compare(sim, fin, inf), float(sim.mean[-1, 0]), fin.error_order)
di.plots.layers(sim, fin, inf).savefig("angles.png")
"""
WRONG = {
    "num_seeds=5_000": 'num_seeds="many"',
    "di.compare(sim, fin, inf)": "di.compare(fin, sim, inf)",
    "fin.error_order": "fin.order",
}


@pytest.mark.slow
def test_planted_errors_are_found(tmp_path):
    programs = {"right.py": PROGRAM}
    programs |= {
        f"wrong{number}.py": PROGRAM.replace(*change) for number, change in enumerate(WRONG.items())
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "--ignore-missing-imports"]
    found = subprocess.run(
        [*command, "--cache-dir", tmp_path / "cache", *programs],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in found.stdout.splitlines() if ": error:" in line]
    assert {line.split(":")[0] for line in lines} == {"wrong0.py", "wrong1.py", "wrong2.py"}, found
