import FoundationEssentials
import Glibc
import LinkTable
import Testing

@testable import CheckpointImages

/// Other programs read what is written, and what they write is read.
@Suite struct NetworkToolTests {
  private static let canUnshare = shell("unshare -n true").status == 0 && hasTool("ip")

  /// What is done in the network namespace before it is saved. Link-local addresses come with the carrier.
  private static let layout = """
    ip link set lo up && \
    ip link add v2 index 2 type veth peer name v3 index 3 && \
    ip addr add 10.77.0.1/24 dev v2 && ip addr add fd77::1/64 dev v2 nodad && \
    ip link set v2 up && ip link set v3 up && ip route add 10.78.0.0/16 via 10.77.0.2 metric 5 && \
    ip route add 10.79.0.0/16 via 10.77.0.2 table 100 && \
    ip route add 10.80.0.0/16 nexthop via 10.77.0.3 weight 2 nexthop via 10.77.0.4 && \
    ip -6 route add fd78::/64 via fd77::2 table 100 && \
    ip rule add from 10.77.0.1 table 100 && ip -6 rule add from fd77::1 table 100 && sleep 2
    """

  private static func save(_ path: String) -> String {
    """
    ip addr save > \(path)/ifaddr && ip -4 route save table all > \(path)/route && \
    ip -6 route save table all > \(path)/route6 && ip rule save > \(path)/rule && \
    ip -6 rule save | tail -c +5 >> \(path)/rule
    """
  }

  // Routes to one's own IPv6 addresses come some time after these.
  private static let show = """
    ip -o addr show | sed 's/ *valid_lft.*//;s/ tentative//;s/ *$//' && \
    ip -4 route show table all && ip -6 route show table all | grep -v ^local && ip rule && ip -6 rule
    """

  private func table(_ folder: TemporaryDirectory) throws -> NetworkTable {
    func records(
      _ file: String, _ magic: UInt32, _ kind: NetworkRecordKind
    ) throws -> [NetlinkRecord] {
      let bytes = try #require(try ImageFiles.read(file, in: folder.descriptor))
      return try NetlinkImage.records(
        bytes, magic: magic, types: kind.types, what: kind.words, file: file)
    }
    var table = NetworkTable()
    table.links =
      [TestNetwork.loopback]
      + (2...3).map {
        Link(index: $0, type: 1, flags: 0x1003, [TestNetwork.name("v\($0)")])
      }
    table.addresses = try records("ifaddr", NetlinkImage.addresses, .addresses)
    table.routes = try records("route", NetlinkImage.routes, .routes)
    table.routes += try records("route6", NetlinkImage.routes, .routes)
    table.rules = try records("rule", NetlinkImage.rules, .rules)
    return table
  }

  @Test(.enabled(if: canUnshare))
  func ipRestoresWhatItSavedAndWeWrote() throws {
    let folder = try TemporaryDirectory()
    let before = shell(
      "unshare -n sh -c \"\(Self.layout) && \(Self.save(folder.path)) && echo SAVED && "
        + "\(Self.show)\"")
    try #require(before.status == 0, "\(before.output)")
    let said = String(before.output.split(separator: "SAVED\n", maxSplits: 1).last ?? "")

    let network = TestNetwork.network { $0 = (try? table(folder)) ?? $0 }
    #expect(network.table.addresses.count == 6 && network.table.rules.count == 7)
    let tables = network.table.routes.map { $0.attributes[15]?.u32 }
    #expect(Set(tables).isSuperset(of: [100, 254, 255]))
    let container = TestNetwork.container([network])
    let set = try NetworkSet(container)
    #expect(try set.load().networks == container.networks)
    // Their bytes, but for sequence and port.
    for file in ["ifaddr", "route", "route6", "rule"] {
      let theirs = try #require(try ImageFiles.read(file, in: folder.descriptor))
      let ours = try set.bytes("\(file)-9.img")
      #expect(ours.count == theirs.count, "\(file)")
    }

    // `ip` restores the rule of priority 0, whose priority no message has, as another one; and so on.
    let ours = try restored(
      ["ifaddr", "route", "route6", "rule"].map { "\(set.path)/\($0)-9.img" })
    let theirs = try restored(
      ["ifaddr", "route", "route6", "rule"].map { "\(folder.path)/\($0)" })
    #expect(ours == theirs)
    #expect(Set(ours).isSuperset(of: said.split(separator: "\n").map(String.init)))
  }

  /// What `ip` shows, sorted, after it has restored addresses, routes of both families, and rules.
  private func restored(_ files: [String]) throws -> [String] {
    // Links that make no addresses and routes by themselves.
    let links = """
      ip link set lo up; ip link add v2 index 2 type veth peer name v3 index 3; \
      ip link set v2 addrgenmode none up; ip link set v3 addrgenmode none up; sleep 1
      """
    let restore = """
      ip addr restore < \(files[0]) && ip route restore < \(files[1]) && \
      ip -6 route restore < \(files[2]) && ip rule restore < \(files[3])
      """
    let run = shell("unshare -n sh -c \"\(links); \(restore) && echo RESTORED && \(Self.show)\"")
    try #require(run.status == 0, "\(run.output)")
    return (run.output.split(separator: "RESTORED\n", maxSplits: 1).last ?? "")
      .split(separator: "\n").map(String.init).sorted()
  }

  @Test(.enabled(if: hasTool("crit")))
  func critDecodesNetworks() throws {
    let sit = TestNetwork.kind(
      "sit", [NetlinkAttribute(2, [10, 0, 0, 1]), NetlinkAttribute(4, UInt8(64))])
    let links = [
      TestNetwork.loopback,
      Link(
        index: 2, type: 1, flags: 0x1003,
        [
          TestNetwork.name("eth0"), TestNetwork.attribute(.mtu, UInt32(1400)),
          NetlinkAttribute(1, [2, 0, 0, 0, 0, 1]), TestNetwork.attribute(.link, Int32(40)),
          TestNetwork.attribute(.linkNamespaceID, Int32(0)), TestNetwork.kind("veth"),
        ]),
      Link(
        index: 3, type: 1, flags: 0x1002,
        [
          TestNetwork.name("tap0"), TestNetwork.attribute(.master, Int32(2)),
          TestNetwork.kind(
            "tun",
            [
              NetlinkAttribute(3, UInt8(2)), NetlinkAttribute(4, UInt8(0)),
              NetlinkAttribute(6, UInt8(1)),
            ]),
        ]),
      Link(
        index: 4, type: 1, flags: 0,
        [
          TestNetwork.name("mv0"), TestNetwork.attribute(.link, Int32(2)),
          TestNetwork.kind(
            "macvlan", [NetlinkAttribute(1, UInt32(4)), NetlinkAttribute(2, UInt16(1))]),
        ]),
      Link(index: 5, type: 776, flags: 0, [TestNetwork.name("six"), sit]),
      Link(index: 6, type: 1, flags: 0, [TestNetwork.name("vl"), TestNetwork.kind("vlan")]),
    ]
    let network = TestNetwork.network(links) {
      $0.sysctls = [
        TestNetwork.sysctl("ipv4/conf/eth0/rp_filter", "2"),
        TestNetwork.sysctl("ipv6/conf/default/hop_limit", "65"),
      ]
      $0.namespaceIDs = [
        NamespaceID(id: 0, inode: 4_026_532_002), NamespaceID(id: 1, inode: 77),
      ]
    }
    let other = TestNetwork.network(inode: 4_026_532_002)
    let set = try NetworkSet(TestNetwork.container([network, other]))
    func decode(_ file: String) -> String {
      let decoded = shell("crit decode -i \(set.path)/\(file)")
      #expect(decoded.status == 0, "\(decoded.output)")
      return decoded.output
    }
    let devices = decode("netdev-9.img")
    for part in [
      #"{"type": "LOOPBACK", "ifindex": 1, "mtu": 65536, "flags": 65609, "name": "lo", "#
        + #""peer_ifindex": 1, "peer_nsid": 9}"#,
      #""type": "VETH", "ifindex": 2, "mtu": 1400, "flags": 4099, "name": "eth0""#,
      #""peer_ifindex": 40, "peer_nsid": 10}"#,
      #""tun": {"flags": 6146, "owner": -1, "group": -1, "vnethdr": 10, "sndbuf": 2147483647}"#,
      #""master": 2"#, #""macvlan": {"mode": 4, "flags": 1}, "peer_ifindex": 2"#,
      #""sit": {"local": [16777226], "ttl": 64}"#, #""type": "EXTLINK", "ifindex": 6"#,
      #"{"type": "CTL_32", "iarg": 2}"#,
    ] { #expect(devices.contains(part), "\(part) in \(devices)") }
    let spaces = decode("netns-9.img")
    #expect(spaces.contains(#""nsids": [{"target_ns_id": 10, "netnsid_value": 0}]"#))
    #expect(spaces.contains(#"{"type": "CTL_32", "iarg": 65}"#))
    for file in ["inventory.img", "pstree.img", "ids-1.img", "netns-10.img", "netdev-10.img"] {
      _ = decode(file)
    }
  }
}
