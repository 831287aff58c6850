#!/bin/bash
# Each kind of link that this kernel can make: set up, saved, restored into a second namespace, compared by ip,
# verified; then one parameter of each is altered, which verify must name. A row is a link or a pair; the rows of
# a group go together, since a start of the command takes long on an emulated processor. What the kernel cannot
# set up is skipped; scripts/test-kernels knows how many that are.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

# ip netns keeps its names there; they are to be ours.
mount -t tmpfs run /run
ip link set lo up
raw_link=$repository/Tests/Whole/raw-link

# What ip says of a network, without what changes by itself.
facts() {
  ip -n "$1" -d -j link >facts-json
  python3 - facts-json <<'PYTHON'
import json, sys

def stable(value):
    if isinstance(value, dict):
        gone = {"ifindex", "operstate", "qdisc", "stats64", "seq_nr", "promiscuity", "carrier_changes"}
        return {key: stable(item) for key, item in value.items() if key not in gone}
    if isinstance(value, list):
        items = [stable(item) for item in value]
        return [item for item in items if item not in ("LOWER_UP", "NO-CARRIER", "M-DOWN")]
    return value

for link in sorted(json.load(open(sys.argv[1])), key=lambda one: one["ifname"]):
    if link["ifname"] not in ("lo", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "sit0", "ip6tnl0", "ip6gre0", "ip6_vti0"):
        print(json.dumps(stable(link), sort_keys=True, indent=1))
PYTHON
  ip -n "$1" macsec show | sed 's/^[0-9]*: //'
  # Kinds that this ip does not know, but for what of hsr is a number of a link or of a frame.
  for link in $(ip -n "$1" -o link | sed -n 's/^[0-9]*: \(\(nk\|hs\)[^@:]*\)[@:].*/\1/p'); do
    echo "$link"
    ip netns exec "$1" "$raw_link" show "$link" | { [ "${link#nk}" = "$link" ] && grep '^[47] ' || cat; }
  done
}

# A row of the next group: NAME, the commands that set it up in the namespace one (`net` is ip there, `raw` is
# raw-link), those that alter it in the namespace two (the same names), what verify says of that.
row() { rows+=("$1" "$2" "$3" "$4"); }
rows=()

# Runs commands of a row, which stop at the first that fails: its status in $status, its words in row-log.
in_network() {
  local network=$1
  net() { ip -n "$network" "$@"; }
  raw() { ip netns exec "$network" "$raw_link" "$@"; }
  # Not in a condition: there set -e does nothing.
  set +e
  (set -e; eval "$2") >row-log 2>&1
  status=$?
  set -e
}

# Runs the rows: NAME, what all of them lie on, more options of dump.
group() {
  local title=$1 below=$2 place network
  local made=()
  shift 2
  test_case "$title: set up"
  for network in one two; do
    ip netns delete "$network" 2>/dev/null || true
    ip netns add "$network"
    ip netns exec "$network" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
  done
  in_network one "$below"
  [ "$status" -eq 0 ] || fail "what lies below: $(cat row-log)"
  for ((place = 0; place < ${#rows[@]}; place += 4)); do
    in_network one "${rows[place + 1]}"
    if [ "$status" -eq 0 ]; then
      made+=("$place")
    else
      test_case "${rows[place]}"
      skip_case "this kernel does not set it up: $(head -n 1 row-log)"
    fi
  done
  if [ ${#made[@]} -gt 0 ]; then
    test_case "$title: saved, restored, equal"
    expect_status 0 mooring dump --netns one -D images "$@"
    expect_status 0 mooring verify -D images --netns one
    expect_status 0 mooring restore -D images --only links --netns two
    expect_status 0 mooring verify -D images --netns two
    facts one >facts-one
    facts two >facts-two
    diff facts-one facts-two >facts-differ || {
      fail "ip sees a difference"
      head -n 60 facts-differ | sed 's/^/    /'
    }
    for place in "${made[@]}"; do
      in_network two "${rows[place + 2]}"
      [ "$status" -eq 0 ] || fail "${rows[place]} cannot be altered: $(cat row-log)"
    done
    expect_status 3 mooring verify -D images --netns two
    for place in "${made[@]}"; do
      test_case "${rows[place]}: verify names what was altered"
      grep -qF -e "${rows[place + 3]}" out || fail "verify lacks: ${rows[place + 3]}"
    done
  fi
  rows=()
}

veths='net link add v0 type veth peer name v1; net link set v0 up; net link set v1 up'

# Without parameters of their own.
row "nlmon" 'net link add nl0 type nlmon; net link set nl0 up' 'net link set nl0 mtu 3000' 'nl0: mtu is'
row "vcan" 'net link add vc0 type vcan; net link set vc0 up' 'net link set vc0 down; net link set vc0 mtu 16' 'vc0: mtu is'
row "vxcan" 'net link add x0 type vxcan peer name x1; net link set x0 up; net link set x1 mtu 16' \
  'net link set x1 mtu 72' 'x1: mtu is'

# Tunnels that carry more than an address.
row "erspan version 1" \
  'net link add e1 type erspan seq key 101 local 10.0.0.1 remote 10.0.0.2 erspan_ver 1 erspan 123 ttl 9; net link set e1 up' \
  'net link set e1 type erspan erspan_ver 1 erspan 124' 'e1: parameter erspan-index is'
row "erspan version 2" \
  'net link add e2 type erspan seq key 102 remote 10.0.0.2 erspan_ver 2 erspan_dir egress erspan_hwid 17 tos 4' \
  'net link set e2 type erspan erspan_ver 2 erspan_dir ingress erspan_hwid 17' 'e2: parameter erspan-dir is'
row "erspan version 0" 'net link add e3 type erspan seq key 103 remote 10.0.0.3 erspan_ver 0' \
  'net link delete e3; net link add e3 type erspan seq key 103 remote 10.0.0.3 erspan_ver 2 erspan_dir ingress' \
  'e3: parameter erspan-ver is'
row "erspan external" 'net link add e4 type erspan external' \
  'net link delete e4; net link add e4 type erspan seq key 104 remote 10.0.0.2 erspan_ver 1' 'e4: parameter'
row "ip6erspan version 1" \
  'net link add e5 type ip6erspan seq key 105 local fd00::1 remote fd00::2 erspan_ver 1 erspan 55 hoplimit 9' \
  'net link set e5 type ip6erspan erspan_ver 1 erspan 56' 'e5: parameter erspan-index is'
row "ip6erspan version 2" \
  'net link add e6 type ip6erspan seq key 106 remote fd00::2 erspan_ver 2 erspan_dir ingress erspan_hwid 7' \
  'net link set e6 type ip6erspan erspan_ver 2 erspan_dir ingress erspan_hwid 8' 'e6: parameter erspan-hwid is'
row "ip6erspan external" 'net link add e7 type ip6erspan external' \
  'net link delete e7; net link add e7 type ip6erspan seq key 107 remote fd00::2 erspan_ver 1' 'e7: parameter'
row "geneve" \
  'net link add g1 type geneve id 42 remote 10.0.0.2 ttl 17 tos 8 dstport 6082 df set udpcsum; net link set g1 up' \
  'net link set g1 type geneve id 42 remote 10.0.0.2 ttl 18' 'g1: parameter ttl is'
row "geneve to IPv6" \
  'net link add g2 type geneve id 43 remote fd00::2 flowlabel 5 noudp6zerocsumtx udp6zerocsumrx ttl auto df inherit' \
  'net link set g2 type geneve id 43 remote fd00::3' 'g2: parameter remote6 is'
row "geneve ttl inherit" 'net link add g3 mtu 1300 type geneve id 44 remote 10.0.0.2 ttl inherit tos inherit' \
  'net link delete g3; net link add g3 type geneve id 44 remote 10.0.0.2 ttl 9' 'g3: parameter ttl-inherit is'
row "geneve external" 'net link add g4 type geneve external dstport 7000; net link set g4 up' \
  'net link delete g4; net link add g4 type geneve external dstport 7001' 'g4: parameter port is'
row "geneve of any protocol" 'net link add g5 type geneve id 9 remote 10.0.0.5 innerprotoinherit' \
  'net link delete g5; net link add g5 type geneve id 10 remote 10.0.0.5 innerprotoinherit' 'g5: parameter id is'
row "xfrm" 'net link add f1 type xfrm if_id 77; net link set f1 up' \
  'net link set f1 type xfrm if_id 78' 'f1: parameter if-id is'
row "xfrm on a link" "net link add f2 type xfrm dev v0 if_id 0x10" \
  'net link delete f2; net link add f2 type xfrm dev v1 if_id 0x10' 'f2: lower link is v1, expected v0'
row "xfrm external" 'net link add f3 type xfrm external' \
  'net link delete f3; net link add f3 type xfrm if_id 5' 'f3: parameter'
row "amt relay" \
  "net link add a1 type amt mode relay local 10.0.0.1 relay_port 2268 dev v0 max_tunnels 20" \
  'net link delete a1; net link add a1 type amt mode relay local 10.0.0.1 relay_port 2268 dev v1 max_tunnels 20' \
  'a1: lower link is v1, expected v0'
row "amt gateway" \
  "net link add a2 type amt mode gateway local 10.0.0.1 discovery 10.0.0.9 gateway_port 2500 relay_port 2268 dev v0
  net link set a2 mtu 1300" \
  'net link delete a2
  net link add a2 type amt mode gateway local 10.0.0.1 discovery 10.0.0.8 gateway_port 2500 relay_port 2268 dev v0' \
  'a2: parameter discovery-ip is'
row "bareudp" 'net link add b1 type bareudp dstport 6635 ethertype mpls_uc srcportmin 2000; net link set b1 up' \
  'net link delete b1; net link add b1 type bareudp dstport 6636 ethertype mpls_uc' 'b1: parameter port is'
row "bareudp of many protocols" 'net link add b2 type bareudp dstport 7100 ethertype ipv4 multiproto' \
  'net link delete b2; net link add b2 type bareudp dstport 7100 ethertype ipv4' 'b2: parameter multiproto-mode is none'
group "tunnels" "$veths"

# On two links, or three.
row "hsr version 1" "net link add hs1 type hsr slave1 r0 slave2 r1 supervision 45 version 1; net link set hs1 up" \
  'net link delete hs1; net link add hs1 type hsr slave1 r0 slave2 rx supervision 45 version 1' 'hs1: parameter slave2 is'
row "hsr version 0" "net link add hs2 type hsr slave1 r3 slave2 r2 supervision 46 version 0" \
  'net link delete hs2; net link add hs2 type hsr slave1 r3 slave2 r2 supervision 47 version 0' \
  'hs2: parameter supervision-addr is'
row "hsr with PRP" "net link add hs3 type hsr slave1 r4 slave2 r5 proto 1" \
  'net link delete hs3; net link add hs3 type hsr slave1 r4 slave2 r5 proto 0' 'hs3: parameter protocol is'
row "hsr with an interlink" "raw add hs4 hsr 1=link:r6 2=link:r7 6=u8:1 8=link:r8; raw show hs4 | grep '^8 '" \
  'net link delete hs4; raw add hs4 hsr 1=link:r6 2=link:r7 6=u8:1 8=link:r9' 'hs4: parameter interlink is'
# Pairs whose ends are not equal.
row "netkit of layer 3" \
  'raw add nk0 netkit 5=u32:1 3=u32:0 4=u32:2 peer:nk1; net link set nk0 up; net link set nk1 up mtu 1400' \
  'raw set nk0 netkit 4=u32:0' 'nk0: parameter peer-policy is'
row "netkit of layer 2" 'raw add nk3 netkit 5=u32:0 3=u32:2 4=u32:0 peer:nk2; net link set nk2 address 02:00:00:00:00:77' \
  'raw set nk3 netkit 3=u32:0' 'nk3: parameter policy is'
row "netkit with scrubbing" \
  'raw add nk4 netkit 5=u32:1 6=u32:0 7=u32:1 peer:nk5; raw show nk4 | grep "^6 00000000"' \
  'net link delete nk4; raw add nk4 netkit 5=u32:1 6=u32:1 7=u32:1 peer:nk5' 'nk4: parameter scrub is'
row "netkit with head room" \
  'raw add nk6 netkit 8=u16:64 9=u16:32 peer:nk7; raw show nk6 | grep "^8 "' \
  'net link delete nk6; raw add nk6 netkit 8=u16:96 9=u16:32 peer:nk7' 'nk6: parameter headroom is'
row "netkit alone" 'raw add nk8 netkit 10=u32:1; raw show nk8 | grep "^10 01000000"' \
  'net link delete nk8; raw add nk8 netkit 5=u32:0 10=u32:1' 'nk8: parameter mode is'
group "rings and pairs" \
  'for end in 0 1 2 3 4 5 6 7 8 9; do net link add r$end type veth peer name q$end; done; net link add rx type veth peer name qx' \
  --external 'hsr[hs1]:1' --external 'hsr[hs2]:0' --external 'hsr[hs4]:1'

# macsec: the kernel tells everything but keys.
cat >keys <<'KEYS'
# ID KEY [SALT]
01   81818181818181818181818181818181
m3:02 82828282828282828282828282828282
02   99999999999999999999999999999999
0a0b 8383838383838383838383838383838383838383838383838383838383838383
0c   84848484848484848484848484848484 112233445566778899aabbcc
KEYS
row "macsec" \
  "net link add m1 link v0 type macsec sci 0x1122334455660001 encrypt on window 64 replay on validate check encodingsa 2" \
  'net link set m1 type macsec validate strict' 'm1: parameter validation is'
row "macsec of 256 bits" "net link add m2 link v0 type macsec port 5 cipher gcm-aes-256 icvlen 16 send_sci off end_station on" \
  'net link set m2 type macsec encrypt on' 'm2: parameter encrypt is'
row "macsec with associations" \
  "net link add m3 link v0 type macsec port 6 encrypt on
  net macsec add m3 tx sa 0 pn 1000 on key 01 81818181818181818181818181818181
  net macsec add m3 tx sa 1 pn 5 off key 02 82828282828282828282828282828282
  net macsec add m3 rx port 1 address 02:00:00:00:00:55 on
  net macsec add m3 rx port 1 address 02:00:00:00:00:55 sa 0 pn 700 on key 02 82828282828282828282828282828282
  net macsec add m3 rx port 2 address 02:00:00:00:00:56 off
  net link set m3 up" \
  'net macsec set m3 rx port 1 address 02:00:00:00:00:55 sa 0 off; net macsec delete m3 rx port 1 address 02:00:00:00:00:55 sa 0' \
  'm3: receive channel 0200000000550001 association 0 is not there'
row "macsec of 256 bits with an association" \
  "net link add m4 link v0 type macsec port 7 cipher gcm-aes-256
  net macsec add m4 tx sa 0 pn 9 on key 0a0b 8383838383838383838383838383838383838383838383838383838383838383" \
  'net macsec set m4 tx sa 0 off' 'm4: transmit association 0: active is 00, expected 01'
row "macsec with extended packet numbers" \
  "net link add m5 link v0 type macsec port 8 cipher gcm-aes-xpn-128
  net macsec add m5 tx sa 0 xpn 4294967999 ssci 5 salt 112233445566778899aabbcc on key 0c 84848484848484848484848484848484" \
  'net macsec set m5 tx sa 0 off; net macsec delete m5 tx sa 0' 'm5: transmit association 0 is not there'
group "macsec" "$veths" --macsec-keys keys

test_case "what no kernel tells is a finding, with the options that settle it"
ip netns delete one
ip netns add one
in_network one "$veths
  net link add m3 link v0 type macsec
  net macsec add m3 tx sa 0 pn 1000 on key 01 81818181818181818181818181818181
  net macsec add m3 rx port 2 address 02:00:00:00:00:56 off"
if [ "$status" -eq 0 ]; then
  expect_status 2 mooring dump --netns one -D secret
  expect_error_has 'transmit association 0 (key ID 01000000000000000000000000000000)'
  expect_error_has "--leave-out 'macsec-keys:m3'"
  [ ! -e secret ] || fail "there are images"
  expect_status 0 mooring dump --netns one -D secret --leave-out macsec-keys:m3
  ip netns delete two
  ip netns add two
  expect_status 0 mooring restore -D secret --only links --netns two
  expect_status 0 mooring verify -D secret --netns two
  ip -n two macsec show >out
  expect_output_has 0200000000560002
  expect_output_lacks 'PN 1000'
  expect_status 64 mooring dump --netns one -D secret --macsec-keys /etc/passwd
else
  skip_case "this kernel does not set it up: $(head -n 1 row-log)"
fi

finish
