#!/bin/bash
# A hundred trees from fixed seeds: each is saved, restored and found equal. Some in user namespaces, some
# with files of every kind.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

for seed in $(seq 1 "${MOORING_RANDOM_TREES:-100}"); do
  test_case "seed $seed"
  make_tree --seed "$seed"
  round_trip
done

for seed in $(seq 101 115); do
  test_case "seed $seed in a user and a pid namespace"
  make_tree --seed "$seed" --userns --pidns
  round_trip
done

for seed in $(seq 201 205); do
  test_case "seed $seed, a larger tree with files of every kind"
  make_tree --seed "$seed" --size 60 --contents
  round_trip
done

finish
