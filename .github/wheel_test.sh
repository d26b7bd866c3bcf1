#!/usr/bin/env bash
# The wheel works alone: a fresh environment outside the checkout, plain pip, no TensorFlow, at most 900 MB.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m pip install -qU --target "$work/uv" uv
(cd "$checkout" && "$work/uv/bin/uv" build -q --wheel -o "$work/dist")
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install -q "$work"/dist/*.whl
cd "$work"

megabytes=$(du -sm env | cut -f1)
[ "$megabytes" -le 900 ] || { echo "the environment takes $megabytes MB"; exit 1; }
if env/bin/python -c 'import tensorflow' 2>/dev/null; then echo "TensorFlow came along"; exit 1; fi

env/bin/deepinit --version
env/bin/deepinit list
env/bin/deepinit run vanishing_angles --out run
env/bin/deepinit new mine && env/bin/deepinit run mine --config.num-seeds 200 --out mine-run
env/bin/python - <<'PYTHON'
import deepinit as di

net = di.MLP(widths=(256,) * 32, activation=di.relu)
pair = di.inputs.pair(angle=0.1)
angle = di.quantities.log_sin2_angle
sim = di.simulate(net, angle, pair, num_seeds=5_000, key=0)
fin = di.predict(net, angle, pair)
inf = di.infinite(net, angle, pair)
print(di.compare(sim, fin, inf))
di.plots.layers(sim, fin, inf).savefig("angles.png")
PYTHON
echo "the wheel works alone: $megabytes MB"
