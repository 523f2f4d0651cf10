#!/bin/sh
# The plans of docs/results/tpu-plans.md, one after the other: from minutes to a quarter of an hour
# each on two cores. Prints the tables; what was compiled before is not compiled again.
#   PYTHONPATH=.venv-tpu sh docs/results/tpu/plans.sh
set -e
here=$(dirname "$0")

plan() { # recipe, topology, further flags
  recipe=$1 topology=$2; shift 2
  file=$here/$recipe-$(echo "$topology" | tr : -).json
  [ -e "$file" ] || ${PYTHON:-python} -m train.plan "$recipe" --topology "$topology" --json "$file" "$@"
}

# A sequence for each text, padded.
distil="--data.no-pack-lines --batch-size 4096 --micro-batches 16 --masking.group-rows 8"
wikitext="--data.no-pack-lines --batch-size 240 --masking.group-rows 5"

# The largest batch is looked for once a kind of chip.
plan distilbert-base-uncased v5e:2x4 $distil
plan distilbert-base-uncased v5e:16x16 --no-search $distil
plan wikitext-103 v5e:2x4 --no-search $wikitext
plan bert-base-uncased v5e:2x4
for topology in v4:2x2x2 v5p:2x2x4 v6e:4x4; do
  plan distilbert-base-uncased $topology $distil
done
for topology in v5e:1x1 v5e:4x4; do
  plan distilbert-base-uncased $topology --no-search $distil
done
for topology in v5e:1x1 v5e:4x4 v4:2x2x2 v5p:2x2x4 v6e:4x4; do
  plan bert-base-uncased $topology --no-search
  plan wikitext-103 $topology --no-search $wikitext
done
# One sequence a chip cannot be masked together with others. The batch of wikitext-103, 240
# sequences, is too small for 256 chips.
plan bert-base-uncased v5e:16x16 --no-search --masking.group-rows 1

${PYTHON:-python} -m train.plan --table "$here"/*.json
