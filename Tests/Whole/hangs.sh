#!/bin/bash
# Nothing waits for ever: file systems whose server hangs, plugins and scripts that hang, --timeout. And whoever
# is interrupted meanwhile leaves nothing.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

[ -e /dev/fuse ] || modprobe fuse 2>/dev/null || true
grep -qw fuse /proc/filesystems || cannot_run "the kernel has no FUSE"
[ -e /dev/fuse ] || cannot_run "there is no /dev/fuse"

start_hanging() {
  mkdir -p hung
  rm -f fuse-pid
  hanging-fuse "$work/hung" fuse-pid
  server=$(cat fuse-pid)
}

end_hanging() {
  end_process "$server"
  umount -l hung
}

# Who asked has to be gone once the server is.
expect_no_engines() {
  local entry
  for entry in /proc/[0-9]*/comm; do
    ! grep -qx mooring "$entry" 2>/dev/null || fail "a process is left: $entry"
  done
}

# Ends within so many seconds, whatever else. $1: seconds, $2: status; then the command.
within() {
  local began=$SECONDS most=$1 wanted=$2
  shift 2
  time_limit=$most expect_status "$wanted" "$@"
  [ $((SECONDS - began)) -le $((most * slowness)) ] || fail "it took $((SECONDS - began)) s"
}

# A container that sees the hung file system at /dir.
start_hanging
export MOORING_TEST_BINDS="/dir=$work/hung"
mkdir outside outside/directory
echo file >outside/file
mount --bind hung outside/directory
make_tree --scenario external-private --outside "$work/outside"
maps=(--external 'mnt[/dir]:dir' --external 'mnt[/file]:file')

test_case "a hung file system that is mapped away does not hold up a dump"
remember_host "$root"
within 15 0 mooring dump -t "$pid" -D images "${maps[@]}"
within 15 0 mooring mounts -t "$pid" "${maps[@]}"
within 15 0 mooring files -t "$pid"
within 15 0 mooring links -t "$pid"
rm -rf images.old && mv images images.old
expect_same_host
mv images.old images

test_case "verify does not ask it either"
within 15 0 mooring verify -D images -t "$pid"

test_case "a mapping on a hung file system: plan and restore say so in time"
for command in "plan" "restore -d"; do
  # shellcheck disable=SC2086 # words
  within 35 1 mooring $command -D images -r "$root" --external "mnt[dir]:$work/hung/sub" \
    --external "mnt[file]:$work/outside/file"
  expect_one_sentence
  expect_error_has hung/sub
  expect_error_has "server of the file system hangs"
done

test_case "--timeout, and --root on a hung file system"
within 10 1 mooring plan -D images -r "$work/hung/sub" --timeout 1
expect_one_sentence
expect_error_has "not done after 1 second, waiting for \"$work/hung/sub\""
within 10 125 mooring restore -D images -r "$work/hung/sub" --timeout 1 -- /bin/true
expect_one_sentence

test_case "interrupted while it waits for a hung file system"
for signal in INT TERM HUP KILL; do
  env --default-signal=INT,HUP mooring restore -D images -r "$work/hung/sub" -d >out 2>err </dev/null &
  engine=$!
  sleep 0.5
  kill "-$signal" "$engine"
  wait_until is_gone "$engine"
  wait "$engine" 2>/dev/null || true
done
end_process "$pid"
umount -l outside/directory
end_hanging
wait_until eval '! pgrep -x mooring'
expect_no_engines

# A plugin and a script that hang.
mount -t tmpfs more outside
mkdir outside/directory
echo file >outside/file
export MOORING_TEST_BINDS="/dir=$work/outside/directory:/file=$work/outside/file"
plugin_folder misbehave
make_tree --scenario external-private --outside "$work/outside"
rm -rf images

test_case "--timeout names the plugin that is waited for"
for kind in init dump exit; do
  remember_host "$root"
  MOORING_MISBEHAVE=$kind-hang within 15 1 mooring dump -t "$pid" -D images -L "$folder" --timeout 1
  expect_one_sentence
  expect_error_has misbehave
  [ ! -e images ] || fail "images were written"
  [ -z "$(find . -maxdepth 1 -name '*images*')" ] || fail "left: $(echo ./*images*)"
  expect_same_host
done

test_case "--timeout names the script that is waited for"
printf '#!/bin/sh\nsleep 1000\n' >slow
chmod +x slow
remember_host "$root"
within 15 1 mooring dump -t "$pid" -D images -L "$folder" --timeout 1 --action-script "$work/slow"
expect_one_sentence
expect_error_has "slow (pre-dump)"
expect_same_host

test_case "a COMMAND is not limited"
mooring dump -t "$pid" -D images -L "$folder" >out 2>err || fail "no dump"
end_process "$pid"
cp "$(command -v busybox)" "$root/busybox"
within 20 0 mooring restore -D images -r "$root" -L "$folder" --timeout 5 -- /busybox sleep 6
within 20 7 mooring restore -D images -r "$root" -L "$folder" -- /busybox sh -c 'exit 7'
within 20 64 mooring plan -D images -r "$root" --timeout 0

test_case "signals reach COMMAND"
mooring restore -D images -r "$root" -L "$folder" -- /busybox sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done' \
  >out 2>err </dev/null &
engine=$!
sleep 1.5
kill -TERM "$engine"
status=0
wait "$engine" || status=$?
expect_equal "$status" 9

finish
