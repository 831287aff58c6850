#!/bin/bash
# The named trees of make-tree: each is saved, restored and found equal.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

for name in empty deleted-root overmounted-file shared-parent read-only-root complex-sharing \
  overmounted-parent-root hiding-siblings nested-binds non-uniform-shares unusual-names \
  chain-of-masters unbindable flags superblock-options peers-without-common-root shared-root contents \
  deleted-file-with-contents unlinked-contents unlinked-mount-points unlinked-cover \
  unlinked-in-former-directories long-path \
  symbolic-links \
  moved-root moved-root-over-mounts moved-roots-stacked moved-root-covered root-of-bubblewrap \
  chroot-to-mount chroot-to-mount-covered; do
  test_case "$name"
  make_tree --scenario "$name"
  round_trip
  test_case "$name in a user namespace"
  make_tree --scenario "$name" --userns --pidns
  round_trip
done

test_case "what lies beneath a moved root is nobody's"
make_tree --scenario moved-root-over-mounts
expect_status 0 mooring mounts -t "$pid"
expect_output_has /again
expect_output_lacks beneath
dump_and_end
expect_status 0 mooring mounts -D images
expect_output_lacks beneath

test_case "a process chrooted to a directory that is not the root of a mount"
mkdir -p directory
rm -rf inner-ready images
unshare --mount python3 -c 'import os, time
ready = os.open("inner-ready", os.O_CREAT | os.O_WRONLY)
os.chroot("directory")
os.write(ready, b"ready")
time.sleep(300)' &
inner=$!
wait_until [ -s inner-ready ]
# What is mounted there later shows as its root in mountinfo, and is not.
for later in true "nsenter -t $inner -m mount -t tmpfs over $work/directory"; do
  $later
  for operation in "mounts -t $inner" "dump -t $inner -D images"; do
    # shellcheck disable=SC2086 # words
    expect_status 2 mooring $operation
    expect_one_sentence
    expect_error_has "is chrooted to \"$work/directory\""
    expect_error_has 'mount --rbind DIR DIR'
  done
  [ ! -e images ] || fail "images were written"
done
end_process "$inner"

test_case "process files, with a pid namespace"
make_tree --scenario process-files --pidns
round_trip

test_case "process files, with a user namespace"
make_tree --scenario process-files --pidns --userns
round_trip

# A root in memory, as bubblewrap, flatpak and nix make it: $pid. Options of unshare may be given.
root_in_memory() {
  rm -rf memory memory-ready
  mkdir memory
  unshare --mount --propagation private "$@" sh -ec "
    mount -t tmpfs -o size=20m,mode=751 memory memory
    cd memory
    mkdir bin data old
    cp '$(command -v busybox)' bin/busybox
    echo hello >data/file
    chmod 640 data/file
    ln -s data/file link
    mount -t tmpfs inner data/../old
    exec 3>'$work/memory-ready'
    umount old
    pivot_root . old
    /bin/busybox umount -l /old
    echo \$\$ >&3
    exec 3>&-
    exec /bin/busybox sleep 100000" </dev/null >container-log 2>&1 &
  disown
  wait_until [ -s memory-ready ]
  pid=$(cat memory-ready)
}

for options in "" "--map-root-user"; do
  test_case "a root in memory ${options:-of the initial user namespace}"
  # shellcheck disable=SC2086 # words
  root_in_memory $options
  dump_and_end
  rm -f holder-pid
  expect_status 0 mooring restore -D images -d --pidfile holder-pid
  holder=$(cat holder-pid)
  expect_equal "$(cat "/proc/$holder/root/data/file" 2>&1)" hello "a file in the root"
  expect_equal "$(stat -c '%a %F' "/proc/$holder/root/data/file")" "640 regular file" "its mode"
  expect_equal "$(stat -c %a "/proc/$holder/root/")" 751 "the mode of the root"
  expect_equal "$(awk '$5 == "/" { print $4, $(NF - 2) }' "/proc/$holder/mountinfo")" "/ tmpfs" "the root"
  expect_status 0 mooring verify -D images -t "$holder"
  echo other >"/proc/$holder/root/data/file"
  expect_status 3 mooring verify -D images -t "$holder"
  expect_output_has /data/file
  end_holder
  mkdir -p elsewhere
  root=$work/elsewhere
  restore_detached
  [ -z "$holder" ] || expect_equal "$(stat -c %i "/proc/$holder/root/")" "$(stat -c %i elsewhere)" "-r"
  end_holder
done

# The kernel maps owners in a tmpfs from 6.3 on, and says how from 6.15 on.
mapped_owners() {
  needs mapped-tmpfs || return 0
  make_tree --scenario mapped-owners
  if ! has mapping-reading; then
    rm -rf images
    expect_status 2 mooring dump -t "$pid" -D images
    for place in 1 2 3; do expect_error_has "leave it out: --skip-mnt /$place"; done
    [ ! -e images ] || fail "refused, but images were written"
    expect_status 0 mooring dump -t "$pid" -D images --skip-mnt /1 --skip-mnt /2 --skip-mnt /3
    end_process "$pid"
    restore_detached
    [ -z "$holder" ] || expect_status 0 mooring verify -D images -t "$holder"
    end_holder
    return 0
  fi
  for place in 1 2 3; do
    expect_equal "$(stat -c '%u %g' "/proc/$pid/root/$place/file")" "5005 5006" "as the kernel maps them"
  done
  dump_and_end
  restore_detached
  [ -n "$holder" ] || return 0
  expect_status 0 mooring verify -D images -t "$holder"
  for place in 1 2 3; do
    expect_equal "$(stat -c '%u %g' "/proc/$holder/root/$place/file")" "5005 5006" "the owners of $place"
  done
  expect_equal "$(stat -c '%u %g' "/proc/$holder/root/common/file")" "5 6"
  end_holder
}
test_case "mapped-owners"
mapped_owners

test_case "several restores at once make what was unlinked in one root"
make_tree --scenario deleted-root
dump_and_end
remember_host "$root"
for round in 1 2 3; do
  engines=()
  for number in 1 2 3; do
    mooring restore -D images -r "$root" -- /nothing >"out-$number" 2>&1 </dev/null &
    engines+=($!)
  done
  for number in 1 2 3; do
    status=0
    wait "${engines[number - 1]}" || status=$?
    expect_equal "$status" 127 "restore $number of round $round: $(cat "out-$number")"
  done
done
expect_same_host

# The files live on in mounts alone.
test_case "what has been unlinked comes back with all it had"
make_tree --scenario unlinked-contents
dump_and_end
restore_detached
if [ -n "$holder" ]; then
  inside=/proc/$holder/root
  expect_equal "$(cat "$inside/1" "$inside/2" "$inside/3" "$inside/6" "$inside/7" "$inside/8")" \
    "$(printf '%s\n' 'only here' 'only here' 'two names' first second 'on the root')"
  expect_equal "$(stat -c '%a %u %g %h' "$inside/1")" "640 7 8 0"
  expect_equal "$(stat -c '%i' "$inside/1")" "$(stat -c '%i' "$inside/2")" "one file"
  expect_equal "$(stat -c '%i' "$inside/3")" "$(stat -c '%i' "$inside/t/other")" "its other name"
  expect_equal "$(stat -c '%a %F' "$inside/4")" "1711 directory"
  expect_equal "$(stat -c '%a %F' "$inside/5")" "600 fifo"
  expect_equal "$(ls -A "$inside/t")" other "names in the tmpfs"
  [ ! -e "$root/on-root" ] || fail "the unlinked name came back"
  ! ls -A "$root" | grep mooring >/dev/null || fail "something was left in the root"
  expect_status 0 mooring verify -D images -t "$holder"
  echo changed >"$inside/1"
  expect_status 3 mooring verify -D images -t "$holder"
  expect_output_has "/1: /: size"
  end_holder
fi

# Restored equal, or refused before anything is written.
for name in no-root-mount; do
  test_case "$name"
  make_tree --scenario "$name"
  rm -rf images
  run mooring dump -t "$pid" -D images
  case $status in
  0) round_trip ;;
  2)
    [ ! -e images ] || fail "refused, but images were written"
    end_process "$pid"
    ;;
  *)
    fail "exit status $status: neither saved nor refused"
    show_output
    end_process "$pid"
    ;;
  esac
done

for count in 10 1000; do
  test_case "$count binds and $count tmpfs"
  make_tree --binds "$count" --tmpfs "$count"
  round_trip
done

test_case "10000 binds"
make_tree --binds 10000
time_limit=120 round_trip

# An outside with a directory and a file to share.
mkdir outside
mount -t tmpfs outside outside
mount --make-shared outside
mkdir outside/directory outside/directory/sub
echo "outside" >outside/directory/file
echo "outside" >outside/file

at_dump=(--external 'mnt[/dir]:thedir')
at_restore=(--external "mnt[thedir]:$work/outside/directory")

test_case "external directory and file, private"
make_tree --scenario external-private --outside "$work/outside"
dump_and_end "${at_dump[@]}" --external 'mnt[/file]:thefile'
restore_detached "${at_restore[@]}" --external "mnt[thefile]:$work/outside/file"
if [ -n "$holder" ]; then
  expect_status 0 mooring verify -D images -t "$holder"
  expect_equal "$(cat "/proc/$holder/root/dir/file")" outside "the file in the directory"
  expect_equal "$(cat "/proc/$holder/root/file")" outside "the file"
  end_holder
fi

# $1: scenario; the restored mount must be tied to the outside as it was.
external_propagation() {
  test_case "$1"
  make_tree --scenario "$1" --outside "$work/outside"
  rm -rf images
  expect_status 0 mooring dump -t "$pid" -D images --external 'mnt[]:ms'
  end_process "$pid"
  restore_detached --external 'mnt[]:ms'
  [ -n "$holder" ] || return 0
  expect_status 0 mooring verify -D images -t "$holder"
  mkdir -p outside/directory/later
  mount -t tmpfs later outside/directory/later
  grep -q ' /dir/later ' "/proc/$holder/mountinfo" ||
    fail "what is mounted outside does not show in the container"
  umount outside/directory/later
  end_holder
}

external_propagation external-master
external_propagation external-sharing
external_propagation external-master-and-sharing

test_case "external mounts that nothing explains"
make_tree --scenario external-private --outside "$work/outside"
rm -rf images
remember_host
expect_status 2 mooring dump -t "$pid" -D images
expect_error_has "mnt[/dir]"
expect_error_has "mnt[/file]"
expect_same_host
[ ! -e images ] || fail "images were written"
end_process "$pid"

test_case "a user namespace with a time namespace: clocks and mapping come back"
make_tree --seed 3 --userns --pidns --clocks
wanted=$(cat "/proc/$pid/timens_offsets")
dump_and_end
restore_detached
if [ -n "$holder" ]; then
  expect_equal "$(cat "/proc/$holder/timens_offsets")" "$wanted" "offsets of the clocks"
  expect_status 0 mooring verify -D images -t "$holder"
fi
end_holder

finish
