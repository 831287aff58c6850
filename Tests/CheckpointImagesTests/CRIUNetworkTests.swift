import FoundationEssentials
import Glibc
import LinkTable
import Testing

@testable import CheckpointImages

/// The network of a set that CRIU wrote, against what `ip` said then; and CRIU's fields of other links.
@Suite struct CRIUNetworkTests {
  private static func network() throws -> SavedNetwork {
    try #require(try ImageDirectory.open("\(fixtures)/net").load(only: .links).networks.first)
  }

  private static func lines(_ file: String) throws -> [[String]] {
    String(decoding: try fixture("net/\(file)"), as: UTF8.self).split(separator: "\n")
      .map { $0.split { $0 == " " || $0 == "\t" }.map(String.init) }
  }

  private static func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
  }

  @Test func links() throws {
    let network = try Self.network()
    #expect(network.id == 10 && network.inode == 0 && network.externalKey == nil)
    let lines = try Self.lines("links.txt")
    let heads = lines.filter { $0[0].hasSuffix(":") && Int($0[0].dropLast()) != nil }
    let addresses = lines.filter { $0[0].hasPrefix("link/") }
    #expect(network.table.links.count == heads.count)
    for (link, (head, address)) in zip(network.table.links, zip(heads, addresses)) {
      #expect(head[0] == "\(link.index):")
      let name = head[1].dropLast().split(separator: "@")
      #expect(link.displayName == name[0])
      #expect(link.mtu == UInt32(head[head.firstIndex(of: "mtu")! + 1]))
      #expect(link.isUp == head[2].contains(",UP"))
      if let bytes = link.address { #expect(Self.hexadecimal(bytes) == address[1]) }
      if name.count == 2 {
        #expect("if\(link.lower ?? 0)" == name[1] && link.lowerNamespace == -1)
      } else {
        #expect(link.lower == nil && link.lowerNamespace == nil)
      }
      let master = head.firstIndex(of: "master").map { head[$0 + 1] }
      #expect(link.master == (master == "br7" ? 3 : nil))
    }
    let kinds = [nil, "veth", "bridge", "tun", "macvlan"]
    #expect(network.table.links.map(\.kind) == kinds)
    #expect(network.table.links.map(\.type) == [772, 1, 1, 1, 1])
    #expect(network.classes == [.madeByKernel, .native, .native, .native, .native])
    let tap = network.table.links[3].kindData
    // type tap pi off vnet_hdr off persist on
    #expect(tap[3]?.u8 == 2 && tap[4]?.u8 == 0 && tap[5]?.u8 == 0 && tap[6]?.u8 == 1)
    #expect(tap[1] == nil && tap[2] == nil)
    #expect(network.table.links[4].kindData[1]?.u32 == 4)  // bridge
  }

  private static func text(_ address: [UInt8]) -> String {
    var buffer = [CChar](repeating: 0, count: 64)
    inet_ntop(address.count == 4 ? AF_INET : AF_INET6, address, &buffer, 64)
    return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  @Test func addresses() throws {
    var said: [String] = []
    var index = ""
    for line in try Self.lines("addr.txt") {
      if Int(line[0].dropLast()) != nil { index = line[0] }
      if line[0].hasPrefix("inet") { said.append("\(index) \(line[1])") }
    }
    let table = try Self.network().table
    let found = table.addresses.map { record in
      let index = Int32(nativeBytes: record.header[4..<8])
      return "\(index): \(Self.text(record.attributes[1]!.payload))/\(record.header[1])"
    }
    #expect(found.sorted() == said.sorted())
  }

  @Test func routes() throws {
    let table = try Self.network().table
    let names = Dictionary(uniqueKeysWithValues: table.links.map { ($0.index, $0.displayName) })
    // CRIU saves the main table alone, as `ip route save` does where it is not told otherwise.
    let said = try Self.lines("routes.txt").filter { !$0.contains("table") }.map { line in
      let via = line.firstIndex(of: "via").map { " via \(line[$0 + 1])" } ?? ""
      return "\(line[0])\(via) dev \(line[line.firstIndex(of: "dev")! + 1])"
    }
    let found = table.routes.map { record in
      let to =
        record.attributes[1].map { "\(Self.text($0.payload))/\(record.header[1])" } ?? "default"
      let via = record.attributes[5].map { " via \(Self.text($0.payload))" } ?? ""
      return "\(to)\(via) dev \(names[record.attributes[4]!.i32!]!)"
    }
    #expect(found.sorted() == said.sorted())
    #expect(table.routes.allSatisfy { $0.header[4] == 254 })
  }

  @Test func rules() throws {
    let tables: [UInt32: String] = [255: "local", 254: "main", 253: "default"]
    let said = try Self.lines("rules.txt").map { $0.joined(separator: " ") }
    let found = try Self.network().table.rules.map { record in
      let from = record.attributes[2].map { Self.text($0.payload) } ?? "all"
      let table = record.attributes[15]!.u32!
      let name = tables[table] ?? "\(table)"
      return "\(record.attributes[6]?.u32 ?? 0): from \(from) lookup \(name)"
    }
    #expect(found == said)
  }

  @Test func settings() throws {
    let table = try Self.network().table
    let values = Dictionary(
      uniqueKeysWithValues: table.sysctls.map {
        (String(decoding: $0.path, as: UTF8.self), String(decoding: $0.value, as: UTF8.self))
      })
    #expect(values["ipv4/conf/lo/disable_policy"] == "1")
    #expect(values["ipv4/conf/eth0/disable_policy"] == "0")
    #expect(values["ipv4/conf/default/igmpv2_unsolicited_report_interval"] == "10000")
    #expect(values["ipv4/conf/all/accept_source_route"] == "0")
    #expect(values["ipv4/conf/default/accept_source_route"] == "1")
    #expect(values["ipv6/conf/eth0/mtu"] == "1400")
    #expect(values["ipv6/conf/lo/accept_dad"] == "-1")
    #expect(values["ipv6/conf/all/hop_limit"] == "64")
    #expect(values["ipv6/conf/default/temp_valid_lft"] == "604800")
    #expect(values["ipv6/conf/default/stable_secret"] == nil)
    #expect(values["unix/max_dgram_qlen"] == "10")
    #expect(values.count == 7 * (30 + 41) + 1)
    #expect(table.sysctls[0].path == Array("ipv4/conf/all/forwarding".utf8))
    #expect(Set(table.packetFilters.keys) == [.iptables, .ip6tables, .nftables])
    #expect(table.packetFilters[.iptables] == [])
  }

  @Test func isWrittenAgainAsItWas() throws {
    var container = try ImageDirectory.open("\(fixtures)/net").load()
    let set = try NetworkSet(container)
    let again = try ImageDirectory.open(set.path).load()
    container.networks[0].id = again.networks[0].id
    #expect(again.networks == container.networks)
    for file in ["ifaddr", "route", "route6", "rule"] {
      let theirs = try fixture("net/\(file)-10.img")
      let ours = try set.bytes("\(file)-\(again.networks[0].id).img")
      // Sequence and port of the dump are not kept.
      #expect(ours.count == theirs.count && ours.prefix(10) == theirs.prefix(10))
    }
    let theirs = try entries(try fixture("net/netdev-10.img"))
    let ours = try entries(try set.bytes("netdev-\(again.networks[0].id).img"))
    for (theirs, ours) in zip(theirs, ours) {
      var ours = ours
      ours.clearLink()
      ours.clearLinkClass()
      if theirs.hasPeerNsid { ours.peerNsid = 10 }
      #expect(ours == theirs)
    }
  }

  private func entries(_ bytes: [UInt8]) throws -> [ImageNetworkDeviceEntry] {
    try ImageFraming.entries(
      of: ImageNetworkDeviceEntry.self, kind: .networkDevices, file: "netdev-1.img", bytes: bytes
    ).map(\.entry)
  }

  static func entry(
    _ type: UInt32, _ change: (inout ImageNetworkDeviceEntry) -> Void = { _ in }
  ) -> ImageNetworkDeviceEntry {
    var entry = ImageNetworkDeviceEntry()
    entry.type = type
    entry.ifindex = 5
    entry.mtu = 1400
    entry.flags = 0x1003
    entry.name = Data("x5".utf8)
    change(&entry)
    return entry
  }

  private func link(
    _ entry: ImageNetworkDeviceEntry, ids: [UInt32: Int32] = [:]
  ) throws -> (Link, LinkClass) {
    var surroundings = NetworkDeviceEntry.Surroundings(own: 10)
    surroundings.idOfNumber = ids
    return try NetworkDeviceEntry.link(entry, surroundings, file: "netdev-10.img", offset: 8)
  }

  @Test func otherEndsAreInsideOrOutside() throws {
    func veth(_ peer: UInt32?, _ namespace: UInt32?) throws -> [Int32?] {
      let link = try link(
        Self.entry(2) {
          if let peer { $0.peerIfindex = peer }
          if let namespace { $0.peerNsid = namespace }
        }, ids: [11: 3]
      ).0
      return [link.lower, link.lowerNamespace]
    }
    #expect(try veth(6, 10) == [6, nil])
    #expect(try veth(6, 11) == [6, 3])
    #expect(try veth(6, 12) == [6, -1])
    #expect(try veth(6, nil) == [6, -1])
    #expect(try veth(5, nil) == [5, -1])
    #expect(try veth(nil, nil) == [nil, nil])
  }

  @Test func sitTunnels() throws {
    let data = NetlinkAttributes([
      NetlinkAttribute(2, [10, 0, 0, 1]), NetlinkAttribute(3, [10, 0, 0, 2]),
      NetlinkAttribute(4, UInt8(64)), NetlinkAttribute(5, UInt8(1)),
      NetlinkAttribute(8, UInt16(1)), NetlinkAttribute(9, UInt8(41)),
      NetlinkAttribute(10, UInt8(1)),
      NetlinkAttribute(11, [0x20, 2] + [UInt8](repeating: 0, count: 14)),
      NetlinkAttribute(13, UInt16(16)), NetlinkAttribute(14, UInt16(0)),
      NetlinkAttribute(15, UInt16(0)), NetlinkAttribute(16, UInt16(0)),
      NetlinkAttribute(17, UInt16(0)), NetlinkAttribute(18, UInt16(0)),
    ])
    let entry = Self.entry(8) { $0.sit = CRIULinkData.sit(data) }
    let (link, linkClass) = try link(entry)
    #expect(link.kind == "sit" && link.type == 776 && linkClass == .native)
    #expect(Set(link.kindData.list) == Set(data.list))
    var fallback = entry
    fallback.name = Data("sit0".utf8)
    #expect(try self.link(fallback).1 == .madeByKernel)
  }

  @Test func externalLinks() throws {
    for type: UInt32 in [4, 5] {
      let (link, linkClass) = try link(Self.entry(type))
      #expect(link.kind == nil && linkClass == .externalByPlugin)
    }
    let tunnel = Link(
      index: 5, type: 0xFFFE, flags: 0x1001,
      [
        TestNetwork.name("tun5"),
        TestNetwork.kind(
          "tun", [NetlinkAttribute(1, UInt32(1000)), NetlinkAttribute(3, UInt8(1))]),
      ])
    let entry = NetworkDeviceEntry.entry(of: tunnel, .externalByPlugin, .init(own: 10))
    #expect(entry.type == 4 && !entry.hasTun)
    let native = NetworkDeviceEntry.entry(of: tunnel, .native, .init(own: 10))
    #expect(native.type == 3 && native.tun.owner == 1000 && native.tun.flags == 1)
    let keyed = NetworkDeviceEntry.entry(of: tunnel, .externalByKey("tun[5]"), .init(own: 10))
    #expect(try link(keyed).1 == .externalByKey("tun[5]"))
  }

  @Test func nestedNetworksFindEachOther() throws {
    let temporary = try TemporaryDirectory()
    for file in ["inventory.img", "pstree.img", "ids-1.img"] {
      try temporary.write(try fixture("net/\(file)"), to: file)
    }
    for (own, other): (UInt32, UInt32) in [(10, 12), (12, 10)] {
      var network = ImageNetworkEntry()
      var peer = ImageNetworkEntry.PeerID()
      peer.targetNsID = other
      peer.netnsidValue = 4
      network.nsids = [peer]
      try temporary.write(
        try ImageFraming.bytes(of: [network], kind: .network, file: ""), to: "netns-\(own).img")
      let end = Self.entry(2) {
        $0.peerIfindex = 5
        $0.peerNsid = other
      }
      try temporary.write(
        try ImageFraming.bytes(of: [end], kind: .networkDevices, file: ""),
        to: "netdev-\(own).img")
    }
    let networks = try ImageDirectory.open(temporary.path).load(only: .links).networks
    #expect(networks.map(\.id) == [10, 12])
    for (network, other) in zip(networks, networks.reversed()) {
      #expect(network.table.links[0].lowerNamespace == 4)
      #expect(network.table.namespaceIDs == [NamespaceID(id: 4, inode: other.inode)])
    }
  }
}
