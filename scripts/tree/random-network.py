#!/usr/bin/env python3
"""A random network, as commands for `ip -batch` and `bridge -batch`.

    random-network.py SEED LOWER >batch

LOWER is a directory for `bridge.batch`. The same seed gives the same network.
"""
import random
import sys

seed, folder = int(sys.argv[1]), sys.argv[2]
rng = random.Random(seed)
lines, bridge = [], []
links = []          # names that others may lie on
ports = set()
used = set()


def name(prefix):
    while True:
        result = prefix + "".join(rng.choice("abcdef0123456789._-") for _ in range(rng.randint(1, 15 - len(prefix))))
        if result not in used and not result.endswith("."):
            used.add(result)
            return result


def mac():
    return "02:%02x:%02x:%02x:%02x:%02x" % tuple(rng.randrange(256) for _ in range(5))


for _ in range(rng.randint(2, 5)):
    a, b = name("va"), name("vb")
    options = f"address {mac()} mtu {rng.choice([1280, 1400, 1500, 9000])} txqueuelen {rng.choice([0, 100, 1000])}"
    lines.append(f"link add name {a} {options} numtxqueues 2 type veth peer name {b} address {mac()} mtu 9000")
    links += [a, b]
bridges = []
for _ in range(rng.randint(0, 3)):
    n = name("br")
    lines.append(f"link add name {n} type bridge stp_state {rng.randint(0, 1)} forward_delay {rng.randint(2, 30)}00 "
                 f"ageing_time {rng.randint(1, 90)}000 priority {rng.randint(0, 15) * 4096} "
                 f"mcast_snooping {rng.randint(0, 1)} group_fwd_mask {rng.choice([0, 8])}")
    bridges.append(n)
for _ in range(rng.randint(0, 3)):
    n = name("ifb")
    lines.append(f"link add name {n} index {rng.randint(1000, 100000)} type ifb")
    links.append(n)
for _ in range(rng.randint(0, 3)):
    n, mode = name("t"), rng.choice(["tap", "tun"])
    lines.append(f"tuntap add dev {n} mode {mode} user {rng.randint(0, 5000)} "
                 + rng.choice(["", "multi_queue", "pi", "vnet_hdr"]))
    if mode == "tap":
        links.append(n)
masters = [link for link in links if link[:2] in ("va", "vb")]
# A link that macvlans lie on takes no other upper, and a port none below.
below = rng.sample(masters, 2)
for _ in range(rng.randint(0, 4)):
    kind, lower = rng.choice(["macvlan", "macvtap"]), rng.choice(below)
    lines.append(f"link add name {name('m')} link {lower} address {mac()} type {kind} mode {rng.choice(['bridge', 'vepa', 'private'])}")
for number in range(rng.randint(0, 3)):
    target = rng.choice([f"remote 192.0.2.{number + 1}", f"group 239.0.0.{number + 1} dev {below[0]}",
                         f"remote 2001:db8::{number + 1}"])
    lines.append(f"link add name {name('x')} type vxlan id {100 + number} dstport {4000 + number} {target} "
                 f"ttl {rng.randint(1, 255)} " + rng.choice(["", "nolearning", "udpcsum", "tos 4"]))
for port in masters:
    if bridges and port not in below and rng.random() < 0.6:
        lines.append(f"link set dev {port} master {rng.choice(bridges)}")
        ports.add(port)
        bridge.append(f"link set dev {port} cost {rng.randint(1, 200)} priority {rng.randint(0, 63)} "
                      f"hairpin {rng.choice(['on', 'off'])} learning {rng.choice(['on', 'off'])} "
                      f"flood {rng.choice(['on', 'off'])} isolated {rng.choice(['on', 'off'])}")
        if rng.random() < 0.5:
            bridge.append(f"fdb add {mac()} dev {port} master static")
everyone = [line.split()[3] for line in lines if line.startswith("link add name")]
for link in everyone:
    if rng.random() < 0.3:
        lines.append(f"link set dev {link} alias text-{rng.randrange(10 ** 6)}")
    if rng.random() < 0.2:
        lines.append(f"link property add dev {link} altname {name('alt')}{rng.randrange(10 ** 9)}")
    if rng.random() < 0.2:
        lines.append(f"link set dev {link} group {rng.randint(1, 99)}")
    if rng.random() < 0.2 and link not in ports:
        lines.append(f"link set dev {link} promisc on")
    if rng.random() < 0.2:
        lines.append(f"link set dev {link} addrgenmode {rng.choice(['none', 'eui64', 'random'])}")
    if rng.random() < 0.1:
        lines.append(f"link set dev {link} arp off")
lines.append("link set dev lo up")
up = [link for link in everyone if rng.random() < 0.7 or link in below]
for link in up:
    lines.append(f"link set dev {link} up")
subnet = 0
for link in up:
    for _ in range(rng.randint(0, 3)):
        subnet += 1
        if rng.random() < 0.5:
            lines.append(f"address add 10.{seed % 200}.{subnet}.1/24 dev {link} "
                         + rng.choice(["", "noprefixroute", f"scope link", f"metric {rng.randint(1, 999)}"]))
            if rng.random() < 0.5:
                lines.append(f"route add 172.16.{subnet}.0/24 via 10.{seed % 200}.{subnet}.9 dev {link} onlink "
                             + rng.choice(["", "table 77", "metric 50", "mtu 1300 advmss 1200", "proto static"]))
            if rng.random() < 0.3:
                lines.append(f"neigh add 10.{seed % 200}.{subnet}.7 lladdr {mac()} dev {link} nud permanent")
        else:
            lines.append(f"address add fd{seed % 90 + 10}:{subnet:x}::1/64 dev {link} nodad "
                         + rng.choice(["", "noprefixroute", "home"]))
            if rng.random() < 0.5:
                lines.append(f"route add 2001:db8:{subnet:x}::/48 via fd{seed % 90 + 10}:{subnet:x}::9 dev {link} onlink "
                             + rng.choice(["", "table 78", "metric 50", "pref high"]))
for kind in ("blackhole", "unreachable", "prohibit"):
    if rng.random() < 0.5:
        lines.append(f"route add {kind} 198.51.100.{rng.randrange(256)}/32")
    if rng.random() < 0.3:
        lines.append(f"route add {kind} 2001:db8:ffff::{rng.randrange(9999):x}/128")
for number in range(rng.randint(0, 4)):
    lines.append(f"rule add from 10.0.{number}.0/24 fwmark {rng.randint(1, 99)}/0xff "
                 f"table {rng.randint(50, 99)} priority {1000 + number}")
print("\n".join(lines))
with open(folder + "/bridge.batch", "w") as file:
    file.write("\n".join(bridge) + "\n")
