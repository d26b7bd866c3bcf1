#!/bin/sh
# A manifest of this folder, or of ../tpu, with the number of shards and the arguments of `deepinit` filled in:
#
#   sh deploy/kubernetes/manifest.sh shards.yaml 16 vanishing_angles --preset full --out /runs/full | kubectl apply -f -
#   sh deploy/kubernetes/manifest.sh merge.yaml 16 vanishing_angles --preset full --out /runs/full | kubectl apply -f -
set -eu
file=$1 shards=$2
shift 2
case $shards in
'' | *[!0-9]* | 0*)
  echo "manifest.sh: got the number of shards '$shards'. Allowed: 1 or more." >&2
  exit 2
  ;;
esac
arguments=
for argument; do # as JSON strings, then for the replacement of sed
  argument=$(printf '%s' "$argument" | sed -e 's/[\\"]/\\&/g')
  arguments="$arguments, \"$argument\""
done
arguments=$(printf '%s' "$arguments" | sed -e 's/[\\&|]/\\&/g')
sed -e "s|, ARGUMENTS|$arguments|" -e "s|SHARDS|$shards|g" "$(dirname "$0")/$file"
