#!/bin/sh
# One JAX program on all hosts of a TPU slice (the runtime wants every host in it): run this on every worker, for example by
#
#   gcloud compute tpus tpu-vm ssh NAME --worker=all --command='cd deepinit && sh deploy/tpu/slice.sh'
#
# The first host writes the run directory, which must be on a disk that outlives it. Stopped or preempted, the same command continues.
set -eu
exec uv run --extra tpu deepinit run vanishing_angles --preset "${PRESET:-full}" --out "${OUT:-runs/tpu}" --distributed
