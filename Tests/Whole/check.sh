#!/bin/bash
# What `mooring check` says, seen true and false: by kernels that have a thing or lack it, and by taking away
# rights, namespaces and programs.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

# Passes if the feature is there ("yes") or is not ("no"), as the JSON in out says.
expect_feature() {
  local found
  found=$(python3 -c 'import json, sys
for ability in json.load(open("out"))["abilities"]:
  if ability["feature"] == sys.argv[1]: print("no" if "missing" in ability else "yes")' "$1")
  expect_equal "$found" "$2" "$1"
}

# The version as one number: 6.12 is 6012.
version=$(uname -r | sed -E 's/^([0-9]+)\.([0-9]+).*/\1 \2/' | awk '{ print $1 * 1000 + $2 }')

test_case "what came with a version of Linux is there since then"
run mooring check --json
while read -r feature since; do
  if [ "$version" -ge "$since" ]; then expect_feature "$feature" yes; else expect_feature "$feature" no; fi
done <<'FEATURES'
mount-api 5012
peer-groups 5015
mapped-tmpfs 6003
statmount 6011
mapping-reading 6015
mapping-clearing 6015
file-comparison 5006
thread-descriptors 6009
user-attributes 6006
FEATURES
for feature in mount-rights network-rights device-nodes unix-diagnosis namespace-time link-veth link-bridge; do
  expect_feature "$feature" yes
done

test_case "where nothing can be restored the status says so, and one line why"
wanted=0
[ "$version" -ge 5012 ] || wanted=1
expect_status "$wanted" mooring check
[ "$wanted" = 0 ] || expect_output_has "nothing can be restored"

test_case "without rights"
expect_status 1 setpriv --bounding-set -sys_admin,-net_admin,-mknod --inh-caps -sys_admin,-net_admin,-mknod \
  "$mooring" check --json
for feature in mount-rights network-rights namespace-net; do expect_feature "$feature" no; done

test_case "an ordinary user's own namespaces, where mounts must not be left out"
wanted=0
[ "$version" -ge 5012 ] || wanted=1
expect_status "$wanted" setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Urm "$mooring" check --json
expect_feature mount-rights yes
expect_feature device-nodes no

test_case "namespaces that are forbidden"
for kind in user net pid ipc uts cgroup time mnt; do
  run unshare -Ur sh -c "echo 0 >/proc/sys/user/max_${kind}_namespaces; exec '$mooring' check --json"
  expect_feature "namespace-$kind" no
done

test_case "programs that are missing"
mkdir nothing
unshare --mount sh -c "mount --bind nothing /usr/sbin && PATH=$work/nothing '$mooring' check --json" >out 2>err || true
for filter in nftables iptables ip6tables; do expect_feature "filter-$filter" no; done

test_case "kinds of links are told without loading a module"
lsmod >modules-before 2>/dev/null || true
run mooring check --json
lsmod >modules-after 2>/dev/null || true
cmp -s modules-before modules-after || fail "modules were loaded"
mount -t tmpfs run /run
for kind in vlan dummy bond wireguard; do
  ip netns add probe
  if ip -n probe link add name probe0 type "$kind" 2>said || ! grep -q 'Unknown device type' said; then
    expect_feature "link-$kind" yes
  else
    expect_feature "link-$kind" no
  fi
  ip netns delete probe
done

finish
