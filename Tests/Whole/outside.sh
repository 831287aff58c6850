#!/bin/bash
# What a container shares with its host: file systems that both show, and groups in which the host mounts.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

# A root with busybox, and a process in a mount namespace whose root it becomes: $pid. $1 is the propagation
# that the namespace begins with, $2 what the shell does before pivot_root, $root being the root.
start_container() {
  rm -f "$root/ready"
  root=$root unshare --mount --propagation "$1" sh -ec "
    mount --rbind \$root \$root
    $2
    cd \$root; mkdir -p old; pivot_root . old; /bin/busybox umount -l /old
    echo \$\$ >/ready; exec /bin/busybox sleep 100000" </dev/null >container-log 2>&1 &
  disown
  wait_until [ -s "$root/ready" ]
  [ -s "$root/ready" ] || fail "the container did not start: $(cat container-log)"
  pid=$(cat "$root/ready")
}

make_root() {
  root=$work/root
  rm -rf --one-file-system "$root"
  mkdir -p "$root"/{bin,shm,data/sub,elsewhere}
  cp "$(command -v busybox)" "$root/bin/busybox"
}

other_network() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }

# What the kernel says of the mount at a path of a process: its file system, then its propagation.
mounted_at() {
  awk -v path="$2" '$5 == path { line = $0 } END { print line }' "/proc/$1/mountinfo" |
    sed -E 's/^([^ ]+ ){6}(.* )?- ([^ ]+) .*$/\3 \2/'
}

test_case "a tmpfs that the host shows too is saved, also with mnt[]"
make_root
mkdir host-shm
mount -t tmpfs host-shm host-shm
echo kept >host-shm/file
start_container private "mount --bind $work/host-shm \$root/shm"
dump_and_end --external 'mnt[]'
umount host-shm
restore_detached --external 'mnt[]'
[ -z "$holder" ] || {
  expect_equal "$(mounted_at "$holder" /shm)" "tmpfs " "what is mounted at /shm"
  expect_equal "$(cat "/proc/$holder/root/shm/file" 2>&1)" kept "the file in it"
  expect_status 0 mooring verify -D images -t "$holder"
  end_holder
}

test_case "a part of a tmpfs of the host is taken from there, or refused where it is another file system"
make_root
mount -t tmpfs host-shm host-shm
mkdir host-shm/part
echo kept >host-shm/part/file
start_container private "mount --bind $work/host-shm/part \$root/shm"
dump_and_end --external 'mnt[]'
restore_detached --external 'mnt[]'
[ -z "$holder" ] || {
  expect_equal "$(cat "/proc/$holder/root/shm/file" 2>&1)" kept "the file in it"
  end_holder
}
umount host-shm
mkdir host-shm/part
remember_host "$work/root"
expect_status 2 mooring restore -D images -r "$root" --external 'mnt[]' -d
expect_error_has "it comes from $work/host-shm/part of the host, a tmpfs"
expect_error_has "--external 'mnt[/shm]:$work/host-shm/part'"
expect_same_host
restore_detached --external 'mnt[]' --external "mnt[/shm]:$work/host-shm/part"
end_holder
rmdir host-shm/part

# A container's mount of a shared directory in its root is the slave of the host's mount of it.
shared_directory() {
  mount --bind "$root/data/sub" "$root/data/sub"
  mount --make-shared "$root/data/sub"
}

test_case "a slave of a mount in the root that the host shares"
make_root
shared_directory
start_container slave :
master=$(mounted_at "$pid" /data/sub)
[ "${master#* master:}" != "$master" ] || fail "no slave: $master"
dump_and_end
restore_detached
[ -z "$holder" ] || {
  expect_equal "$(mounted_at "$holder" /data/sub)" "$master" "its master"
  mkdir "$root/data/sub/new"
  mount -t tmpfs later "$root/data/sub/new"
  expect_equal "$(mounted_at "$holder" /data/sub/new | cut -d' ' -f1)" tmpfs "what the host mounts later"
  umount "$root/data/sub/new"
  expect_status 0 mooring verify -D images -t "$holder"
  end_holder
}
umount "$root/data/sub"
remember_host "$work/root"
expect_status 2 mooring restore -D images -r "$root" -d
expect_error_has "mount --bind $root/data/sub $root/data/sub && mount --make-shared $root/data/sub"
expect_same_host

test_case "a peer of a mount in the root that the host shares"
make_root
shared_directory
start_container unchanged :
group=$(mounted_at "$pid" /data/sub)
[ "${group#* shared:}" != "$group" ] || fail "not shared: $group"
dump_and_end
restore_detached
[ -z "$holder" ] || {
  expect_equal "$(mounted_at "$holder" /data/sub)" "$group" "its peer group"
  end_holder
}
umount "$root/data/sub"

test_case "a master that the host has elsewhere"
make_root
mkdir -p elsewhere
mount --bind "$root/data/sub" elsewhere
mount --make-shared elsewhere
start_container slave "mount --bind $work/elsewhere \$root/elsewhere"
master=$(mounted_at "$pid" /elsewhere)
rm -rf images
expect_status 2 mooring dump -t "$pid" -D images
expect_error_has "--external 'mnt[]:m'"
[ ! -e images ] || fail "refused, but images were written"
dump_and_end --external 'mnt[]:m'
restore_detached --external 'mnt[]:m'
[ -z "$holder" ] || {
  expect_equal "$(mounted_at "$holder" /elsewhere)" "$master" "its master"
  expect_status 0 mooring verify -D images -t "$holder"
  end_holder
}
umount elsewhere

test_case "a process in mooring's own mount namespace is refused, unless its mounts are wanted"
sleep 1000 &
pid=$!
rm -rf images
expect_status 2 mooring dump -t "$pid" -D images
expect_error_has "process $pid has no mount namespace of its own"
expect_error_has --allow-own-mounts
[ ! -e images ] || fail "refused, but images were written"
expect_status 0 mooring mounts -t "$pid"
end_process "$pid"
unshare --net sleep 1000 &
pid=$!
wait_until other_network "$pid"
expect_status 2 mooring dump -t "$pid" -D images
expect_error_has "--only links"
expect_status 0 mooring dump -t "$pid" -D images --only links
expect_status 0 mooring dump -t "$pid" -D images-all --allow-own-mounts --external 'mnt[]:ms' --enable-fs all
end_process "$pid"

finish
