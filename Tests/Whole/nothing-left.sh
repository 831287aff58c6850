#!/bin/bash
# Whatever goes wrong, in whichever moment: mounts, processes, namespaces and files are as before.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

mkdir outside
mount -t tmpfs outside outside
mkdir outside/directory
echo outside >outside/directory/file
echo outside >outside/file
export MOORING_TEST_BINDS="/dir=$work/outside/directory:/file=$work/outside/file"

# What fixtures/plugins/misbehave.c does when MOORING_MISBEHAVE says so.
at_dump='load-hang init-fail init-crash init-hang init-exit dump-error dump-crash dump-hang dump-exit dump-daemon exit-crash
  exit-hang'
at_restore='init-fail init-crash init-hang init-exit restore-error restore-crash restore-hang restore-exit
  restore-init-error nothing-mounted mount-point-only wrong-kind lie-is-file mount-tree
  exit-crash exit-hang restore-child'

plugin_folder misbehave
make_tree --scenario external-private --outside "$work/outside"
for kind in $at_dump; do
  test_case "a plugin at dump: $kind"
  rm -rf images
  remember_host "$root"
  MOORING_MISBEHAVE=$kind expect_status 1 mooring dump -t "$pid" -D images -L "$folder" --plugin-timeout 1
  expect_one_sentence
  expect_error_has misbehave
  [ ! -e images ] || fail "images were written"
  expect_same_host
  if [ -n "$(find . -maxdepth 1 -name '*images*')" ]; then fail "left: $(echo ./*images*)"; fi
done

test_case "a plugin that mounts at dump, and while somebody looks"
rm -rf images
remember_host "$root"
MOORING_MISBEHAVE=dump-mount expect_status 0 mooring mounts -t "$pid" -L "$folder"
expect_same_host
MOORING_MISBEHAVE=dump-mount expect_status 0 mooring dump -t "$pid" -D images -L "$folder"
rm -rf images
expect_same_host

test_case "a plugin that prints much"
rm -rf images
MOORING_MISBEHAVE=print-much expect_status 0 mooring dump -t "$pid" -D images -L "$folder"

test_case "a plugin that behaves"
dump_and_end -L "$folder"
restore_detached -L "$folder"
[ -z "$holder" ] || expect_status 0 mooring verify -D images -t "$holder"
end_holder

for kind in $at_restore; do
  test_case "a plugin at restore: $kind"
  remember_host "$root"
  MOORING_MISBEHAVE=$kind expect_status 1 mooring restore -D images -r "$root" -L "$folder" -d \
    --pidfile holder-pid --plugin-timeout 1
  expect_one_sentence
  expect_error_has misbehave
  expect_same_host
  rm -f holder-pid
  MOORING_MISBEHAVE=$kind expect_status 125 mooring restore -D images -r "$root" -L "$folder" \
    --plugin-timeout 1 -- /bin/true
  expect_same_host
done

# From here on without plugins: a tree that takes a while.
make_tree --binds 500 --tmpfs 200 --contents
test_case "dump"
expect_status 0 mooring dump -t "$pid" -D images

remember_host "$root"
# A shell's background processes ignore SIGINT unless told otherwise.
for signal in TERM INT KILL; do
  test_case "SIG$signal in every moment of a dump"
  for milliseconds in 2 6 12 20 30 45 60 80 110; do
    mkdir dumps
    env --default-signal=INT mooring dump -t "$pid" -D dumps/images >out 2>err </dev/null &
    engine=$!
    sleep "0.$(printf %03d "$milliseconds")"
    kill "-$signal" "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
    expect_same_host
    # SIGKILL leaves no time to take the staged folder away; what has the name is whole all the same.
    if [ -e dumps/images ]; then
      expect_status 0 mooring mounts -D dumps/images
    elif [ "$signal" != KILL ] && [ -n "$(ls -A dumps)" ]; then
      fail "left after $milliseconds ms: $(ls -A dumps)"
    fi
    rm -rf dumps
  done
done
end_process "$pid"

remember_host "$root"
for signal in TERM INT KILL; do
  test_case "SIG$signal in every moment of a restore"
  for milliseconds in 2 6 12 20 30 45 60 80 110 150; do
    rm -f holder-pid
    env --default-signal=INT mooring restore -D images -r "$root" -d --pidfile holder-pid >out 2>err </dev/null &
    engine=$!
    sleep "0.$(printf %03d "$milliseconds")"
    kill "-$signal" "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
    # Done before the signal came: then all is there.
    if [ -s holder-pid ]; then
      mooring verify -D images -t "$(cat holder-pid)" >out 2>err || fail "half a restore after $milliseconds ms"
      end_process "$(cat holder-pid)"
    fi
    expect_same_host
  done
done

test_case "a full disk at dump"
make_tree --scenario contents
mkdir small
for size in 4k 16k 40k; do
  mount -t tmpfs -o "size=$size" small small
  remember_host "$root"
  run mooring dump -t "$pid" -D small/images
  case $status in
  1)
    expect_one_sentence
    expect_error_has ENOSPC
    expect_equal "$(ls -A small)" "" "files left on the full disk"
    ;;
  0) ;;
  *) fail "status $status"; show_output ;;
  esac
  expect_same_host
  umount small
done
end_process "$pid"

test_case "a limit on the size of files"
make_tree --scenario contents
remember_host "$root"
run prlimit --fsize=0:0 mooring dump -t "$pid" -D small/images
expect_equal "$status" 1
expect_equal "$(ls -A small)" "" "what was left"
expect_same_host
end_process "$pid"

test_case "few descriptors"
make_tree --binds 300 --tmpfs 300
for limit in 8 12 20 50 100; do
  remember_host "$root"
  rm -rf few
  run prlimit "--nofile=$limit:$limit" mooring dump -t "$pid" -D few
  case $status in
  0) ;;
  1 | 2)
    [ ! -e few ] || fail "half the images with $limit descriptors"
    ! grep -q EMFILE err || expect_error_has "ulimit -n"
    ;;
  *) fail "dump with $limit descriptors: status $status"; show_output ;;
  esac
  expect_same_host
done
dump_and_end
for limit in 8 12 20 50 100; do
  remember_host "$root"
  rm -f holder-pid
  run prlimit "--nofile=$limit:$limit" mooring restore -D images -r "$root" -d --pidfile holder-pid
  case $status in
  0) end_process "$(cat holder-pid)" ;;
  1 | 2) [ -s err ] || fail "nothing was said with $limit descriptors" ;;
  *) fail "restore with $limit descriptors: status $status"; show_output ;;
  esac
  expect_same_host
done

test_case "few processes"
remember_host "$root"
for limit in 1 2 3; do
  rm -f holder-pid
  # Root is not limited; an unprivileged user is, in a user namespace of its own.
  run setpriv --reuid 65534 --regid 65534 --clear-groups prlimit "--nproc=$limit" \
    mooring restore -D images -r "$root" -d --pidfile holder-pid
  [ "$status" -ne 0 ] || fail "restored without rights"
  expect_same_host
done

test_case "a mount point that is missing is made, and taken away where the restore fails"
make_tree --scenario overmounted-parent-root
dump_and_end
rm -rf --one-file-system "$root"
mkdir "$root"
remember_host "$root"
expect_status 125 mooring restore -D images -r "$root" --external 'mnt[none]:/tmp' -- /bin/true
expect_same_host
# The command fails, not the restore: what was made stays no longer than the container.
expect_status 127 mooring restore -D images -r "$root" -- /bin/nothing

finish
