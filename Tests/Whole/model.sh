#!/bin/bash
# The model of the kernel that plans are tested on (Tests/Support/KernelModel), held against the kernel: the
# same commands give the same tree, and are refused with the same errno.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

model=$(dirname "$mooring")/model-tree
[ -x "$model" ] || cannot_run "model-tree is missing beside the command: swift build"

# Builds the commands in $1 on both, and compares.
expect_agreement() {
  root=$work/root
  rm -rf --one-file-system "$root"
  mkdir "$root"
  "$tools/make-tree" --commands "$1" --results "$work/results" "$root" "$work/tree-pid"
  pid=$(cat "$work/tree-pid")
  "$model" results "$1" >model-results
  if ! cmp -s results model-results; then
    fail "the kernel refuses other commands than the model (kernel, model, command):"
    paste -d' ' results model-results "$1" | awk '$1 != $2' | head -n 10
  fi
  "$model" live "$pid" >tree
  "$model" portrait "$1" >model-tree
  if ! cmp -s tree model-tree; then
    fail "the kernel's tree (<) and the model's (>) after these commands:"
    head -n 200 "$1"
    diff tree model-tree | head -n 20
  fi
  end_process "$pid"
}

for file in "$fixtures"/trees/*.commands; do
  test_case "the model agrees with the kernel: $(basename "$file" .commands)"
  expect_agreement "$file"
done

for seed in $(seq 1 "${MOORING_MODEL_SEEDS:-150}"); do
  test_case "the model agrees with the kernel: seed $seed"
  "$model" commands "$seed" $((10 + seed % 30)) >commands
  expect_agreement "$work/commands"
done

finish
