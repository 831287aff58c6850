#!/bin/bash
# What a restore writes, and what bounds it: images of other people's making reach nothing of the host.
# The rows are those of SECURITY.md.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

edit=$repository/Tests/Whole/edit-image

# ip netns keeps its names there; they are to be ours.
mount -t tmpfs run /run

# What the machine has one of: an archive that is unpacked into it would be seen here.
kernel_views=()
for type in devtmpfs debugfs securityfs binfmt_misc tracefs mqueue; do
  mkdir -p "views/$type"
  if mount -t "$type" "$type" "views/$type" 2>/dev/null; then kernel_views+=("$work/views/$type"); fi
done

views_are_clean() {
  local view
  for view in "${kernel_views[@]}"; do
    [ ! -e "$view/mooring-evil" ] || fail "something was unpacked into $view"
    [ -z "$(find "$view" -maxdepth 1 -name '.mooring*')" ] || fail "something was made in $view"
  done
}

# Refused before anything is changed; $1 is what is said.
refused_for() {
  local words=$1
  shift
  expect_status 2 "$@"
  expect_error_has "$words"
  expect_same_host
  views_are_clean
}

# The place, from 0 on, of the first entry of the mounts whose field has this value.
entry_with() { "$edit" "$mounts" field "$1" | grep -nxF -- "$2" | head -n 1 | awk -F: '{ print $1 - 1 }'; }

evil_archive() {
  python3 - "$1" <<'PYTHON'
import io, sys, tarfile
with tarfile.open(sys.argv[1], "w:gz", format=tarfile.PAX_FORMAT) as tar:
    info = tarfile.TarInfo("./mooring-evil")
    info.mode, info.size = 0o4755, 5
    tar.addfile(info, io.BytesIO(b"evil\n"))
PYTHON
}

make_tree --scenario overmounted-parent-root --contents
dump_and_end
mounts=images/$(cd images && echo mountpoints-*.img)
place=$(entry_with fstype 5)
device=$("$edit" "$mounts" field root_dev | sed -n "$((place + 1))p")
evil_archive "images/tmpfs-dev-$device.tar.gz.img"
cp -a images kept-images
remember_host "$root"

test_case "an archive for a file system that is not made anew"
for number in 1 2 3 4 6 9 10 12 14 19 23 hugetlbfs bpf configfs efivarfs selinuxfs fusectl ext4; do
  rm -rf images
  cp -a kept-images images
  case $number in
  [0-9]*) "$edit" "$mounts" set "$place" fstype "$number" ;;
  *)
    "$edit" "$mounts" set "$place" fstype 16
    "$edit" "$mounts" set "$place" 14 "$number"
    ;;
  esac
  refused_for "the images hold content" mooring restore -D images -r "$root" -d --enable-fs all
done

test_case "two device numbers that are one, and one that is two"
rm -rf images
cp -a kept-images images
other=$("$edit" "$mounts" field fstype | grep -nxF 5 | sed -n 2p | cut -d: -f1)
if [ -n "$other" ]; then
  "$edit" "$mounts" set "$((other - 1))" root_dev "$device"
  "$edit" "$mounts" set "$((other - 1))" fstype 3
  refused_for "images are wrong" mooring restore -D images -r "$root" -d
  "$edit" "$mounts" set "$((other - 1))" fstype 5
  "$edit" "$mounts" set "$place" fstype 3
  refused_for "images are wrong" mooring restore -D images -r "$root" -d
fi

test_case "what had been unlinked, in a file system of the machine's"
make_tree --scenario deleted-file-with-contents
dump_and_end
mounts=images/$(cd images && echo mountpoints-*.img)
for number in 3 10 14 23; do
  cp -a images bad
  place=0
  for type in $("$edit" "$mounts" field fstype); do
    [ "$type" != 5 ] || "$edit" "bad/$(basename "$mounts")" set "$place" fstype "$number"
    place=$((place + 1))
  done
  remember_host "$root"
  run mooring restore -D bad -r "$root" -d --pidfile holder-pid
  # A file on the root's disk alone: then nothing of it is in a tmpfs.
  if [ "$status" = 0 ]; then
    end_process "$(cat holder-pid)"
  else
    expect_equal "$status" 2 "the status"
  fi
  expect_same_host
  views_are_clean
  rm -rf bad holder-pid
done

test_case "options that name something outside"
make_tree --scenario overmounted-parent-root
dump_and_end
mounts=images/$(cd images && echo mountpoints-*.img)
place=$(entry_with fstype 5)
remember_host "$root"
rm -f images/tmpfs-dev-*
cp -a images bad
"$edit" "bad/$(basename "$mounts")" set "$place" fstype 1
"$edit" "bad/$(basename "$mounts")" set "$place" options pidns=/proc/1/ns/pid
refused_for pidns mooring restore -D bad -r "$root" -d
"$edit" "bad/$(basename "$mounts")" set "$place" fstype 12
"$edit" "bad/$(basename "$mounts")" set "$place" options name=mooring-evil,release_agent=/bin/sh
refused_for release_agent mooring restore -D bad -r "$root" -d
rm -rf bad

test_case "a user namespace without an ID 0"
for map in "1 100000 10" "5 100005 1"; do
  unshare --user --mount --propagation private sleep 1000 &
  pid=$!
  wait_until grep -qx sleep "/proc/$pid/comm"
  wait_until test "$(readlink "/proc/$pid/ns/user")" != "$(readlink /proc/self/ns/user)"
  echo "$map" >"/proc/$pid/uid_map"
  echo "$map" >"/proc/$pid/gid_map"
  rm -rf images
  remember_host
  refused_for "no user ID 0" mooring dump -t "$pid" -D images --external 'mnt[]'
  expect_error_has "no group ID 0"
  [ ! -e images ] || fail "images were written"
  end_process "$pid"
done

test_case "images of a user namespace without an ID 0"
make_tree --seed 3 --userns
dump_and_end
map=$(echo images/userns-*.img)
for field in 1 2; do
  cp -a images bad
  "$edit" "bad/$(basename "$map")" set 0 "$field" '\x08\x01\x10\xa0\x8d\x06\x18\x0a'
  remember_host "$root"
  refused_for "ID 0" mooring restore -D bad -r "$root" -d
  rm -rf bad
done

test_case "clock offsets at the ends of 64 bits"
make_tree --seed 3 --clocks
dump_and_end
cp images/inventory.img inventory
remember_host "$root"
for field in 1002 1003; do
  # In zigzag: the least, the greatest, and what is one above the least. No kernel takes these.
  for number in 18446744073709551615 18446744073709551614 18446744073709551613; do
    cp inventory images/inventory.img
    "$edit" images/inventory.img set 0 "$field" "$number"
    expect_status 1 mooring restore -D images -r "$root" -d
    expect_error_has "the offset of the"
    expect_same_host
  done
done

# --- The flags of places outside

mkdir -p place/directory
echo place >place/directory/file
mount --bind place place
: >place/file
make_tree --scenario external-private --outside "$work/place"
dump_and_end --external 'mnt[/dir]:one' --external 'mnt[/file]:two'
places=(--external "mnt[one]:$work/place/directory" --external "mnt[two]:$work/place/file")

# What mountinfo says of a mount of the holder.
attributes_of() { awk -v point="$1" '$5 == point { print $6 }' "/proc/$holder/mountinfo" | tail -n 1; }

test_case "a place that is read-only, nosuid, nodev, noexec: so is what is taken from it"
for flag in ro nosuid nodev noexec ro,nosuid,nodev,noexec; do
  mount -o "remount,bind,$flag" place
  restore_detached "${places[@]}"
  if [ -n "$holder" ]; then
    expect_error_has "as $work/place/directory of the host is"
    for word in ${flag//,/ }; do
      for point in /dir /file; do
        case ",$(attributes_of "$point")," in
        *",$word,"*) ;;
        *) fail "$point is $(attributes_of "$point"), not $word" ;;
        esac
      done
    done
    expect_status 0 mooring verify -D images -t "$holder"
    end_holder
  fi
  restore_detached "${places[@]}" --allow-looser-flags
  if [ -n "$holder" ]; then
    [ ! -s err ] || { fail "something is said"; show_output; }
    expect_equal "$(attributes_of /dir)" "rw,relatime" "with --allow-looser-flags"
    expect_status 0 mooring verify -D images -t "$holder"
    end_holder
  fi
  mount -o remount,bind,rw,suid,dev,exec place
done

test_case "flags that no place explains are a difference"
restore_detached "${places[@]}"
if [ -n "$holder" ]; then
  python3 - "$holder" <<'PYTHON'
import ctypes, os, sys
libc = ctypes.CDLL(None)
assert libc.setns(os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY), 0) == 0
MS_NOEXEC, MS_REMOUNT, MS_BIND = 8, 32, 4096
assert libc.mount(None, b"/dir", None, MS_NOEXEC | MS_REMOUNT | MS_BIND, None) == 0
PYTHON
  expect_status 3 mooring verify -D images -t "$holder"
  end_holder
fi

test_case "--root on what is nosuid and nodev"
mount --bind "$root" "$root"
mount -o remount,bind,nosuid,nodev "$root"
restore_detached "${places[@]}"
if [ -n "$holder" ]; then
  expect_error_has "nosuid,nodev"
  expect_equal "$(attributes_of /)" "rw,nosuid,nodev,relatime" "the root"
  expect_status 0 mooring verify -D images -t "$holder"
  end_holder
fi
umount "$root"

# --- Networks

if command -v ip >/dev/null; then
  test_case "links are not restored into the network of the host"
  unshare --net --mount --propagation private sh -c 'ip link add veth-evil type veth peer name evil; sleep 1000' &
  pid=$!
  wait_until nsenter -t "$pid" -n ip -br link show evil >/dev/null 2>&1
  rm -rf images
  expect_status 0 mooring dump -t "$pid" -D images --external 'mnt[]'
  end_process "$pid"
  "$edit" images/inventory.img remove 0 1001 net
  remember_host
  expect_status 2 mooring restore -D images -r / -d --external 'mnt[]'
  expect_error_has "no network namespace of its own"
  expect_same_host
fi

if command -v nft >/dev/null && unshare --net nft add table inet x 2>/dev/null; then
  test_case "rules that read files, run programs or name other devices"
  ip netns add one
  ip netns add two
  ip -n one link add veth0 type veth peer name veth1
  ip netns exec one nft -f - <<'N'
table inet x {
  set s {
    type ipv4_addr; flags interval; elements = { 10.0.0.0/8 }
  }
  chain c {
    type filter hook input priority 0
    ip saddr @s counter log prefix "x # include " drop comment "; include '/etc/hostname'"
  }
}
table netdev y {
  chain c {
    type filter hook ingress device veth0 priority 0
  }
}
N
  rm -rf images
  expect_status 0 mooring dump --netns one -D images
  rules=images/$(cd images && echo nftables-*.img)
  cp "$rules" rules
  remember_host
  for text in 'include "/etc/hostname"' 'table ip z { include "/etc/hostname" }' 'define x = 1' \
    'table netdev z { chain c { type filter hook ingress device lo2 priority 0; } }' 'monitor'; do
    { cat rules; echo "$text"; } >"$rules"
    refused_for "nftables" mooring restore -D images --only links --netns two
    expect_equal "$(ip netns exec two nft list ruleset)" "" "rules"
  done
  cp rules "$rules"
  cp "$rules" "${rules/nftables/iptables}"
  for text in '*filter
:INPUT ACCEPT [0:0]
-A INPUT -M /bin/sh -m nothing
COMMIT' '*filter
-A INPUT -m bpf --object-pinned /sys/fs/bpf/x -j DROP
COMMIT'; do
    echo "$text" >"${rules/nftables/iptables}"
    refused_for "iptables" mooring restore -D images --only links --netns two
  done
  rm "${rules/nftables/iptables}"
  expect_status 0 mooring restore -D images --only links --netns two
  expect_equal "$(ip netns exec two nft -s list ruleset)" "$(ip netns exec one nft -s list ruleset)" "the rules"
  ip netns del one
  ip netns del two

  test_case "a plan refuses the rules that a restore refuses"
  unshare --net --mount --propagation private sh -c 'nft add table inet x; exec sleep 1000' &
  pid=$!
  wait_until grep -qx sleep "/proc/$pid/comm"
  rm -rf images
  expect_status 0 mooring dump -t "$pid" -D images --external 'mnt[]'
  end_process "$pid"
  expect_status 0 mooring plan -D images -r / --external 'mnt[]'
  echo 'include "/etc/hostname"' >>"$(echo images/nftables-*.img)"
  remember_host
  refused_for "reads files" mooring plan -D images -r / --external 'mnt[]'
  refused_for "reads files" mooring restore -D images -r / -d --external 'mnt[]'
fi

# --- What is not a file any more when it is opened

cat >swap.py <<'PYTHON'
# Puts fifos in the places of files and back for as long as it is let; says whether anybody opened one.
import ctypes, os, struct, sys
directory, stop = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(directory)
os.mkdir("aside")
names = [f"file{number}" for number in range(40)]
watch = libc.inotify_init1(os.O_NONBLOCK)
for name in names:
    with open(name, "w") as file:
        file.write("x" * 4096)
    os.mkfifo("aside/" + name)
    assert libc.inotify_add_watch(watch, ("aside/" + name).encode(), 0x20) >= 0  # IN_OPEN
print("ready", flush=True)
while not os.path.exists(stop):
    for name in names:
        libc.renameat2(-100, name.encode(), -100, ("aside/" + name).encode(), 2)  # RENAME_EXCHANGE
opened = False
try:
    while data := os.read(watch, 65536):
        at = 0
        while at < len(data):
            _, mask, _, length = struct.unpack_from("iIII", data, at)
            opened |= bool(mask & 0x20)
            at += 16 + length
except BlockingIOError:
    pass
sys.exit(1 if opened else 0)
PYTHON

test_case "a fifo that comes into the place of a file is not opened"
make_tree --scenario empty
mkdir "$root/t"
python3 - "$pid" <<'PYTHON'
import ctypes, os, sys
libc = ctypes.CDLL(None)
assert libc.setns(os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY), 0) == 0
assert libc.mount(b"t", b"/t", b"tmpfs", 0, None) == 0
PYTHON
python3 swap.py "/proc/$pid/root/t" "$work/stop" >swap-out &
swap=$!
wait_until grep -q ready swap-out
for attempt in $(seq 1 40); do
  rm -rf images
  run mooring dump -t "$pid" -D images
  case $status in
  0) ;;
  1) expect_one_sentence ;;
  *) fail "status $status in attempt $attempt"; show_output ;;
  esac
done
touch stop
wait "$swap" || fail "a fifo was opened"
end_process "$pid"

finish
