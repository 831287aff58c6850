#!/bin/bash
# `mooring verify` names exactly what was altered after a restore.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

# A tree with flags, propagation, options and contents to alter. The tools to alter it with are in its root,
# of which nothing is compared.
make_tree --scenario complex-sharing --contents
cp "$(command -v busybox)" "$root/busybox"
test_case "nothing altered"
dump_and_end
restore_detached
expect_status 0 mooring verify -D images -t "$holder"
expect_equal "$(cat out)" "" "what verify prints of equal trees"
end_holder

# $1: name, $2: what verify must say, then the command that alters, run in the container's mounts.
altered() {
  local name=$1 wanted=$2 lines
  shift 2
  test_case "$name"
  restore_detached
  [ -n "$holder" ] || return 0
  nsenter -t "$holder" -m -- /busybox "$@" >out 2>err || { fail "could not alter: $*"; show_output; }
  expect_status 3 mooring verify -D images -t "$holder"
  expect_output_has "$wanted"
  lines=$(grep -c '^[-+~]' out) || true
  if [ "$lines" -gt "${most_lines:-2}" ]; then
    fail "$lines lines differ; one thing was altered"
    show_output
  fi
  expect_status 3 mooring verify -D images -t "$holder" --json
  python3 -m json.tool out >/dev/null || fail "that is no JSON"
  end_holder
}

altered "one flag" /b mount -o remount,bind,nosuid none /b
altered "one propagation" /e mount --make-shared /e
altered "one option of a superblock" /contents mount -t tmpfs -o remount,size=8m none /contents
altered "one file's content" hard sh -c 'echo altered >/contents/hard'
altered "one file's mode" sparse chmod 640 /contents/sparse
altered "one file more" new sh -c 'echo new >/contents/new'
altered "one file less" fifo rm /contents/fifo
altered "one mount more" /extra sh -c '/busybox mkdir -p /extra && /busybox mount -t tmpfs extra /extra'
altered "one mount less" /c/x/one umount /c/x/one

test_case "a process without a namespace of its own"
expect_status 3 mooring verify -D images -t $$

test_case "no such process"
expect_status 1 mooring verify -D images -t 999999
expect_one_sentence

finish
