#!/bin/bash
# Runs a command of this repository on every worker of a TPU slice:
#
#   launch/tpu-slice.sh NAME ZONE train.distill distilbert-base-uncased --output gs://BUCKET/run
#
# The repository lies in ~/distilbert-flax on the workers; what is not there yet is installed. Started
# again, the same command goes on from the last checkpoint. It is as well for one TPU VM.
set -euo pipefail
if [ $# -lt 3 ]; then sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; fi
name=$1 zone=$2
shift 2

tar --exclude=.venv --exclude=runs --exclude=.git -czf /tmp/distilbert-flax.tgz -C "$(dirname "$0")/.." .
gcloud compute tpus tpu-vm scp /tmp/distilbert-flax.tgz "$name:" --zone "$zone" --worker=all

gcloud compute tpus tpu-vm ssh "$name" --zone "$zone" --worker=all --command "
  set -e
  mkdir -p distilbert-flax && tar -xzf distilbert-flax.tgz -C distilbert-flax && cd distilbert-flax
  [ -d .venv ] || python3 -m venv .venv
  .venv/bin/python -m pip install -qq -c constraints.txt -e '.[tpu,gcs]'
  .venv/bin/python -m $(printf '%q ' "$@")"
