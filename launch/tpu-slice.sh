#!/bin/bash
# Starts a command of this repository on every worker of a TPU slice:
#
#   launch/tpu-slice.sh NAME ZONE train.distill distilbert-base-uncased --output gs://BUCKET/run
#
# Copies the repository to ~/distilbert-flax on the workers and installs what is missing. The command
# continues there when this script has ended, and writes to run.log. Started again, it resumes from
# the last checkpoint. It also serves for one TPU VM.
#
# LIBTPU_INIT_ARGS="--xla_tpu_..." before the command brings flags of XLA to the workers. Of those that
# overlap the exchange of gradients with computation, xla_tpu_enable_data_parallel_all_reduce_opt and
# xla_tpu_enable_async_collective_fusion_fuse_all_reduce changed nothing in a small data-parallel step
# compiled for eight v5e (libtpu 0.0.42.1), so none is set here.
set -euo pipefail
if [ $# -lt 3 ]; then sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; fi
name=$1 zone=$2
shift 2
on_workers() { gcloud compute tpus tpu-vm "$1" "${@:2}" --zone "$zone" --worker=all; }

archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
tar --exclude='./.venv*' --exclude='./.*_cache' --exclude=./runs --exclude=./.git \
  -czf "$archive" -C "$(dirname "$0")/.." .
on_workers scp "$archive" "$name:distilbert-flax.tgz"

# uv brings a Python: those of older images are below 3.11.
on_workers ssh "$name" --command "
  set -e
  mkdir -p distilbert-flax && tar -xzf distilbert-flax.tgz -C distilbert-flax && cd distilbert-flax
  if [ ! -x .venv/bin/python ]; then
    python3 -m pip install -q --user uv
    python3 -m uv venv -q --seed --python 3.12 .venv
  fi
  .venv/bin/python -m pip install -qq -c constraints.txt -e '.[tpu,gcs]'
  export LIBTPU_INIT_ARGS=$(printf '%q' "${LIBTPU_INIT_ARGS:-}")
  nohup .venv/bin/python -m $(printf '%q ' "$@") >> run.log 2>&1 < /dev/null &"

echo "Started on all workers. What it says:"
echo "  gcloud compute tpus tpu-vm ssh $name --zone $zone --worker=0 --command 'tail -f distilbert-flax/run.log'"
