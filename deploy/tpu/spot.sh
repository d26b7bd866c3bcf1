#!/bin/sh
# One run on a spot TPU slice by queued resources: requested, used by slice.sh, and requested again after a preemption, until
# the run ends.
#
#   ZONE=us-west4-a TYPE=v5litepod-16 OUT=/mnt/runs/tpu sh deploy/tpu/spot.sh NAME
#
# The VM image must have the checkout and uv, and mount OUT's disk (a start-up script does both).
set -u
name=$1 zone=${ZONE:?} type=${TYPE:?} out=${OUT:?}
version=${VERSION:-v2-alpha-tpuv5-lite}
poll=${POLL_SECONDS:-30}
while :; do
  gcloud compute tpus queued-resources create "$name" --node-id="$name" --zone="$zone" \
    --accelerator-type="$type" --runtime-version="$version" --spot ${METADATA:+"--metadata-from-file=$METADATA"} || exit 5
  while :; do
    state=$(gcloud compute tpus queued-resources describe "$name" --zone="$zone" --format='value(state.state)')
    case $state in
    ACTIVE) break ;;
    FAILED | SUSPENDED | SUSPENDING) break ;;
    esac
    sleep "$poll"
  done
  code=75
  if [ "$state" = ACTIVE ]; then
    gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="cd deepinit && OUT=$out sh deploy/tpu/slice.sh"
    code=$?
  fi
  gcloud compute tpus queued-resources delete "$name" --zone="$zone" --force --quiet
  case $code in
  0 | 2 | 3 | 4 | 5 | 6) exit $code ;; # done, or for a person to see; 75, 134, 255: preempted
  esac
done
