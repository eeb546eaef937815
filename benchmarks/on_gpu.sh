#!/usr/bin/env bash
# What to run on a GPU that is there for a quarter of an hour. Give the parts one after the other:
#
#   benchmarks/on_gpu.sh first OUT      tests of the kernels, LoRA with a frozen tower beside the stock path: look at them
#   benchmarks/on_gpu.sh rest OUT       the other strategies beside it, scored beside greedy answers
#   benchmarks/on_gpu.sh four_bit OUT   LoRA on 4-bit weights, where bitsandbytes is there and minutes are left
#
# All that is printed and measured goes to OUT as it comes. A part given again goes on where it stopped. LIMIT is that of
# the training steps in seconds; PRESET=small tries all of it on a CPU.
set -u -o pipefail
part=${1:?first, rest or four_bit} out=${2:?a folder for the results}
cd "$(dirname "$0")/.." && mkdir -p "$out" && export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1  # nothing is downloaded, and without a network nothing waits for one
steps() { ${PYTHON:-python3} benchmarks/train_step.py --preset "${PRESET:-4b}" --steps 5 --limit "${LIMIT:-$1}" "${@:2}"; }
first() {
  timeout 60 "${PYTHON:-python3}" -m pytest -q -p no:cacheprovider tests/model/test_gpu.py ||
    echo "the tests of the kernels ended with $?"  # 124: after a minute
  steps 120 --output "$out/train_step" --strategies lora_frozen
}
rest() {
  steps 240 --output "$out/train_step" --strategies lora_frozen lora full frozen
  ${PYTHON:-python3} benchmarks/decoding.py --preset "${PRESET:-4b}" --rounds 2 --limit 90 --output "$out/decoding"
}
four_bit() { steps 90 --output "$out/four_bit" --strategies lora_frozen_4bit; }
case $part in
  first | rest | four_bit) { "$part" && echo "$part: $SECONDS s"; } 2>&1 | tee -a "$out/log" ;;
  *) echo "the part must be first, rest or four_bit, but is $part" >&2 && exit 2 ;;
esac
