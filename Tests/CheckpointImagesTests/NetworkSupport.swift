import FoundationEssentials
import Glibc
import LinkTable
import RestorePlan
import Testing

@testable import CheckpointImages

/// Numbers that are the same at every run.
struct Dice: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: Int) { state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}

/// Networks for tests.
enum TestNetwork {
  static func attribute(
    _ type: LinkAttribute, _ number: some FixedWidthInteger
  ) -> NetlinkAttribute { NetlinkAttribute(type.rawValue, number) }

  static func name(_ name: String) -> NetlinkAttribute {
    NetlinkAttribute(LinkAttribute.name.rawValue, text: Array(name.utf8))
  }

  static func kind(_ kind: String, _ data: [NetlinkAttribute] = []) -> NetlinkAttribute {
    NetlinkAttribute(
      LinkAttribute.linkInfo.rawValue,
      nested: NetlinkAttributes([
        NetlinkAttribute(1, text: Array(kind.utf8)),
        NetlinkAttribute(2, nested: NetlinkAttributes(data)),
      ]))
  }

  static let loopback = Link(
    index: 1, type: 772, flags: 0x10049,
    [
      name("lo"), attribute(.mtu, UInt32(65536)),
      NetlinkAttribute(LinkAttribute.address.rawValue, [0, 0, 0, 0, 0, 0]),
    ])

  static func record(
    _ type: UInt16, index: Int32 = 0, family: UInt8 = 2, _ attributes: [NetlinkAttribute] = []
  ) -> NetlinkRecord {
    var header = [UInt8](repeating: 0, count: MessageType.headerSize(type)!)
    header[0] = family
    if index != 0 { header.replaceSubrange(4..<8, with: index.nativeBytes) }
    return NetlinkRecord(
      type: type, header: header, attributes: NetlinkAttributes(attributes))
  }

  static func sysctl(_ path: String, _ value: String) -> Sysctl {
    Sysctl(path: Array(path.utf8), value: Array(value.utf8))
  }

  static func network(
    _ links: [Link] = [loopback], inode: UInt64 = 4_026_532_001,
    _ change: (inout NetworkTable) -> Void = { _ in }
  ) -> SavedNetwork {
    var table = NetworkTable()
    table.links = links
    change(&table)
    return SavedNetwork(
      id: 0, inode: inode, table: table,
      classes: table.links.map { $0.index == 1 ? .madeByKernel : .native })
  }

  static func container(_ networks: [SavedNetwork]) -> SavedContainer {
    SavedContainer(
      mounts: nil, namespaces: ContainerNamespaces(own: [.network: 4_026_532_001]),
      pluginNames: [], networks: networks, parts: .links)
  }

  /// Anything that the kernel might say, and some things that it does not.
  static func random(_ dice: inout Dice, inode: UInt64, others: [UInt64]) -> SavedNetwork {
    func bytes(_ most: Int) -> [UInt8] {
      (0..<Int.random(in: 0...most, using: &dice)).map { _ in .random(in: 0...255, using: &dice) }
    }
    func attributes(_ types: ClosedRange<UInt16>) -> [NetlinkAttribute] {
      (0..<Int.random(in: 0...6, using: &dice)).map { _ in
        NetlinkAttribute(.random(in: types, using: &dice), bytes(40))
      }
    }
    let count = Int32.random(in: 1...12, using: &dice)
    var links = [loopback]
    var classes: [LinkClass] = [.madeByKernel]
    let kinds = ["veth", "bridge", "tun", "macvlan", "sit", "vlan", "vxlan", "wireguard"]
    for number in 0..<count {
      var list = [name("l\(number)é"), attribute(.mtu, UInt32.random(in: 0...9000, using: &dice))]
      list.append(NetlinkAttribute(LinkAttribute.address.rawValue, bytes(32)))
      if Bool.random(using: &dice) { list.append(attribute(.link, Int32(7))) }
      if Bool.random(using: &dice) {
        list.append(attribute(.linkNamespaceID, Int32.random(in: -1...2, using: &dice)))
      }
      if number > 0 { list.append(attribute(.master, number + 1)) }
      list.append(kind(kinds.randomElement(using: &dice)!, attributes(1...20)))
      list += attributes(70...90)
      links.append(
        Link(index: number + 2, type: 1, flags: .random(in: 0...0xFFFF, using: &dice), list))
      classes.append(
        [.native, .madeByKernel, .externalByPlugin, .externalByKey("veth[l\(number)]")]
          .randomElement(using: &dice)!)
    }
    func records(_ type: UInt16, family: UInt8, indexed: Bool = true) -> [NetlinkRecord] {
      (0..<Int.random(in: 0...5, using: &dice)).map { _ in
        record(
          type, index: indexed ? .random(in: 1...count, using: &dice) : 0, family: family,
          attributes(20...60))
      }
    }
    var network = network(links, inode: inode) { table in
      table.addresses = records(MessageType.newAddress, family: 2)
      table.addresses += records(MessageType.newAddress, family: 10)
      table.routes = records(MessageType.newRoute, family: 2, indexed: false)
      table.routes += records(MessageType.newRoute, family: 10, indexed: false)
      table.rules = records(MessageType.newRule, family: 10, indexed: false)
      table.rules += records(MessageType.newRule, family: 2, indexed: false)
      table.nextHops = records(MessageType.newNextHop, family: 2, indexed: false)
      table.neighbours = records(MessageType.newNeighbour, family: 2)
      table.forwarding = records(MessageType.newNeighbour, family: 7)
      table.multicast = records(MessageType.newMulticastEntry, family: 7)
      table.vlans = records(MessageType.newLink, family: 7)
      table.queueing = records(MessageType.newQueueing, family: 0)
      table.sysctls = [
        sysctl("ipv4/conf/default/forwarding", "1"), sysctl("ipv6/conf/all/hop_limit", "65"),
        sysctl("ipv4/conf/l0é/rp_filter", "2"), sysctl("core/somaxconn", "4096"),
        sysctl("ipv6/conf/default/stable_secret", "2001:db8::1"), sysctl("ipv4/tcp_rmem", "1\t2"),
      ]
      table.namespaceIDs = others.enumerated().map { NamespaceID(id: Int32($0), inode: $1) }
      if Bool.random(using: &dice) {
        table.packetFilters = [.iptables: bytes(200), .nftables: bytes(0)]
      }
    }
    network.classes = classes
    return network
  }
}

/// A directory with the images of networks in it.
struct NetworkSet {
  let directory: TemporaryDirectory
  var path: String { directory.path + "/images" }

  init(_ container: SavedContainer) throws {
    directory = try TemporaryDirectory()
    let writer = try ImageWriter.stage(for: directory.path + "/images")
    try writer.write(container)
    try writer.commit()
  }

  func load() throws -> SavedContainer { try ImageDirectory.open(path).load(only: .links) }

  func bytes(_ file: String) throws -> [UInt8] {
    let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { close(folder) }
    return try #require(try ImageFiles.read(file, in: folder))
  }

  func replace(_ file: String, _ bytes: [UInt8]) throws {
    let name = "images/\(file)"
    unlinkat(directory.descriptor, name, 0)
    try directory.write(bytes, to: name)
  }

  func remove(_ file: String) { unlinkat(directory.descriptor, "images/\(file)", 0) }
}
