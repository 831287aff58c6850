#!/bin/bash
# Random networks from fixed seeds: saved, restored into another namespace, equal; saved again, equal.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

mount -t tmpfs run /run

for seed in $(seq 1 "${MOORING_RANDOM_NETWORKS:-30}"); do
  test_case "network $seed"
  for name in one two; do
    ip netns delete "$name" 2>/dev/null || true
    ip netns add "$name"
  done
  python3 "$scripts/tree/random-network.py" "$seed" . >batch
  # What this kernel does not take is left out.
  ip -n one -force -batch batch 2>/dev/null || true
  bridge -n one -force -batch bridge.batch 2>/dev/null || true
  [ "$(ip -n one -o link | wc -l)" -gt 4 ] || fail "ip made no network"
  expect_status 0 mooring dump --netns one -D images
  expect_status 0 mooring restore -D images --only links --netns two
  expect_status 0 mooring verify -D images --netns two
  expect_status 0 mooring dump --netns two -D images-two
  mooring links -D images --json | sed '/"inode"/d' >links-one
  mooring links -D images-two --json | sed '/"inode"/d' >links-two
  cmp -s links-one links-two || {
    fail "the second dump differs"
    diff links-one links-two | head -n 10 | sed 's/^/    /' || true
  }
done

finish
