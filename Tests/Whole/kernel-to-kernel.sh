#!/bin/bash
# What depends on the kernel: settings that are the kernel's choice, and those that somebody changed.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

mount -t tmpfs run /run
mkdir /run/netns

fresh_network() {
  ip netns del "$1" 2>/dev/null || true
  ip netns add "$1"
}

inside() { ip netns exec "$@"; }

test_case "only what was changed is written, and an alteration of the rest is named"
fresh_network one
fresh_network two
ip -n one link add v0 type veth peer name v1
ip -n one link set v0 up
inside one sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.default.forwarding=0 \
  net.ipv4.tcp_fin_timeout=33 net.ipv4.neigh.v1.gc_stale_time=77 net.ipv6.conf.v0.hop_limit=33 \
  net.ipv4.conf.lo.rp_filter=2 net.ipv4.conf.default.rp_filter=2
expect_status 0 mooring dump --netns one -D images
expect_status 0 mooring plan -D images --only links --netns two
count=$(sed -n 's/.*write \([0-9]*\) settings of the network/\1/p' out)
[ "${count:-0}" -gt 2 ] && [ "$count" -lt 20 ] || fail "$count settings are written"
expect_status 0 mooring restore -D images --only links --netns two
expect_status 0 mooring verify -D images --netns two
for setting in ipv4/ip_forward ipv4/conf/default/forwarding ipv4/conf/v0/forwarding \
  ipv4/tcp_fin_timeout ipv4/neigh/v1/gc_stale_time ipv6/conf/v0/hop_limit ipv4/conf/lo/rp_filter \
  ipv4/conf/v1/rp_filter; do
  expect_equal "$(inside two cat "/proc/sys/net/$setting")" \
    "$(inside one cat "/proc/sys/net/$setting")" "$setting"
done
inside two sysctl -qw net.ipv4.tcp_retries2=9
expect_status 3 mooring verify -D images --netns two
expect_output_has 'net/ipv4/tcp_retries2'
expect_status 0 mooring verify -D images --netns two --leave-out sysctl:net/ipv4/tcp_retries2

test_case "a setting that is refused here is found before anything is made, and may be left out"
fresh_network two
set_in_image() { "$repository/Tests/Whole/edit-image" images/netns-*.img setting "$@"; }
set_in_image ipv4/tcp_congestion_control unknown 1
expect_status 2 mooring restore -D images --only links --netns two
expect_error_has 'net/ipv4/tcp_congestion_control is to be "unknown"'
expect_error_has 'modprobe tcp_unknown'
expect_error_has "--leave-out 'sysctl:net/ipv4/tcp_congestion_control'"
expect_equal "$(ip -n two -br link show type veth)" "" "links"
expect_status 0 mooring restore -D images --only links --netns two \
  --leave-out sysctl:net/ipv4/tcp_congestion_control
expect_status 0 mooring verify -D images --netns two \
  --leave-out sysctl:net/ipv4/tcp_congestion_control

test_case "what another kernel chose is left to this one"
fresh_network two
set_in_image ipv4/tcp_congestion_control other 0
set_in_image ipv4/tcp_retries2 8 0
set_in_image ipv4/of_another_kernel 1 0
expect_status 0 mooring restore -D images --only links --netns two
expect_status 0 mooring verify -D images --netns two
expect_equal "$(inside two cat /proc/sys/net/ipv4/tcp_retries2)" 15
inside two sysctl -qw net.ipv4.tcp_retries2=9
expect_status 3 mooring verify -D images --netns two
expect_output_has 'net/ipv4/tcp_retries2 is "9", expected "15", which a new network has here'

test_case "what a dump leaves out is not expected"
expect_status 0 mooring dump --netns one -D images --leave-out sysctl
fresh_network two
expect_status 0 mooring restore -D images --only links --netns two
expect_equal "$(inside two cat /proc/sys/net/ipv4/ip_forward)" 0
expect_status 0 mooring verify -D images --netns two

test_case "bad input"
expect_status 64 mooring restore -D images --only links --netns two --leave-out sysctls

edit_mounts() { "$repository/Tests/Whole/edit-image" images/mountpoints-*.img "$@"; }

# The number of the entry of a mount point.
entry_of() { edit_mounts field mountpoint | grep -nxF "$1" | cut -d: -f1 | awk '{ print $1 - 1 }'; }

test_case "an option of a superblock that this kernel does not know is found before"
make_tree --scenario superblock-options
dump_and_end
edit_mounts set "$(entry_of /size)" options size=1024k,of-another-kernel
remember_host "$root"
expect_status 2 mooring restore -D images -r "$root" -d
expect_error_has 'does not take its option of-another-kernel'
expect_error_has "--leave-out 'mount-option:tmpfs/of-another-kernel'"
expect_status 2 mooring plan -D images -r "$root"
expect_same_host
restore_detached --leave-out mount-option:tmpfs/of-another-kernel
expect_status 0 mooring verify -D images -t "$holder" \
  --leave-out mount-option:tmpfs/of-another-kernel
expect_status 3 mooring verify -D images -t "$holder"
end_holder

test_case "a file system that this kernel does not have is found before, with its module"
make_tree --scenario process-files --pidns
dump_and_end
# All that show a proc.
for entry in $(edit_mounts field fstype | grep -nx 1 | cut -d: -f1); do
  edit_mounts set $((entry - 1)) fstype 16
  edit_mounts set $((entry - 1)) 14 of_another_kernel
done
expect_status 2 mooring restore -D images -r "$root" -d --enable-fs of_another_kernel
expect_error_has 'no file system of_another_kernel'
expect_error_has 'modprobe of_another_kernel'

test_case "namespaces that cannot be made are found before"
make_tree --scenario empty --pidns
dump_and_end
status=0
unshare -Ur --mount sh -c 'echo 0 >/proc/sys/user/max_pid_namespaces
  mooring plan -D images -r root' >out 2>err || status=$?
expect_equal "$status" 2 "exit status"
expect_error_has 'makes none: /proc/sys/user/max_pid_namespaces is 0'

# Sets of several kernels: each comes back on the one that runs, and a tool that is not ours agrees.
settings=$(cat "$fixtures/kernels/settings.txt")

# $1: facts of the set; the rest is given to network-facts.
expect_facts() {
  local wanted=$1
  shift
  # shellcheck disable=SC2086
  "$scripts/network-facts" "$@" $settings >facts
  cmp -s "$wanted" facts || {
    fail "other facts"
    diff "$wanted" facts | head -n 15 | sed 's/^/    /' || true
  }
}

for set in "$fixtures"/kernels/*/links; do
  kernel=$(basename "$(dirname "$set")")
  test_case "links of Linux $kernel, on $(uname -r)"
  fresh_network two
  expect_status 0 mooring restore -D "$set" --only links --netns two
  expect_status 0 mooring verify -D "$set" --netns two
  expect_facts "$set/facts.txt" --netns two
  inside two sysctl -qw net.ipv4.tcp_retries2=9 net.ipv4.conf.v1.rp_filter=0
  ip -n two link set br0 type bridge ageing_time 10000
  expect_status 3 mooring verify -D "$set" --netns two
  expect_output_has 'net/ipv4/tcp_retries2'
  expect_output_has 'link v1: ipv4 setting rp_filter'
  expect_output_has 'link br0: parameter ageing-time'
done

for set in "$fixtures"/kernels/*/tree*; do
  kernel=$(basename "$(dirname "$set")")
  test_case "$(basename "$set") of Linux $kernel, on $(uname -r)"
  root=$work/root
  rm -rf --one-file-system "$root"
  mkdir "$root"
  case $set in *userns) chown 100000:100000 "$root" ;; esac
  rm -f holder-pid
  less=()
  # The contents of those from kernels that have such attributes have some.
  [ "$kernel" = 6.1 ] || has user-attributes || {
    less+=(--leave-out xattr:user)
    expect_status 2 mooring restore -D "$set" -r "$root" -d --pidfile holder-pid
    expect_error_has "--leave-out 'xattr:user'"
  }
  expect_status 0 mooring restore -D "$set" -r "$root" -d --pidfile holder-pid "${less[@]}"
  [ "$case_failed" = no ] || continue
  holder=$(cat holder-pid)
  expect_status 0 mooring verify -D "$set" -t "$holder" "${less[@]}"
  expect_facts "$set/facts.txt" --mounts "$holder"
  nsenter -t "$holder" -n sysctl -qw net.ipv4.tcp_retries2=9
  expect_status 3 mooring verify -D "$set" -t "$holder" "${less[@]}"
  expect_output_has 'net/ipv4/tcp_retries2'
  end_process "$holder"
done

finish
