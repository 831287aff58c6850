#!/bin/bash
# Every kind of link that the running kernel has: set up, saved, restored into a second namespace, compared
# by ip, which is not ours; then one parameter is altered, and verify must name it.
#
# The kinds are in fixtures/link-kinds/*.txt; its README says how a row is written. A row is skipped if mooring
# check says that the kernel lacks one of its kinds, or if it lacks a module that the row names.
# With names of rows as arguments, these only.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

# ip netns keeps its names there; they are to be ours.
mount -t tmpfs run /run

fresh_network() {
  ip netns delete "$1" 2>/dev/null || true
  ip netns add "$1"
}

# What ip says of the links of a namespace, a fact a line, without counters, timers and what ports negotiate.
network_facts() {
  ip -n "$1" -d -j link >links.json
  ip -n "$1" -d -j addr >addresses.json
  bridge -n "$1" vlan show | sed 's/^/bridge /'
  python3 - links.json addresses.json <<'PYTHON'
import json, re, sys
volatile = re.compile(r"""^(operstate|qdisc|stats.*|link_netnsid|carrier.*|.*_timer|.*_life_time|preferred|valid
    |tentative|dadfailed|optimistic|mii_status|state|link_failure_count|ad_.*|active_slave|promiscuity|allmulti
    |inet6_addr_gen_mode|topology_change.*|root_.*|bridge_id|designated_.*|port_no|port_id|hold_timer
    |fdb_n_learned|tcn_timer|gc_timer|stable-privacy|mngtmpaddr)$""", re.X)
keep = {"ad_select", "ad_actor_sys_prio", "ad_user_port_key", "ad_actor_system", "inet6_addr_gen_mode"}
def walk(value, path):
    if isinstance(value, dict):
        for key, part in value.items():
            if key in keep or not volatile.match(key):
                yield from walk(part, path + "/" + key)
    elif isinstance(value, list) and path.endswith("/flags"):
        yield path + " " + " ".join(sorted(set(map(str, value)) - {"LOWER_UP", "NO-CARRIER", "M-DOWN"}))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from walk(part, path + "/" + str(number))
    else:
        yield path + " " + str(value)
facts = []
for link in json.load(open(sys.argv[1])):
    # Tunnels over IPv6 draw it by lot.
    if link.get("link_type") != "ether": link.pop("permaddr", None)
    facts += walk(link, link.get("ifname", "?"))
for link in json.load(open(sys.argv[2])):
    for address in sorted(link.get("addr_info", []), key=lambda one: one["family"]):
        facts += walk(address, "%s %s/%s" % (link["ifname"], address["local"], address["prefixlen"]))
print("\n".join(sorted(facts)))
PYTHON
}

# The commands of a row, in a namespace, the first that fails being the last.
commands_in() {
  timeout "$((60 * slowness))" ip netns exec "$1" sh -ec "$2" >set-up 2>&1 </dev/null
}

# What a row needs and this kernel lacks: the kinds of links that its commands make, and the modules that its
# last field names.
lacking() {
  local kind module
  for kind in $(grep -oE 'ip link add [^;]*' <<<"$1" | grep -oE '\btype [a-z0-9]+' | cut -d' ' -f2 | sort -u); do
    has "link-$kind" || { echo "link-$kind" && return 0; }
  done
  for module in $2; do
    modprobe -q "$module" 2>/dev/null || { echo "the module $module" && return 0; }
  done
}

# Addresses of links just brought up pass duplicate detection first; those of links without a carrier never.
settle() {
  local attempt
  for attempt in 1 2 3 4 5 6 7 8; do
    ip -n "$1" -6 addr show tentative | grep -q . || return 0
    sleep 0.4
  done
}

try_kind() {
  local name=$1 set_up=$2 alteration=$3 named=$4 lacks
  test_case "$name"
  # has ends the file where check knows no such kind.
  lacks=$(lacking "$set_up" "$5") || { echo "$lacks" && exit 1; }
  if [ -n "$lacks" ]; then
    skip_case "this kernel lacks $lacks"
    return 0
  fi
  fresh_network one
  if ! commands_in one "$set_up"; then
    fail "the set-up failed: $(tail -n 1 set-up)"
    return 0
  fi
  settle one
  rm -rf images
  expect_status 0 mooring dump --only links --netns one -D images
  [ "$case_failed" = no ] || return 0
  fresh_network two
  network_facts one >facts-one
  expect_status 0 mooring restore -D images --only links --netns two
  [ "$case_failed" = no ] || return 0
  settle two
  network_facts two >facts-two
  diff facts-one facts-two >facts-differ || {
    fail "ip sees a difference"
    head -n 20 facts-differ | sed 's/^/    /'
  }
  expect_status 0 mooring verify -D images --netns two
  [ -n "$alteration" ] || return 0
  if ! commands_in two "$alteration"; then
    fail "the alteration failed: $(tail -n 1 set-up)"
    return 0
  fi
  expect_status 3 mooring verify -D images --netns two
  expect_output_has "$named"
}

trim() {
  local text=$1
  text=${text#"${text%%[![:space:]]*}"}
  printf '%s' "${text%"${text##*[![:space:]]}"}"
}

for table in "$fixtures"/link-kinds/*.txt; do
  while IFS='|' read -r -u 4 name set_up alteration named modules; do
    name=$(trim "$name")
    case $name in '' | '#'*) continue ;; esac
    case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
    try_kind "$name" "$(trim "$set_up")" "$(trim "$alteration")" "$(trim "$named")" "$(trim "$modules")"
  done 4<"$table"
done

# What wg, which is not ours, says of a link: all of it, keys included.
wireguard_facts() {
  ip netns exec "$1" wg show w0 dump | cut -f 1-5,8- | sort
}

wireguard() {
  local peer other network
  needs link-wireguard || return 0
  command -v wg >/dev/null || { fail "wg is missing: install wireguard-tools" && return 0; }
  fresh_network one
  umask 077
  wg genkey >key
  peer=$(wg genkey | tee other | wg pubkey)
  other=$(wg genkey | wg pubkey)
  wg genpsk >shared
  ip -n one link add w0 type wireguard
  ip netns exec one wg set w0 private-key key listen-port 5555 fwmark 0x77 \
    peer "$peer" preshared-key shared endpoint 10.1.0.9:51820 persistent-keepalive 25 \
    allowed-ips 10.9.0.0/24,fd00:9::/64 \
    peer "$other" endpoint '[2001:db8::9]:51821' allowed-ips 10.10.0.0/16
  ip -n one addr add 10.8.0.1/24 dev w0
  ip -n one link set w0 up
  ip -n one route add 10.9.0.0/24 dev w0
  rm -rf images
  expect_status 0 mooring dump --only links --netns one -D images --wireguard-keys
  fresh_network two
  expect_status 0 mooring restore -D images --only links --netns two
  for network in one two; do wireguard_facts "$network" >"facts-$network"; done
  cmp -s facts-one facts-two || { fail "wg sees a difference" && diff facts-one facts-two; }
  expect_equal "$(ip -n two route show 10.9.0.0/24)" "10.9.0.0/24 dev w0 scope link " "the route"
  expect_status 0 mooring verify -D images --netns two
  ip netns exec two wg set w0 peer "$peer" persistent-keepalive 26
  expect_status 3 mooring verify -D images --netns two
  expect_output_has 'link w0: parameter peers'
  # Without its keys it comes back without them, and that is said.
  expect_status 0 mooring dump --only links --netns one -D images
  expect_error_has --wireguard-keys
  ! grep -rqF "$(cat key)" images || fail "the key is in the images"
  fresh_network two
  expect_status 0 mooring restore -D images --only links --netns two
  expect_equal "$(ip netns exec two wg show w0 private-key)" '(none)' "the private key"
}

case " ${*:-wireguard} " in
*" wireguard "*)
  test_case "wireguard with its peers and keys"
  wireguard
  ;;
esac

finish
