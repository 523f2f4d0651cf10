#!/bin/bash
# Starts a command of this repository on a TPU slice of a GKE cluster, with XPK:
#
#   launch/xpk.sh NAME CLUSTER TPU_TYPE IMAGE train.distill distilbert-base-uncased --output gs://BUCKET/run
#
# IMAGE is that of the Dockerfile in a registry which the cluster reads:
#
#   docker build --build-arg 'EXTRAS=[tpu,gcs]' -t IMAGE . && docker push IMAGE
#
# XPK (pip install xpk) starts it on every host of the slice, where the processes find each other. A
# workload that is preempted starts again up to 20 times, and resumes from its last checkpoint.
set -euo pipefail
if [ $# -lt 5 ]; then sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; fi
name=$1 cluster=$2 type=$3 image=$4
shift 4
xpk workload create --workload "$name" --cluster "$cluster" --tpu-type="$type" --num-slices=1 \
  --docker-image "$image" --max-restarts=20 \
  --command "cd /repository && .venv/bin/python -m $(printf '%q ' "$@")"
echo "Started. How it is: xpk workload list --cluster $cluster"
