#!/bin/bash
# The file with the PID, standard streams that are closed, and whose failure is shown.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

make_tree --scenario overmounted-parent-root
dump_and_end

test_case "a pid file is replaced, and back where the restore fails after it was written"
printf '#!/bin/sh\n[ "$CRTOOLS_SCRIPT_ACTION" != pre-resume ] || { cp holder-pid seen; exit 1; }\n' >late
chmod +x late
echo former >holder-pid
chmod 640 holder-pid
remember_host "$root"
expect_status 1 mooring restore -D images -r "$root" -d --pidfile holder-pid --action-script "$work/late"
expect_error_has pre-resume
expect_equal "$(cat holder-pid)" former
grep -qx '[0-9]*' seen || fail "the script saw: $(cat seen)"
[ "$(find . -maxdepth 1 -name '.holder-pid*' | wc -l)" = 0 ] || fail "left: $(ls -A)"
expect_same_host
rm holder-pid
expect_status 1 mooring restore -D images -r "$root" -d --pidfile holder-pid --action-script "$work/late"
[ ! -e holder-pid ] || fail "a file of a restore that failed"
expect_same_host

test_case "a pid file of a process that lives is not overwritten"
restore_detached
expect_status 2 mooring restore -D images -r "$root" -d --pidfile holder-pid
expect_error_has "process $holder"
expect_equal "$(cat holder-pid)" "$holder"
end_holder
expect_status 0 mooring restore -D images -r "$root" -d --pidfile holder-pid
holder=$(cat holder-pid)
end_holder
[ "$(find . -maxdepth 1 -name '.holder-pid*' | wc -l)" = 0 ] || fail "left: $(ls -A)"

test_case "a pid file on a full disk"
remember_host "$root"
expect_status 1 mooring restore -D images -r "$root" -d --pidfile /dev/full
expect_one_sentence
expect_error_has ENOSPC
mkdir small
mount -t tmpfs -o nr_inodes=1 small small
remember_host "$root"
expect_status 1 mooring restore -D images -r "$root" -d --pidfile small/pid
expect_one_sentence
expect_same_host
umount small
expect_status 1 mooring restore -D images -r "$root" -d --pidfile nowhere/pid
expect_one_sentence
remember_host "$root"

test_case "killed while the pid file is there"
printf '#!/bin/sh\n[ "$CRTOOLS_SCRIPT_ACTION" != pre-resume ] || sleep 1000\n' >late
echo former >holder-pid
mooring restore -D images -r "$root" -d --pidfile holder-pid --action-script "$work/late" >out 2>err </dev/null &
engine=$!
wait_until eval '! grep -qx former holder-pid'
kill -KILL "$engine"
wait "$engine" 2>/dev/null || true
wait_until grep -qx former holder-pid
expect_same_host
[ "$(find . -maxdepth 1 -name '.holder-pid*' | wc -l)" = 0 ] || fail "left: $(ls -A)"
rm -f holder-pid

test_case "standard streams that are closed"
for closed in '<&-' '>&-' '2>&-' '<&- >&-' '<&- >&- 2>&-'; do
  status=0
  eval "exec 5>out; mooring restore -D images -r '$root' -d --pidfile holder-pid -v -v >&5 2>&5 $closed" || status=$?
  expect_equal "$status" 0 "closed: $closed"
  [ -s holder-pid ] || fail "no pid file with $closed"
  end_process "$(cat holder-pid)"
  rm -f holder-pid
  status=0
  eval "mooring restore -D images -r '$root' -v -v $closed -- /nothing" 2>/dev/null || status=$?
  expect_equal "$status" 127 "a COMMAND with $closed"
done
status=0
mooring help >/dev/full 2>err || status=$?
expect_equal "$status" 1 "help onto a full disk"
status=0
mooring --version >/dev/full 2>err || status=$?
expect_equal "$status" 1 "--version onto a full disk"
expect_status 0 mooring help
expect_output_has SUBCOMMANDS
expect_status 64 mooring dump --no-such-option

test_case "the worker's own failure is the one that is shown"
printf '#!/bin/sh\nexit 0\n' >nothing
chmod +x nothing
# Something that cannot be a mount point: a file where a directory is to be.
rm -rf --one-file-system "$root"
mkdir "$root"
mkdir tiny
mount -t tmpfs -o nr_inodes=1 tiny tiny
for options in "" "--action-script $work/nothing"; do
  remember_host
  # shellcheck disable=SC2086 # words
  expect_status 1 mooring restore -D images -r tiny -d --pidfile holder-pid $options
  expect_one_sentence
  expect_error_has ENOSPC
  expect_error_has "inode"
  ! grep -qE 'EPIPE|mount-max' err || { fail "another failure"; show_output; }
  expect_same_host
done
umount tiny

finish
