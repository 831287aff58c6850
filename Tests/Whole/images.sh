#!/bin/bash
# The images: other tools read ours, and we read CRIU's.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

command -v crit >/dev/null || cannot_run "crit is not installed (Debian: apt-get install criu)"

# Each image in images/ is read by the tool for its kind.
others_read() {
  local file count=0
  for file in images/*.img; do
    count=$((count + 1))
    case $file in
    *.tar.gz.img) expect_status 0 tar -tzf "$file" ;;
    *)
      expect_status 0 crit decode -i "$file" --pretty
      expect_output_has '"magic"'
      ;;
    esac
  done
  [ "$count" -ge 4 ] || fail "only $count images"
}

for name in complex-sharing contents deleted-root superblock-options process-files; do
  test_case "crit and tar read $name"
  make_tree --scenario "$name" --pidns
  dump_and_end
  others_read
done

test_case "crit and tar read a tree with a user namespace"
make_tree --seed 8 --userns --pidns --contents
mounts=$(wc -l <"/proc/$pid/mountinfo")
dump_and_end
others_read
crit decode -i images/mountpoints-*.img --pretty >out
expect_equal "$(grep -c '"mountpoint"' out)" "$mounts" "mounts in the image"

test_case "an archive holds what the file system holds"
make_tree --scenario contents
dump_and_end
for file in images/tmpfs-dev-*.tar.gz.img; do
  run tar -tzf "$file"
  expect_output_has "with space"
  expect_output_has "sparse"
done

test_case "a second dump takes the place of the first"
make_tree --seed 9
dump_and_end
before=$(cksum <images/inventory.img)
make_tree --seed 10
expect_status 0 mooring dump -t "$pid" -D images
end_process "$pid"
restore_detached
[ -z "$holder" ] || expect_status 0 mooring verify -D images -t "$holder"
end_holder
[ -n "$before" ] || fail "no inventory"

# What CRIU wrote, with its container's places for what came from outside.
mkdir -p outside/dir
echo outside >outside/file

# $1: set; the rest: options of plan and restore.
set_of_criu() {
  local set=$fixtures/images/$1 lines
  shift
  expect_status 0 mooring mounts -D "$set"
  lines=$(wc -l <"$set/mountinfo.txt")
  expect_equal "$(wc -l <out)" "$lines" "mounts"
  rm -rf --one-file-system criu-root
  # What its root held on disk: the sources of binds.
  mkdir -p criu-root/src criu-root/proc criu-root/tmp
  "$scripts/host-state" criu-root >before-plan
  expect_status 0 mooring plan -D "$set" -r "$work/criu-root" "$@"
  "$scripts/host-state" criu-root >after-plan
  cmp -s before-plan after-plan || fail "the plan changed something"
  rm before-plan after-plan
  rm -f holder-pid
  expect_status 0 mooring restore -D "$set" -r "$work/criu-root" -d --pidfile holder-pid "$@"
  [ -s holder-pid ] || return 0
  expect_status 0 mooring verify -D "$set" -t "$(cat holder-pid)"
  end_process "$(cat holder-pid)"
}

for name in bind10 chain12 random15 shared20 tmpfs-content; do
  test_case "CRIU's $name"
  set_of_criu "$name"
done

for name in devpts userns-tmpfs; do
  test_case "CRIU's $name"
  set_of_criu "$name"
done

test_case "CRIU's deleted-file: its kind is that of the mount point"
rm -rf --one-file-system criu-root
mkdir -p criu-root/data criu-root/proc
echo there >criu-root/data/onto
expect_status 0 mooring restore -D "$fixtures/images/deleted-file" -r "$work/criu-root" -d --pidfile holder-pid
if [ -s holder-pid ]; then
  expect_status 0 mooring verify -D "$fixtures/images/deleted-file" -t "$(cat holder-pid)"
  grep -q '/data/from//deleted /data/onto' "/proc/$(cat holder-pid)/mountinfo" || fail "no deleted root"
  end_process "$(cat holder-pid)"
fi
rm -f holder-pid

test_case "relative paths, and keys that are paths"
(cd outside && expect_status 0 mooring plan -D "$fixtures/images/external-key" -r "$work/criu-root" \
  --external 'mnt[thedir]:dir' --external 'mnt[thefile]:../outside/file')

test_case "CRIU's external-key"
set_of_criu external-key --external "mnt[thedir]:$work/outside/dir" --external "mnt[thefile]:$work/outside/file"

test_case "CRIU's net"
ip link add lower type veth peer name other
ip link set lower up addrgenmode none
set_of_criu net --external "mnt[thedir]:$work/outside/dir" --external "mnt[thefile]:$work/outside/file" \
  --external 'veth[eth0]:cveth0' --external 'macvlan[cmv0]:lower'
# The kernel takes namespaces down in its own time.
wait_until sh -c '! ip link show cveth0 2>/dev/null'
ip link delete lower

test_case "CRIU's external-auto"
# Found by CRIU at their place on the host it ran on; here the places are said anew.
set_of_criu external-auto --external "mnt[/dir]:$work/outside/dir" --external "mnt[/file]:$work/outside/file"

test_case "CRIU's external-plugin: the plugin is missing"
expect_status 0 mooring mounts -D "$fixtures/images/external-plugin"
expect_output_has plugin
expect_status 2 mooring plan -D "$fixtures/images/external-plugin" -r "$work/criu-root"

test_case "damaged images of links do not matter to mounts"
cp -r "$fixtures/images/net" damaged
printf 'no image' >damaged/netdev-10.img
expect_status 0 mooring mounts -D damaged
expect_status 0 mooring plan -D damaged -r "$work/criu-root" --only mounts \
  --external "mnt[thedir]:$work/outside/dir" --external "mnt[thefile]:$work/outside/file"

finish
