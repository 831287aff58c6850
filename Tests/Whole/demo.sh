#!/bin/bash
# A container of runc: saved, ended, restored, compared, as in the README.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

for program in runc busybox; do
  command -v "$program" >/dev/null || cannot_run "$program is not installed"
done

plugin_folder bind-current

# $1: what scripts/container is told besides; the rest: options of dump and restore.
start_container() {
  "$scripts/container" start container "$@" >/dev/null
  pid=$(cat container/pid)
  root=$work/container/bundle/rootfs
  export MOORING_TEST_BINDS="/data=$work/container/host/data:/etc/config=$work/container/host/config"
}

test_case "the sequence of commands"
remember_host
start_container
expect_status 0 mooring mounts -t "$pid" -L "$folder"
expect_output_has /etc/config
expect_output_has /dev/mqueue
expect_status 0 mooring dump -t "$pid" -D images -L "$folder"
end_process "$pid"
"$scripts/host-state" "$root" >before-plan
expect_status 0 mooring plan -D images -r "$root" -L "$folder"
[ -s out ] || fail "the plan is empty"
"$scripts/host-state" "$root" >after-plan
cmp -s before-plan after-plan || fail "the plan changed something: $(diff before-plan after-plan)"
expect_status 0 mooring restore -D images -r "$root" -L "$folder" -- /bin/sh -c 'cat /data/file'
expect_equal "$(cat out)" "from the host" "what COMMAND printed"
restore_detached -L "$folder"
if [ -n "$holder" ]; then
  expect_status 0 mooring verify -D images -t "$holder"
  expect_equal "$(cat "/proc/$holder/root/etc/config")" "setting = 1" "the file from outside"
  expect_status 0 nsenter -t "$holder" -m -p -u /bin/sh -c 'hostname; ps | wc -l; : > /dev/null'
  expect_output_has moored
  end_holder
fi
"$scripts/container" stop container
rm -rf images holder-pid before-plan after-plan
expect_same_host

test_case "restored twice at once"
start_container
dump_and_end -L "$folder"
restore_detached -L "$folder"
first=$holder
restore_detached -L "$folder"
for one in "$first" "$holder"; do
  [ -z "$one" ] || expect_status 0 mooring verify -D images -t "$one"
done
end_holder
holder=$first end_holder
"$scripts/container" stop container

test_case "a user namespace"
start_container --userns
# runc binds devices of the host's /dev there, since it cannot make them; and the host shows all the rest.
dump_and_end --external 'mnt[]'
if [ "$case_failed" = no ]; then
  restore_detached --external 'mnt[]'
  [ -z "$holder" ] || expect_status 0 mooring verify -D images -t "$holder"
  end_holder
fi
"$scripts/container" stop container

test_case "scripts/demo"
remember_host
expect_status 0 "$scripts/demo"
expect_output_has "from the host"
expect_output_has "saved, restored, equal"
expect_same_host

finish
