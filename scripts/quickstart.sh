#!/usr/bin/env bash
# From a fresh checkout to a table, a SavedModel and a prediction: bash scripts/quickstart.sh
# Needs Python 3.10 to 3.13, and pip. Works in .venv, or in the virtual environment that EASYMFT_VENV names.
# What an earlier run has finished is skipped; what it has begun goes on. Everything it writes, logs included, stands in
# runs/sample.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

sample=configs/sample
runs=runs/sample
files=("$sample/train.tsv" "$sample/dev.tsv" "$sample/test.tsv")
sentence="The room was small, but I would gladly stay here again."
number=0
stages=6

# stage KEY TITLE OUTPUT INPUT... -- COMMAND...
# Runs the command, unless it has left OUTPUT before and no INPUT file has changed since.
stage() {
  local key="$1" title="$2" output="$3" inputs=() log done_file digest started
  shift 3
  while [ "$1" != "--" ]; do
    inputs+=("$1")
    shift
  done
  shift
  number=$((number + 1))
  log="$runs/logs/$key.log"
  done_file="$runs/logs/$key.done"
  digest="$(cksum "${inputs[@]}")"
  if [ -e "$output" ] && [ "$(cat "$done_file" 2>/dev/null)" = "$digest" ]; then
    echo "[$number/$stages] $title: done before, skipped"
    return
  fi
  echo "[$number/$stages] $title (log: $log)"
  mkdir -p "$runs/logs"
  rm -f "$done_file"
  started=$SECONDS
  if ! "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "\"$title\" stopped; the end of $log is shown above. Run this script again to go on from here"
  fi
  echo "$digest" >"$done_file"
  echo "      $((SECONDS - started)) s"
}

easymft() {
  "$environment/bin/easymft" --mode "$1" --config "$2" --set runtime.progress=false
}

prepare_environment
cd "$root"
python="$environment/bin/python"

stage weights "Fetch the weights all-MiniLM-L6-v2 and check their sha256" \
  "$HOME/.cache/easymft/all-minilm-l6-v2/model.safetensors" setup.py -- "$python" -m easymft.model_zoo.registry all-minilm-l6-v2

stage meta_tune "Meta-tune on the five domains of the sample" "$runs/meta_tune/best/model.safetensors" \
  "$sample/meta_tune.json" "${files[@]}" -- easymft meta_tune "$sample/meta_tune.json"

stage finetune "Fine-tune each domain from the plain weights, then test" "$runs/finetune/metrics.json" \
  "$sample/finetune.json" "${files[@]}" -- easymft finetune "$sample/finetune.json"

stage finetune_from_mft "Fine-tune each domain from the meta-tuned weights, then test" "$runs/finetune_from_mft/metrics.json" \
  "$sample/finetune_from_mft.json" "$sample/meta_tune.json" "${files[@]}" -- easymft finetune "$sample/finetune_from_mft.json"

stage export "Export the meta-tuned model as a SavedModel" "$runs/saved_model/1/saved_model.pb" \
  "$sample/export.json" "$sample/meta_tune.json" "${files[@]}" -- easymft export "$sample/export.json"

stage predict "Classify a sentence with the SavedModel, without EasyMFT" "$runs/logs/predict.log" \
  "$runs/saved_model/1/saved_model.pb" -- env TF_CPP_MIN_LOG_LEVEL=3 "$python" scripts/predict_saved_model.py \
  "$runs/saved_model/1" "$sentence"

echo
"$python" scripts/quickstart_report.py --output "$runs/comparison.md" \
  "plain fine-tune=$runs/finetune/metrics.json" "from MFT=$runs/finetune_from_mft/metrics.json"
echo
echo "The SavedModel in $runs/saved_model/1 says:"
grep -A1 -F "\"$sentence\"" "$runs/logs/predict.log"
cat <<END

To look inside: losses, domain loss by layer, typicality, a projector of prototypes and texts
  $environment/bin/tensorboard --logdir $root/$runs     and open http://localhost:6006

Next, in $root after: source $environment/bin/activate
  easymft --mode predict --config $sample/predict.json         labels and probabilities for a file
  easymft --mode typicality --config $sample/typicality.json   the most and the least typical texts
  easymft --help                                                    all modes; for your own data see README.md,
                                                                    "Ten minutes with your own data"
END
