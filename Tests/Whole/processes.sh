#!/bin/bash
# COMMAND, the holder, and what becomes of exit statuses and signals.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

make_tree --scenario process-files --pidns
mkdir "$root/bin" "$root/dev"
mknod -m 666 "$root/dev/null" c 1 3
cp "$(command -v busybox)" "$root/bin/busybox"
for name in sh sleep cat kill ps true pwd; do ln -s busybox "$root/bin/$name"; done
echo 'no program' >"$root/bin/text"
test_case "dump"
dump_and_end

restore=(mooring restore -D images -r "$root")

# $1: status; the rest: COMMAND
command_status() {
  local wanted=$1
  shift
  expect_status "$wanted" "${restore[@]}" -- "$@"
}

test_case "COMMAND's exit status"
command_status 0 /bin/true
command_status 7 /bin/sh -c 'exit 7'
command_status 255 /bin/sh -c 'exit 255'

test_case "128 + signal"
command_status 143 /bin/sh -c 'kill -TERM $$'
command_status 137 /bin/sh -c 'kill -KILL $$'

test_case "no such COMMAND, or none that can be executed"
command_status 127 /bin/nothing
expect_one_sentence
command_status 126 /bin/text
expect_one_sentence
remember_host "$root"
for pair in "127 /bin/nothing" "126 /bin/text"; do
  rm -f detached-pid
  # shellcheck disable=SC2086 # words
  expect_status ${pair% *} "${restore[@]}" -d --pidfile detached-pid -- ${pair#* }
  expect_one_sentence
  [ ! -e detached-pid ] || fail "a PID file is left"
done
expect_same_host

test_case "failures of the engine where a COMMAND is given"
expect_status 125 mooring restore -D no-images -r "$root" -- /bin/true
expect_one_sentence

test_case "a caller that ignores SIGCHLD"
expect_status 7 bash -c 'trap "" CHLD; exec "$@"' - "${restore[@]}" -- /bin/sh -c 'exit 7'

test_case "standard input and output are COMMAND's"
status=0
echo "through a pipe" | "${restore[@]}" -- /bin/cat >out 2>err || status=$?
expect_equal "$status $(cat out)" "0 through a pipe"

test_case "COMMAND starts in the root"
command_status 0 /bin/pwd
expect_equal "$(cat out)" /

test_case "--as-pid-1"
expect_status 0 "${restore[@]}" --as-pid-1 -- /bin/sh -c 'echo $$'
expect_equal "$(cat out)" 1 "the PID of COMMAND"
expect_status 0 "${restore[@]}" -- /bin/sh -c 'echo $$'
[ "$(cat out)" != 1 ] || fail "COMMAND is PID 1 without --as-pid-1"
expect_status 5 "${restore[@]}" --as-pid-1 -- /bin/sh -c 'exit 5'

# Starts the command in the background until COMMAND runs: $engine.
start_command() {
  rm -f out
  "${restore[@]}" "$@" >out 2>err </dev/null &
  engine=$!
  wait_until grep -q running out
}

for option in "" --as-pid-1; do
  test_case "a signal reaches COMMAND${option:+ with $option}"
  # shellcheck disable=SC2086 # an option or none
  start_command $option -- /bin/sh -c 'trap "exit 9" TERM; echo running; while :; do sleep 0.1; done'
  kill -TERM "$engine"
  status=0
  wait "$engine" || status=$?
  expect_equal "$status" 9 "the status after SIGTERM"
done

test_case "--die-with-parent"
remember_host
start_command --die-with-parent -- /bin/sh -c 'echo running; sleep 1000'
kill -KILL "$engine"
wait "$engine" 2>/dev/null || true
expect_same_host

test_case "-d with COMMAND"
rm -f holder-pid
expect_status 0 "${restore[@]}" -d --pidfile holder-pid -- /bin/sleep 1000
holder=$(cat holder-pid)
is_gone "$holder" && fail "the holder is gone"
grep -q " /proc/sys " "/proc/$holder/mountinfo" || fail "the pidfile names another process"
end_holder
expect_same_host

test_case "the holder ends at SIGTERM"
restore_detached
kill -TERM "$holder"
wait_until is_gone "$holder"
expect_same_host

test_case "the holder is as small as can be"
restore_detached
# Where the container has no /dev/null, they are closed.
expect_equal "$(find "/proc/$holder/fd" -type l ! -lname /dev/null | wc -l)" 0 \
  "descriptors other than on /dev/null"
expect_equal "$(readlink "/proc/$holder/root") $(readlink "/proc/$holder/cwd")" "/ /" "root and directory"

zombies() { grep -l '^State:.*zombie' /proc/[0-9]*/status 2>/dev/null | wc -l; }
no_zombies() { [ "$(zombies)" -eq 0 ]; }

test_case "the holder reaps"
nsenter -t "$holder" -m -p /bin/sh -c '(sleep 0.2 &) ; (sleep 0.1 &) ; exit 0'
sleep 0.4
wait_until no_zombies
end_holder

test_case "the pidfile is written when all is verified, or not at all"
rm -f holder-pid
expect_status 1 mooring restore -D images -r "$root" -d --pidfile missing-folder/pid
expect_one_sentence
expect_same_host

finish
