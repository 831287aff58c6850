#!/bin/bash
# Network links: shown, saved, restored into a namespace that exists and with a container; what comes from
# outside by mapping, plugin and script; and nothing left where anything fails.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

# ip netns keeps its names there; they are to be ours.
mount -t tmpfs run /run
ip link set lo up

# A network namespace without anything in it.
fresh_network() {
  ip netns delete "$1" 2>/dev/null || true
  ip netns add "$1"
}

# Links of each kind that this kernel has, with addresses, routes, rules and all that belongs to them.
full_network() {
  local in="ip -n $1"
  fresh_network "$1"
  $in link add v0 type veth peer name v1
  $in link add br0 type bridge stp_state 1 priority 16384 ageing_time 20000
  $in link set v1 master br0
  bridge -n "$1" link set dev v1 hairpin on cost 77 learning off
  $in link add mv0 link v0 type macvlan mode bridge
  $in link add mvs link v0 type macvlan mode source
  $in link set mvs type macvlan macaddr add 00:11:22:33:44:55
  $in link add mt0 link v0 type macvtap mode vepa
  $in link add vx0 type vxlan id 5 dstport 4789 remote 10.0.0.9 local 10.0.0.1
  $in link add vx1 type vxlan id 6 dstport 4789 group 239.1.1.1 dev v0 ttl 5
  $in tuntap add dev tap0 mode tap multi_queue
  $in tuntap add dev tun0 mode tun user 1000 group 100
  $in link add ifb9 type ifb
  $in link set ifb9 alias "some alias" txqueuelen 77 group 5
  $in link property add dev ifb9 altname a-long-alternative-name-of-ifb9
  # After the vxlan: it keeps an MTU that it could not get now.
  $in link set v0 promisc on mtu 1400
  for link in lo v0 v1 br0 mv0 mvs vx1; do $in link set "$link" up; done
  $in addr add 10.0.0.1/24 dev v0
  $in addr add 10.0.0.2/24 dev v0
  $in addr add 10.7.0.1/32 peer 10.7.0.2 dev mv0 label mv0:label
  $in addr add fd00::1/64 dev v0 nodad
  $in addr add fd00::2/64 dev v0 nodad
  $in route add default via 10.0.0.254
  $in route add 10.5.0.0/16 nexthop via 10.0.0.7 weight 2 nexthop via 10.0.0.8
  $in route add 10.6.0.0/16 via 10.0.0.9 table 100 metric 5 mtu 1300
  $in route add blackhole 10.9.0.0/16
  $in route add fd01::/48 via fd00::99
  $in route add unreachable fd02::/48
  $in rule add from 10.6.0.0/16 table 100 priority 1000
  $in -6 rule add from fd05::/16 table 100 priority 1001
  $in neigh add 10.0.0.77 lladdr 02:00:00:00:00:77 dev v0 nud permanent
  $in neigh add proxy 10.0.0.78 dev v0
  $in nexthop add id 10 via 10.0.0.66 dev v0
  $in route add 10.77.0.0/16 nhid 10
  bridge -n "$1" fdb add 02:00:00:00:00:88 dev v1 master static
  bridge -n "$1" fdb append 00:00:00:00:00:00 dev vx0 dst 10.0.0.55
  bridge -n "$1" mdb add dev br0 port v1 grp 239.2.2.2 permanent
  ip netns exec "$1" sysctl -qw net.ipv4.conf.v0.rp_filter=2 net.ipv4.ip_forward=1 \
    net.ipv6.conf.default.accept_ra=0 net.ipv4.tcp_keepalive_time=99 \
    net.ipv6.conf.v0.router_solicitation_interval=7 net.ipv4.neigh.v0.gc_stale_time=77 \
    net.ipv6.neigh.v0.retrans_time_ms=1234 net.ipv4.ip_unprivileged_port_start=80
}

# What ip and bridge say of a network, without counters and states.
network_facts() {
  ip -n "$1" -d -o link | sed 's/ state [A-Z]*//; s/,\(LOWER_UP\|NO-CARRIER\|M-DOWN\)//g; s/<NO-CARRIER,/</
    s/\(hello\|tcn\|topology_change\|gc\|message_age\|forward_delay\|hold\)_timer *[0-9.]*//g; s/ qdisc [a-z]*//
    s/ \(designated_bridge\|bridge_id\|designated_root\|root_port\|root_path_cost\|port_id\|port_no\|designated_port\|designated_cost\) [0-9a-f.x:]*//g
    s/ state \(forwarding\|disabled\|blocking\|listening\|learning\)//; s/ fdb_n_learned [0-9]*//; s/ topology_change[_a-z]* [01]//g'
  ip -n "$1" -o addr | sed 's/ tentative//' | sort
  ip -n "$1" -4 route show table all
  ip -n "$1" -6 route show table all | sed 's/ linkdown//' | sort
  ip -n "$1" rule
  ip -n "$1" -6 rule
  ip -n "$1" nexthop
  ip -n "$1" neigh show nud permanent
  ip -n "$1" neigh show proxy
  bridge -n "$1" fdb | grep -E '02:00:00:00:00:88|10.0.0.55|10.0.0.9' | sort
  bridge -n "$1" mdb | grep permanent
}

test_case "each kind of link that this kernel has comes back, with all that belongs to it"
full_network one
fresh_network two
sleep 2 # duplicate address detection of link-local addresses
expect_status 0 mooring links --netns one
for word in v0 veth macvlan macvtap vxlan bridge tun ifb 'made by the kernel'; do expect_output_has "$word"; done
expect_status 0 mooring links --netns one --json
python3 -m json.tool out >/dev/null || fail "that is no JSON"
expect_status 0 mooring dump --netns one -D images
expect_status 0 mooring verify -D images --netns one
expect_status 0 mooring restore -D images --only links --netns two
expect_status 0 mooring verify -D images --netns two
network_facts one >facts-one
# The kernel's routes to one's own IPv6 addresses come some time after these.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
  network_facts two >facts-two
  ! cmp -s facts-one facts-two || break
  sleep 0.5
done
diff facts-one facts-two >facts-differ || {
  fail "ip sees a difference"
  sed 's/^/    /' facts-differ
}
expect_status 0 mooring dump --netns two -D images-two
mooring links -D images --json | sed '/"inode"/d' >links-one
mooring links -D images-two --json | sed '/"inode"/d' >links-two
cmp -s links-one links-two || fail "the second dump differs"

test_case "crit decodes the images of links"
for image in images/netns-*.img images/netdev-*.img; do
  crit decode -i "$image" >decoded 2>errors || fail "$image: $(tail -n 1 errors)"
done

test_case "nothing is spawned"
if command -v strace >/dev/null; then
  fresh_network two
  strace -f -e trace=execve -o trace "$mooring" restore -D images --only links --netns two || fail "it failed"
  expect_equal "$(grep -c execve trace)" 1 "programs executed"
fi

test_case "verify names what is different"
ip -n two link set ifb9 mtu 1234
ip -n two addr add 10.99.0.1/24 dev v0
ip -n two route delete 10.9.0.0/16 2>/dev/null || ip -n two route delete blackhole 10.9.0.0/16
ip netns exec two sysctl -qw net.ipv4.tcp_keepalive_time=98 net.ipv4.neigh.v0.gc_stale_time=60 \
  net.ipv6.neigh.v0.retrans_time_ms=1000
expect_status 3 mooring verify -D images --netns two
expect_output_has 'link ifb9: mtu is 1234, expected 1500'
expect_output_has 'address 10.99.0.1/24 link v0 is there'
expect_output_has 'route 10.9.0.0/16 table 254'
expect_output_has 'tcp_keepalive_time is "98", expected "99"'
expect_output_has 'ipv4/neigh/v0/gc_stale_time is "60", expected "77"'

test_case "a name that is there already: refused before anything is changed"
fresh_network two
ip -n two link add br0 type ifb
ip -n two link add other type ifb
ip -n two link property add dev other altname v0
network_facts two >before 2>/dev/null || true
expect_status 2 mooring restore -D images --only links --netns two
expect_error_has br0
expect_error_has v0
network_facts two >after 2>/dev/null || true
cmp -s before after || fail "something was changed"

test_case "what somebody has in a namespace without links stays"
fresh_network two
ip -n two route add blackhole 203.0.113.0/24
ip -n two rule add from 203.0.113.0/24 table 55 priority 55
expect_status 0 mooring restore -D images --only links --netns two
ip -n two route show 203.0.113.0/24 >now
ip -n two rule >>now
grep -q blackhole now || fail "the route is gone"
grep -q 'lookup 55' now || fail "the rule is gone"

test_case "an index that is taken becomes another one"
fresh_network two
ip -n two link add other index 3 type ifb
expect_status 0 mooring restore -D images --only links --netns two
expect_error_has 'indices of links are taken'
expect_status 0 ip -n two link show other

test_case "a restore that fails half-way leaves the namespace as it was"
fresh_network two
ip -n two link set lo up
ip -n two route add blackhole 10.9.0.0/16
# The kernel wants one link a VXLAN number: found out when the second is made.
ip -n two link add other type vxlan id 5 dstport 4789 local 10.0.0.1 remote 10.0.0.9
network_facts two >facts-before 2>/dev/null || true
expect_status 1 mooring restore -D images --only links --netns two
expect_error_has vx0
expect_error_has EEXIST
network_facts two >facts-after 2>/dev/null || true
cmp -s facts-before facts-after || fail "the namespace is not as it was"

test_case "an engine that is killed leaves the namespace as it was"
fresh_network many
for number in $(seq 1 300); do echo "link add i$number type ifb"; done >batch
ip -n many -batch batch
ip -n many addr add 10.1.0.1/16 dev i7
expect_status 0 mooring dump --netns many -D images-many
fresh_network two
ip netns exec two sysctl -a 2>/dev/null | grep '^net' >settings-before
network_facts two >facts-before 2>/dev/null || true
for delay in 0.05 0.1 0.15 0.2 0.3; do
  mooring restore -D images-many --only links --netns two 2>/dev/null &
  engine=$!
  sleep "$delay"
  kill -KILL "$engine" 2>/dev/null || true
  wait "$engine" 2>/dev/null && status=0 || status=$?
  [ "$status" != 0 ] || break
  for _ in $(seq 1 100); do pgrep -x mooring >/dev/null || break; sleep 0.05; done
  network_facts two >facts-after 2>/dev/null || true
  ip netns exec two sysctl -a 2>/dev/null | grep '^net' >settings-after
  # It may have been done, and about to say so.
  if ! cmp -s facts-before facts-after && mooring verify -D images-many --netns two >/dev/null; then break; fi
  cmp -s facts-before facts-after || fail "killed after $delay s: the namespace is not as it was"
  cmp -s settings-before settings-after || fail "killed after $delay s: settings are not as they were"
done

test_case "links that change while they are read"
fresh_network busy
for number in $(seq 1 400); do echo "link add i$number type ifb"; done >batch
ip -n busy -batch batch
while :; do
  ip -n busy link add changing type ifb 2>/dev/null
  ip -n busy link delete changing 2>/dev/null
  # Between two changes a reading has time to end.
  sleep "$((4 * slowness))e-2"
done &
changer=$!
for _ in $(seq 1 20); do
  expect_status 0 mooring links --netns busy
  count=$(grep -c '^i[0-9]' out) || true
  [ "$count" = 400 ] || fail "$count links of 400 were read"
done
kill "$changer"
wait "$changer" 2>/dev/null || true

test_case "a plan for a namespace that exists"
fresh_network two
expect_status 0 mooring plan -D images --only links --netns two
expect_output_has 'create link mv0'
expect_status 0 mooring plan -D images --only links --netns two --json
python3 -m json.tool out >/dev/null || fail "that is no JSON"
expect_equal "$(ip -n two -o link | wc -l)" 1 "links after a plan"

test_case "images that lie: an error or a difference, never a crash"
fresh_network two
python3 - images <<'P' >spoilt
import os, random, sys
rng = random.Random(7)
names = [n for n in sorted(os.listdir(sys.argv[1])) if n.split("-")[0] in ("netdev", "netns", "route", "route6", "rule", "ifaddr")]
for number in range(60):
    name = rng.choice(names)
    data = bytearray(open(f"{sys.argv[1]}/{name}", "rb").read())
    for _ in range(rng.choice([1, 2, 20])):
        data[rng.randrange(len(data))] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
    if rng.random() < 0.2:
        data = data[:rng.randrange(len(data))]
    folder = f"spoilt-{number}"
    os.mkdir(folder)
    for other in os.listdir(sys.argv[1]):
        open(f"{folder}/{other}", "wb").write(open(f"{sys.argv[1]}/{other}", "rb").read())
    open(f"{folder}/{name}", "wb").write(data)
    print(folder)
P
while read -r folder; do
  status=0
  timeout 20 mooring restore -D "$folder" --only links --netns two >out 2>err || status=$?
  case $status in
  0) fresh_network two ;;
  1 | 2 | 3) [ "$(ip -n two -o link | wc -l)" = 1 ] || fail "$folder: links are left in the namespace" ;;
  *) fail "$folder: status $status: $(tail -n 1 err)" ;;
  esac
done <spoilt
rm -r spoilt-*

test_case "bad input"
expect_status 1 mooring links --netns none
expect_one_sentence
expect_status 1 mooring links -t 999999
expect_one_sentence
expect_status 1 mooring restore -D images --only links --netns none
expect_one_sentence
expect_status 64 mooring restore -D images --only links
expect_status 64 mooring restore -D images --only links -r "$work" -d --pidfile holder-pid
expect_status 64 mooring links --netns one -t 1
expect_status 64 mooring links --netns one --external 'veth[a-name-of-16-byt]:x'
expect_status 64 mooring dump --netns one -D x --only files

# From here on with a container: its links are outside's.
ip link add lower type veth peer name lower-end
ip link set lower up
ip link set lower-end up
ip addr add 10.1.1.1/24 dev lower-end

# A container of make-tree with a network of its own: $pid.
make_container() {
  root=$work/root
  rm -rf --one-file-system "$root"
  mkdir "$root"
  unshare --net "$tools/make-tree" --binds 2 "$root" "$work/tree-pid"
  pid=$(cat "$work/tree-pid")
  nsenter -t "$pid" -n ip link set lo up
}

# A macvlan of the host's link "lower" in the container, with an address.
add_macvlan() {
  ip link add link lower name outer$$ type macvlan mode bridge
  ip link set outer$$ netns "$pid" name eth0
  nsenter -t "$pid" -n ip addr add 10.1.1.2/24 dev eth0
  nsenter -t "$pid" -n ip link set eth0 mtu 1400 up
}

inside() { nsenter -t "$holder" -n "$@"; }

test_case "links from outside by mappings: a veth at a bridge, a macvlan"
make_container
add_macvlan
ip link add vin type veth peer name vout
ip link set vin netns "$pid" up
nsenter -t "$pid" -n ip addr add 10.1.2.2/24 dev vin
expect_status 2 mooring dump -t "$pid" -D images
expect_error_has "--external 'macvlan[eth0]:LOWER'"
dump_and_end --external 'macvlan[eth0]:lower'
expect_status 2 mooring restore -D images -r "$root" -d --pidfile holder-pid
expect_error_has 'veth[vin]'
expect_error_has 'macvlan[eth0]'
ip link add bridge0 type bridge
expect_status 2 mooring restore -D images -r "$root" -d --pidfile holder-pid --external 'veth[vin]:lower' \
  --external 'macvlan[eth0]:nothing'
expect_status 0 mooring plan -D images -r "$root" --external 'veth[vin]:vout@bridge0' --external 'macvlan[eth0]:lower'
expect_output_has 'create link vin'
restore_detached --external 'veth[vin]:vout@bridge0' --external 'macvlan[eth0]:lower'
expect_equal "$(ip -o link show vout | grep -c 'master bridge0')" 1 "ports of the bridge"
inside busybox ping -c 1 -W 2 10.1.1.1 >/dev/null || fail "no traffic through the macvlan"
expect_status 0 mooring verify -D images -t "$holder"
end_holder
restore_detached --veth-pair vin=vout --external 'macvlan[eth0]:lower'
end_holder

for name in link-current link-legacy; do
  test_case "a link by a plugin ($name) and a setup-namespaces script"
  unset MOORING_TEST_LINKS
  make_container
  add_macvlan
  plugin_folder "$name"
  expect_status 0 mooring links -t "$pid" -L "$folder"
  expect_error_has eth0
  export MOORING_TEST_LINKS=macvlan
  expect_status 0 mooring links -t "$pid" -L "$folder"
  expect_output_has "external by plugin (plugin $name"
  dump_and_end -L "$folder"
  export MOORING_TEST_LOWER=lower MOORING_TEST_LINK=eth0
  restore_detached --action-script "$fixtures/scripts/setup-namespaces" -L "$folder"
  inside busybox ping -c 1 -W 2 10.1.1.1 >/dev/null || fail "no traffic through the macvlan"
  expect_equal "$(inside ip -o link show eth0 | grep -o 'mtu 1400')" "mtu 1400" "the MTU"
  expect_status 0 mooring verify -D images -t "$holder"
  end_holder
done

test_case "links that the script does not bring: one error for all"
plugin_folder link-current
remember_host "$root"
MOORING_TEST_LINK=other expect_status 1 mooring restore -D images -r "$root" -d --pidfile holder-pid \
  --action-script "$fixtures/scripts/setup-namespaces" -L "$folder"
expect_error_has 'link eth0'
expect_same_host
expect_status 2 mooring restore -D images -r "$root" -d --pidfile holder-pid -L "$folder"

test_case "actions, in their order, of several scripts in theirs"
cat >script <<'S'
#!/bin/sh
echo "$1 $CRTOOLS_SCRIPT_ACTION ${CRTOOLS_INIT_PID:+pid} $(ls "$CRTOOLS_IMAGE_DIR" | grep -c inventory)" >>actions
[ "$1 $CRTOOLS_SCRIPT_ACTION" != "${FAIL_AT:-}" ] || exit 7
[ "$1 $CRTOOLS_SCRIPT_ACTION" != "${HANG_AT:-}" ] || sleep 60
[ "$1 $CRTOOLS_SCRIPT_ACTION" != "${DIE_AT:-}" ] || kill -SEGV $$
[ "$1 $CRTOOLS_SCRIPT_ACTION" = 'one setup-namespaces' ] || exit 0
if [ -n "${MOVE:-}" ]; then
  ip link set moved netns "$CRTOOLS_INIT_PID" name eth0
else
  ip link add link lower name t$$ type macvlan mode bridge && ip link set t$$ netns "$CRTOOLS_INIT_PID" name eth0
fi
S
chmod +x script
restore_detached --action-script './script one' --action-script "./script 'two'" -L "$folder"
expect_equal "$(cat actions)" "one pre-restore  1
two pre-restore  1
one setup-namespaces pid 1
two setup-namespaces pid 1
one post-setup-namespaces pid 1
two post-setup-namespaces pid 1
one post-restore pid 1
two post-restore pid 1
one network-unlock pid 1
two network-unlock pid 1
one pre-resume pid 1
two pre-resume pid 1
one post-resume pid 1
two post-resume pid 1" "the actions"
end_holder

# A link of the host that the script moves, with an address and a route.
ip link add moved type veth peer name moved-end
ip link set moved-end up
ip link set moved mtu 1444 up
ip addr add 10.8.0.1/24 dev moved
ip addr add fd08::1/64 dev moved nodad
ip route add 10.44.0.0/16 via 10.8.0.9
sleep 2

for action in pre-restore setup-namespaces post-setup-namespaces post-restore network-unlock pre-resume post-resume; do
  test_case "a script that fails at $action"
  remember_host "$root"
  rm -f holder-pid
  FAIL_AT="one $action" expect_status 1 mooring restore -D images -r "$root" -d --pidfile holder-pid \
    --action-script './script one' -L "$folder"
  expect_one_sentence
  expect_error_has "($action): exited with status 7"
  [ ! -e holder-pid ] || fail "a PID file is left"
  expect_same_host
done

test_case "a script that moves a link of the host: it is back after a failure later on"
remember_host "$root"
MOVE=1 FAIL_AT='one post-restore' expect_status 1 mooring restore -D images -r "$root" -d --pidfile holder-pid \
  --action-script './script one' -L "$folder"
expect_same_host
MOVE=1 FAIL_AT='one setup-namespaces' expect_status 1 mooring restore -D images -r "$root" -d --pidfile holder-pid \
  --action-script './script one' -L "$folder"
expect_same_host

test_case "a script that hangs, and one that dies by a signal"
remember_host "$root"
MOVE=1 HANG_AT='one post-restore' expect_status 1 mooring restore -D images -r "$root" -d --pidfile holder-pid \
  --action-script './script one' --script-timeout 1 -L "$folder"
expect_error_has '--script-timeout'
expect_same_host
DIE_AT='one setup-namespaces' expect_status 1 mooring restore -D images -r "$root" -d --pidfile holder-pid \
  --action-script './script one' -L "$folder"
expect_error_has 'ended by signal 11'
expect_same_host
expect_status 1 mooring restore -D images -r "$root" -d --pidfile holder-pid --action-script ./none -L "$folder"
expect_error_has ENOENT
expect_same_host

test_case "an engine that is killed while a moved link is away: it is back"
remember_host "$root"
(
  export MOVE=1 HANG_AT='one post-restore'
  exec "$mooring" restore -D images -r "$root" -d --pidfile holder-pid --action-script './script one' -L "$folder" 2>/dev/null
) &
engine=$!
wait_until grep -q 'one post-restore' actions
rm actions
wait_until test -e actions
sleep 1
kill -KILL "$engine"
wait "$engine" 2>/dev/null || true
wait_until ip link show moved >/dev/null
sleep 1
expect_same_host

test_case "links alone: scripts bring those from outside; where one fails all is as it was"
alone=(mooring restore --only links --netns alone -D images)
fresh_network alone
expect_status 2 "${alone[@]}"
rm -f actions
expect_status 0 "${alone[@]}" --action-script './script one'
expect_equal "$(cat actions)" "one pre-restore pid 1
one setup-namespaces pid 1
one post-setup-namespaces pid 1
one post-restore pid 1
one network-unlock pid 1" "the actions"
expect_equal "$(ip -n alone -o link show eth0 | grep -c eth0)" 1 "the link"
expect_status 0 mooring verify -D images --netns alone
for action in pre-restore setup-namespaces post-setup-namespaces post-restore network-unlock; do
  fresh_network alone
  ip -n alone link add there type ifb
  ip -n alone -o link | sed 's/ qdisc [a-z]*//' >there-before
  remember_host "$root"
  for move in "" 1; do
    MOVE=$move FAIL_AT="one $action" expect_status 1 "${alone[@]}" --action-script './script one'
    expect_error_has "($action): exited with status 7"
    ip -n alone -o link | sed 's/ qdisc [a-z]*//' >there-after
    cmp -s there-before there-after || { fail "$action: the namespace is not as it was" && diff there-before there-after; }
    expect_same_host
  done
done
fresh_network alone
remember_host "$root"
(
  export MOVE=1 HANG_AT='one post-restore'
  exec "$mooring" restore --only links --netns alone -D images --action-script './script one' 2>/dev/null
) &
engine=$!
rm -f actions
wait_until grep -q 'one post-restore' actions
kill -KILL "$engine"
wait "$engine" 2>/dev/null || true
wait_until ip link show moved >/dev/null
sleep 1
expect_same_host
expect_equal "$(ip -n alone -o link | wc -l)" 1 "links that are left"
ip netns delete alone
ip link delete moved

test_case "network namespaces nested in the tree, a veth between two of them"
# Binds, so that the root is one that a restore is given; its second process has a network of its own.
rm -rf --one-file-system "$root"
mkdir -p "$root/old" "$root/proc" "$root/bin"
cp "$(command -v busybox)" "$root/bin/"
export root
unshare --mount --net --pid --fork --propagation private bash -c '
  mount --bind "$root" "$root"; cd "$root"; mount -t proc proc proc; mount -t proc proc /proc
  unshare --net sleep 1000 &
  sleep 1
  ip link add va type veth peer name vb
  ip link set vb netns $!
  ip -d link show va >/dev/null
  nsenter -t $! -n ip link set vb up
  nsenter -t $! -n ip addr add 10.3.0.2/24 dev vb
  ip link set va up
  ip addr add 10.3.0.1/24 dev va
  pivot_root . old; /bin/busybox umount -l /old
  exec /bin/busybox sleep 1000' &
outer=$!
sleep 2.5
pid=$(pgrep -P "$outer" | head -n 1)
expect_status 0 mooring links -t "$pid"
expect_output_has 'network namespace'
dump_and_end
restore_detached
expect_status 0 mooring verify -D images -t "$holder"
expect_status 0 mooring links -t "$holder"
expect_output_has vb
inside ip -o link show va | grep 'link-netnsid 0' >/dev/null || fail "the veth is not connected"
inside busybox ping -c 1 -W 2 10.3.0.2 >/dev/null || fail "no traffic to the nested network"
end_holder

test_case "a network namespace from outside, by path and by descriptor"
make_container
fresh_network outside
expect_status 0 mooring dump -t "$pid" -D images --external "net[$(stat -Lc %i "/proc/$pid/ns/net")]:own"
end_process "$pid"
expect_status 2 mooring restore -D images -r "$root" -d --pidfile holder-pid
expect_error_has '--inherit-fd'
restore_detached --external 'net[own]:/run/netns/outside'
expect_equal "$(stat -Lc %i "/proc/$holder/ns/net")" "$(stat -Lc %i /run/netns/outside)" "the namespace"
end_holder
exec 7</run/netns/outside
restore_detached --inherit-fd 'fd[7]:own'
expect_equal "$(stat -Lc %i "/proc/$holder/ns/net")" "$(stat -Lc %i /run/netns/outside)" "the namespace"
end_holder
exec 7<&-

test_case "files that keep the namespaces without a process, and their end"
make_container
add_macvlan
expect_status 0 mooring dump -t "$pid" -D images --external 'macvlan[eth0]:lower'
end_process "$pid"
remember_host "$root"
expect_status 0 mooring restore -D images -r "$root" --external 'macvlan[eth0]:lower' --pin pins --netns-name box
pgrep -x mooring >/dev/null && fail "a process stays"
expect_equal "$(nsenter --net=pins/net ip -o -4 addr show eth0 | grep -o 10.1.1.2)" 10.1.1.2 "the address by nsenter"
expect_equal "$(nsenter --mount=pins/mnt true 2>&1 | grep -c 'failed to execute')" 1 "programs of the host in the restored root"
expect_equal "$(ip netns exec box ip -o -4 addr show eth0 | grep -o 10.1.1.2)" 10.1.1.2 "the address by ip netns"
ip netns exec box busybox ping -c 1 -W 2 10.1.1.1 >/dev/null || fail "no traffic"
expect_status 0 mooring verify -D images --netns box
expect_status 2 mooring restore -D images -r "$root" --external 'macvlan[eth0]:lower' --pin pins --netns-name box
expect_error_has 'mooring unpin pins'
touch "$work/other"
expect_status 2 mooring unpin "$work"
expect_status 0 mooring unpin pins
[ ! -e pins ] || fail "pins are left"
expect_same_host
expect_status 1 mooring unpin pins
mkdir pins
FAIL_AT='one pre-resume' expect_status 1 mooring restore -D images -r "$root" --external 'macvlan[eth0]:lower' \
  --pin pins --netns-name box --action-script './script one'
[ -d pins ] && [ -z "$(ls pins)" ] || fail "the empty directory is not as it was"
rmdir pins
expect_same_host

test_case "a container of runc: a macvlan by plugin and script, and restored links for another container"
if command -v runc >/dev/null; then
  "$scripts/container" start box >/dev/null
  pid=$(cat box/pid)
  root=$work/box/bundle/rootfs
  add_macvlan
  plugin_folder link-current bind-current
  export MOORING_TEST_LINKS=macvlan MOORING_TEST_LINK=eth0 MOORING_TEST_LOWER=lower
  export MOORING_TEST_BINDS="/data=$work/box/host/data:/etc/config=$work/box/host/config"
  dump_and_end -L "$folder"
  expect_status 0 mooring restore -D images -r "$root" -L "$folder" --action-script "$fixtures/scripts/setup-namespaces" \
    -d --pidfile holder-pid --pin pins
  holder=$(cat holder-pid)
  inside busybox ping -c 1 -W 2 10.1.1.1 >/dev/null || fail "no traffic through the macvlan"
  expect_status 0 mooring verify -D images -t "$holder"
  python3 - "$work" <<'P'
import json, sys
path = sys.argv[1] + "/box/bundle/config.json"
config = json.load(open(path))
for namespace in config["linux"]["namespaces"]:
    if namespace["type"] == "network":
        namespace["path"] = sys.argv[1] + "/pins/net"
config["process"]["args"] = ["/bin/busybox", "ip", "-o", "addr"]
json.dump(config, open(path, "w"))
P
  runc run --bundle box/bundle "mooring-second-$$" >out 2>err </dev/null || fail "runc: $(tail -n 1 err)"
  expect_output_has 10.1.1.2
  end_holder
  expect_status 0 mooring unpin pins
  "$scripts/container" stop box
fi

test_case "rules of packet filters"
fresh_network one
fresh_network two
if command -v nft >/dev/null && ip netns exec one nft add table inet mine 2>/dev/null; then
  ip netns exec one nft -f - <<'N'
table inet mine {
  chain input {
    type filter hook input priority 0;
    tcp dport 22 counter accept
    ip saddr 10.0.0.0/8 drop
  }
}
N
  expect_status 0 mooring dump --netns one -D images
  expect_status 0 mooring restore -D images --only links --netns two
  expect_equal "$(ip netns exec two nft list ruleset)" "$(ip netns exec one nft list ruleset)" "the rules"
  expect_status 0 mooring verify -D images --netns two
  # Rules there already.
  expect_status 2 mooring restore -D images --only links --netns two
  expect_error_has 'rules of nftables already'
  ip netns exec two nft flush ruleset
  expect_status 3 mooring verify -D images --netns two
  expect_output_has 'tcp dport 22'
  # Tools that are not there.
  mkdir tools-only
  expect_status 0 env PATH="$work/tools-only" "$mooring" links --netns one
fi
if command -v iptables-legacy >/dev/null && ip netns exec one iptables-legacy -A INPUT -s 192.0.2.1 -j DROP 2>/dev/null; then
  fresh_network two
  expect_status 0 mooring dump --netns one -D images
  expect_status 0 mooring restore -D images --only links --netns two
  ip netns exec two iptables-legacy -C INPUT -s 192.0.2.1 -j DROP || fail "the rule is not there"
  # Loading fails after iptables' rules are in place: nobody's are left.
  fresh_network two
  rules=$(ls images/nftables-*.img)
  echo 'table inet other { chain c { no rule } }' >>"$rules"
  expect_status 1 mooring restore -D images --only links --netns two
  expect_error_has nft
  ip netns exec two iptables-legacy -C INPUT -s 192.0.2.1 -j DROP 2>/dev/null && fail "a rule is left"
  expect_equal "$(ip netns exec two nft list ruleset)" '' "rules of nftables"
fi

test_case "actions of a dump"
rm -f actions
make_container
expect_status 0 mooring dump -t "$pid" -D images --action-script './script one'
expect_equal "$(cut -d ' ' -f 2 actions | tr '\n' ' ')" "pre-dump network-lock network-unlock post-dump " "the actions"
rm -r images
FAIL_AT='one post-dump' expect_status 1 mooring dump -t "$pid" -D images --action-script './script one'
[ ! -e images ] || fail "images were written"
end_process "$pid"

test_case "a network in a user namespace: settings with IDs"
pid=$("$scripts/container" start box --userns)
nsenter -t "$pid" -n -U sh -c 'echo 0 0 >/proc/sys/net/ipv4/ping_group_range'
wanted=$(nsenter -t "$pid" -n -U cat /proc/sys/net/ipv4/ping_group_range)
expect_equal "$wanted" "$(printf '0\t0')" "what was set"
dump_and_end --external 'mnt[]'
root=$work/box/bundle/rootfs
restore_detached --external 'mnt[]'
if [ -n "$holder" ]; then
  expect_equal "$(nsenter -t "$holder" -n -U cat /proc/sys/net/ipv4/ping_group_range)" "$wanted"
  expect_status 0 mooring verify -D images -t "$holder"
fi
end_holder
"$scripts/container" stop box

# Since Linux 7.0 who makes a pair of links needs rights over the networks of both ends.
test_case "links whose other end is outside, of a container with a user namespace"
pid=$("$scripts/container" start box --userns)
ends=(vin)
ip link add vin type veth peer name vout
if has link-vxcan; then
  ends+=(cin)
  ip link add cin type vxcan peer name cout
fi
if has link-netkit; then
  ends+=(kin)
  "$repository/Tests/Whole/raw-link" add kout netkit 5=u32:0 peer:kin
fi
for end in "${ends[@]}"; do
  ip link set "$end" netns "$pid"
  nsenter -t "$pid" -n ip link set "$end" up
done
dump_and_end --external 'mnt[]'
options=()
for end in "${ends[@]}"; do
  ip link delete "${end%in}out" 2>/dev/null || true
  options+=(--external "veth[$end]:${end%in}out")
done
restore_detached --external 'mnt[]' "${options[@]}"
if [ -n "$holder" ]; then
  for end in "${ends[@]}"; do
    expect_equal "$(inside ip -o link show "$end" | grep -c '[<,]UP[,>]')" 1 "$end is up"
    expect_equal "$(ip -o link show "${end%in}out" | grep -c .)" 1 "its other end"
  done
  expect_status 0 mooring verify -D images -t "$holder"
fi
end_holder
"$scripts/container" stop box

mount -t tmpfs run /run
test_case "next hops, entries that name them, backup ports: each comes when what it names is there"
for name in named named-two; do
  ip netns delete "$name" 2>/dev/null || true
  ip netns add "$name"
done
ip -n named -batch - <<'BATCH'
link add v0 type veth peer name v1
link set v0 up
link set v1 up
addr add 10.0.0.1/24 dev v0
link add vx type vxlan id 5 dstport 4789 local 10.0.0.1 nolearning
link set vx up
nexthop add id 102 via 10.0.0.2 fdb
nexthop add id 103 group 102 fdb
nexthop add id 1 via 10.0.0.5 dev v0
nexthop add id 2 via 10.0.0.6 dev v0
nexthop add id 10 group 1/2 type resilient buckets 32 idle_timer 60 unbalanced_timer 300
nexthop add id 21 encap ip id 7 dst 10.1.1.1 via 10.0.0.7 dev v0
route add 10.9.0.0/16 nhid 10
link add br0 type bridge
link add pa type veth peer name qa
link add pb type veth peer name qb
link set pa master br0
link set pb master br0
link set pa type bridge_slave backup_port pb
BATCH
bridge -n named fdb add 02:00:00:00:00:01 dev vx nhid 103 static
rm -rf images
expect_status 0 mooring dump --netns named -D images
expect_status 0 mooring restore -D images --only links --netns named-two
for name in named named-two; do
  ip -n "$name" nexthop | sort
  ip -n "$name" route
  bridge -n "$name" fdb show dev vx | sort
  ip -n "$name" -d link show pa | grep -o 'backup_port [^ ]*'
done >facts
head -n $(($(wc -l <facts) / 2)) facts >facts-one
tail -n +$(($(wc -l <facts) / 2 + 1)) facts >facts-two
grep -q 'nhid 103' facts-one || fail "there is no such entry"
cmp -s facts-one facts-two || { fail "ip sees a difference" && diff facts-one facts-two; }
expect_status 0 mooring verify -D images --netns named-two
ip -n named-two link set pa type bridge_slave nobackup_port
expect_status 3 mooring verify -D images --netns named-two
expect_output_has 'link pa: its backup port is none, expected pb'
ip netns delete named
ip netns delete named-two

test_case "a rule that prohibits what the routes are found by"
ip netns delete ruled 2>/dev/null || true
ip netns add ruled
ip -n ruled link add v0 type veth peer name v1
ip -n ruled link set v0 up
ip -n ruled link set v1 up
ip -n ruled addr add 10.0.0.1/24 dev v0
ip -n ruled route add 10.9.0.0/16 via 10.0.0.9
ip -n ruled route add 10.8.0.0/16 via 10.0.0.9 table 77
ip -n ruled rule add pref 100 table 77
ip -n ruled rule add pref 200 prohibit
rm -rf images
expect_status 0 mooring dump --netns ruled -D images
ip netns add rules-two
expect_status 0 mooring restore -D images --only links --netns rules-two
for list in rule "route show table 77" "route"; do
  # shellcheck disable=SC2086 # words
  expect_equal "$(ip -n rules-two $list)" "$(ip -n ruled $list)" "$list"
done
expect_status 0 mooring verify -D images --netns rules-two
ip netns delete ruled
ip netns delete rules-two

test_case "kinds that only their own programs make: a finding names the program, a script brings the link"
ip netns add foreign
made=()
! ip -n foreign link add t0 type team 2>/dev/null || made+=(t0=teamd)
! ip -n foreign l2tp add tunnel tunnel_id 1 peer_tunnel_id 2 encap ip local 127.0.0.1 remote 127.0.0.2 2>/dev/null ||
  ! ip -n foreign l2tp add session tunnel_id 1 session_id 1 peer_session_id 2 name l0 2>/dev/null || made+=(l0=l2tp)
for one in "${made[@]}"; do
  rm -rf images
  expect_status 2 mooring dump --netns foreign -D images
  expect_error_has "${one#*=}"
  expect_error_has "--external 'link[${one%%=*}]:KEY'"
done
[ ${#made[@]} -gt 0 ] || skip_case "this kernel has neither team nor l2tp"

finish
