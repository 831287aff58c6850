import LinkTable
import RestorePlan
import Testing

/// Kinds that not every kernel has: messages put together byte by byte after `linux/if_link.h`,
/// `linux/if_tunnel.h` and `linux/rtnetlink.h`, little-endian, and what a restore sends for them.
@Suite("Kinds of links, from fabricated messages")
struct FabricatedKindTests {
  /// Bytes written as hexadecimal; `//` to the end of a line says what they are.
  static func bytes(_ text: String) -> [UInt8] {
    var digits = ""
    for line in text.split(separator: "\n") {
      var code = line[...]
      if let slash = line.firstIndex(of: "/") { code = line[..<slash] }
      digits += code.filter { !$0.isWhitespace }
    }
    var bytes: [UInt8] = []
    var rest = digits[...]
    while !rest.isEmpty {
      bytes.append(UInt8(rest.prefix(2), radix: 16)!)
      rest = rest.dropFirst(2)
    }
    return bytes
  }

  static func link(_ text: String) throws -> Link {
    Link(try NetlinkRecord(type: MessageType.newLink, payload: bytes(text)[...]))
  }

  static let loopback = Link(
    index: 1, type: 772, flags: 8,
    [NetlinkAttribute(LinkAttribute.name.rawValue, text: Array("lo".utf8))])

  static func request(_ links: [Link], host: [Link] = []) -> LinkRestoreRequest {
    var table = NetworkTable()
    table.links = links
    let network = SavedNetwork(
      id: 9, inode: 1, table: table, classes: links.map { $0.isLoopback ? .madeByKernel : .native })
    return LinkRestoreRequest(networks: [network], existing: [[loopback]], host: host)
  }

  /// The message that creates the link of this index.
  static func creation(_ plan: LinkPlan, _ index: Int32) throws -> Link {
    for step in plan.steps {
      switch step.action {
      case .request(let record, let flags, _) where flags & RequestFlag.create != 0:
        if record.type == MessageType.newLink, Link(record).index == index { return Link(record) }
      case .create(let record, _), .createPair(let record, _):
        if Link(record).index == index { return Link(record) }
      default: break
      }
    }
    throw NetlinkFormatError.badValue("no step creates link \(index)")
  }

  /// A lower link for those that want one.
  static let lower = """
    00 00 0100 02000000 43100000 00000000  // AF_UNSPEC, ARPHRD_ETHER, index 2, UP|BROADCAST|RUNNING|MULTICAST
    0800 0300 65303000                     // IFLA_IFNAME "e00"
    0800 0400 dc050000                     // IFLA_MTU 1500
    1000 1200                              // IFLA_LINKINFO
      0a00 0100 64756d6d7900 0000          // IFLA_INFO_KIND "dummy"
    """

  @Test("dummy")
  func dummy() throws {
    let plan = Self.request([Self.loopback, try Self.link(Self.lower)]).plan()
    #expect(plan.findings.isEmpty)
    let made = try Self.creation(plan, 2)
    #expect(made.kind == "dummy")
    #expect(made.mtu == 1500)
    #expect(!made.isUp)
  }

  struct Kind: Sendable, CustomTestStringConvertible {
    var name: String
    var type = "0100"
    /// Attributes of `IFLA_INFO_DATA` as the kernel tells them.
    var told: String
    /// As they are given back; like `told` where `nil`.
    var given: String?
    var testDescription: String { name }
  }

  static let kinds: [Kind] = [
    Kind(
      name: "vlan",
      told: """
        0600 0500 88a8 0000           // IFLA_VLAN_PROTOCOL 802.1ad, network order
        0600 0100 6400 0000           // IFLA_VLAN_ID 100
        0c00 0200 01000000 ffffffff   // IFLA_VLAN_FLAGS REORDER_HDR, mask
        1000 0480                     // IFLA_VLAN_INGRESS_QOS, nested
          0c00 0100 01000000 05000000 // IFLA_VLAN_QOS_MAPPING 1 to 5
        1c00 0380                     // IFLA_VLAN_EGRESS_QOS, nested, the newest first
          0c00 0100 11000000 03000000 // 17 to 3
          0c00 0100 01000000 02000000 // 1 to 2
        """,
      given: """
        0600 0500 88a8 0000
        0600 0100 6400 0000
        0c00 0200 01000000 1f000000   // the mask of the flags that there are: others are EINVAL
        1000 0480
          0c00 0100 01000000 05000000
        1c00 0380
          0c00 0100 01000000 02000000
          0c00 0100 11000000 03000000
        """),
    Kind(
      name: "ipvlan",
      told: """
        0600 0100 0100 0000           // IFLA_IPVLAN_MODE L3
        0600 0200 0100 0000           // IFLA_IPVLAN_FLAGS PRIVATE
        """),
    Kind(name: "vrf", told: "0800 0100 0a000000  // IFLA_VRF_TABLE 10"),
    Kind(
      name: "bond",
      told: """
        0500 0100 01000000            // IFLA_BOND_MODE active-backup
        0800 0200 02000000            // IFLA_BOND_ACTIVE_SLAVE: found by the bond
        0800 0300 64000000            // IFLA_BOND_MIIMON 100
        0800 0700 00000000            // IFLA_BOND_ARP_INTERVAL 0: refused beside MIIMON
        0800 0900 00000000            // IFLA_BOND_ARP_VALIDATE 0
        0500 0c00 00000000            // IFLA_BOND_PRIMARY_RESELECT always
        0800 1400 01000000            // IFLA_BOND_PACKETS_PER_SLAVE: of balance-rr only
        0500 1500 00000000            // IFLA_BOND_AD_LACP_RATE: of 802.3ad only
        0500 1b00 01000000            // IFLA_BOND_TLB_DYNAMIC_LB: of balance-tlb and balance-alb
        0800 1700 0800 0100           // IFLA_BOND_AD_INFO: found by the bond
        """,
      given: """
        0500 0100 01000000
        0800 0300 64000000
        0500 0c00 00000000
        """),
    Kind(
      name: "gre", type: "0a03",  // ARPHRD_IPGRE
      told: """
        0800 0100 02000000            // IFLA_GRE_LINK: index 2
        0600 0200 0020 0000           // IFLA_GRE_IFLAGS GRE_KEY
        0600 0300 0020 0000           // IFLA_GRE_OFLAGS GRE_KEY
        0800 0400 00000007            // IFLA_GRE_IKEY 7
        0800 0500 00000007            // IFLA_GRE_OKEY 7
        0800 0600 0a000001            // IFLA_GRE_LOCAL 10.0.0.1
        0800 0700 0a000002            // IFLA_GRE_REMOTE 10.0.0.2
        0500 0800 40000000            // IFLA_GRE_TTL 64
        """),
    Kind(
      name: "gretap",
      told: """
        0800 0600 0a000001            // IFLA_GRE_LOCAL
        0800 0700 0a000002            // IFLA_GRE_REMOTE
        0500 0a00 01000000            // IFLA_GRE_PMTUDISC
        """),
    Kind(
      name: "gretap",
      told: """
        0800 0700 00000000            // IFLA_GRE_REMOTE: none, which may not be said
        0400 1200                     // IFLA_GRE_COLLECT_METADATA
        """, given: "0400 1200"),
    Kind(
      name: "ipip", type: "0003",  // ARPHRD_TUNNEL
      told: """
        0800 0200 0a000001            // IFLA_IPTUN_LOCAL
        0800 0300 0a000002            // IFLA_IPTUN_REMOTE
        0500 0900 04000000            // IFLA_IPTUN_PROTO IPIP
        """),
    Kind(
      name: "sit", type: "0803",  // ARPHRD_SIT
      told: """
        0800 0200 0a000001            // IFLA_IPTUN_LOCAL
        1400 0b00 20020000000000000000000000000000 // IFLA_IPTUN_6RD_PREFIX 2002::
        0600 0d00 1000 0000           // IFLA_IPTUN_6RD_PREFIXLEN 16
        """),
    Kind(
      name: "ip6tnl", type: "0103",  // ARPHRD_TUNNEL6
      told: """
        1400 0200 fd000000000000000000000000000001 // IFLA_IPTUN_LOCAL
        1400 0300 fd000000000000000000000000000002 // IFLA_IPTUN_REMOTE
        0800 0700 00000000            // IFLA_IPTUN_FLOWINFO
        0400 1300                     // IFLA_IPTUN_COLLECT_METADATA
        """),
  ]

  private static func attribute(_ type: UInt16, _ payload: [UInt8]) -> NetlinkAttribute {
    NetlinkAttribute(type, payload)
  }

  @Test("its parameters are given back", arguments: kinds)
  func parameters(kind: Kind) throws {
    let data = try NetlinkAttributes(Self.bytes(kind.told)[...])
    var link = Link(
      index: 5, type: UInt16(nativeBytes: Self.bytes(kind.type)[...]), flags: 0x1002,
      [
        NetlinkAttribute(LinkAttribute.name.rawValue, text: Array("x0".utf8)),
        NetlinkAttribute(LinkAttribute.address.rawValue, [2, 0, 0, 0, 0, 9]),
        NetlinkAttribute(
          LinkAttribute.linkInfo.rawValue,
          nested: NetlinkAttributes([
            NetlinkAttribute(1, text: Array(kind.name.utf8)), NetlinkAttribute(2, nested: data),
          ])),
      ])
    if ["vlan", "ipvlan"].contains(kind.name) {
      link.record.attributes.set(NetlinkAttribute(LinkAttribute.link.rawValue, UInt32(2)))
    }
    let plan = Self.request([Self.loopback, try Self.link(Self.lower), link]).plan()
    #expect(plan.findings.isEmpty)
    let made = try Self.creation(plan, 5)
    #expect(made.kind == kind.name)
    #expect(made.kindData == (try NetlinkAttributes(Self.bytes(kind.given ?? kind.told)[...])))
    // The address of a tunnel that is no Ethernet is that of its end.
    #expect((made.address == nil) == (kind.type != "0100"))
    #expect(made.lower == (["vlan", "ipvlan"].contains(kind.name) ? 2 : nil))
    #expect(LinkKind.parameters(of: link).count >= 1)
  }

  @Test("a port of a bond gets its settings, without what the bond finds")
  func bondPort() throws {
    var port = try Self.link(Self.lower)
    port.record.attributes.set(NetlinkAttribute(LinkAttribute.master.rawValue, Int32(5)))
    port.record.attributes.set(
      NetlinkAttribute(
        LinkAttribute.linkInfo.rawValue,
        try NetlinkAttributes(
          Self.bytes(
            """
            0a00 0100 64756d6d7900 0000 // IFLA_INFO_KIND "dummy"
            0900 0400 626f6e6400 000000 // IFLA_INFO_SLAVE_KIND "bond"
            1400 0580                   // IFLA_INFO_SLAVE_DATA
              0500 0100 00000000        // IFLA_BOND_SLAVE_STATE
              0600 0500 0300 0000       // IFLA_BOND_SLAVE_QUEUE_ID 3
            """)[...]
        ).encoded))
    let bond = Link(
      index: 5, type: 1, flags: 0x1403,
      [
        NetlinkAttribute(LinkAttribute.name.rawValue, text: Array("bond0".utf8)),
        NetlinkAttribute(
          LinkAttribute.linkInfo.rawValue,
          nested: NetlinkAttributes([NetlinkAttribute(1, text: Array("bond".utf8))])),
      ])
    let steps = Self.request([Self.loopback, port, bond]).plan().steps
    let changes = steps.compactMap { step -> Link? in
      guard case .request(let record, 0, _) = step.action else { return nil }
      return Link(record)
    }
    #expect(changes.contains { $0.index == 2 && $0.master == 5 })
    let settings = try #require(changes.first { $0.index == 2 && $0.portKind == "bond" })
    #expect(settings.portData.list == [NetlinkAttribute(5, UInt16(3))])
  }

  @Test("the VLANs of a port: its own goes, the saved ones come")
  func vlans() throws {
    let bridge = Link(
      index: 5, type: 1, flags: 0x1003,
      [
        NetlinkAttribute(LinkAttribute.name.rawValue, text: Array("br0".utf8)),
        NetlinkAttribute(
          LinkAttribute.linkInfo.rawValue,
          nested: NetlinkAttributes([
            NetlinkAttribute(1, text: Array("bridge".utf8)),
            NetlinkAttribute(
              2,
              nested: NetlinkAttributes([
                NetlinkAttribute(7, UInt8(1)), NetlinkAttribute(39, UInt16(1)),
              ])
            ),
          ])),
      ])
    var port = try Self.link(Self.lower)
    port.record.attributes.set(NetlinkAttribute(LinkAttribute.master.rawValue, Int32(5)))
    var request = Self.request([Self.loopback, port, bridge])
    request.networks[0].table.vlans = [
      try NetlinkRecord(
        type: MessageType.newLink,
        payload: Self.bytes(
          """
          07 00 0100 02000000 43100000 00000000 // AF_BRIDGE, index 2
          1400 1a80                             // IFLA_AF_SPEC
            0800 0200 0600 0a00                 // IFLA_BRIDGE_VLAN_INFO: PVID|UNTAGGED, 10
            0800 0200 0000 1400                 // IFLA_BRIDGE_VLAN_INFO: 20
          """)[...])
    ]
    let messages = request.plan().steps.compactMap { step -> NetlinkRecord? in
      guard case .request(let record, _, _) = step.action, record.header[0] == 7 else { return nil }
      return record
    }
    #expect(messages.map(\.type) == [MessageType.deleteLink, MessageType.setLink])
    let removed = try #require(messages.first?.attributes[26]).attributes()
    #expect(removed.list == [NetlinkAttribute(2, [0, 0, 1, 0])])
    let added = try #require(messages.last?.attributes[26]).attributes()
    #expect(
      added.list == [NetlinkAttribute(2, [6, 0, 10, 0]), NetlinkAttribute(2, [0, 0, 20, 0])])
  }

  @Test("an unknown kind is a finding that names link, kind and type")
  func unknownKind() throws {
    let link = Link(
      index: 8, type: 1, flags: 0,
      [
        NetlinkAttribute(LinkAttribute.name.rawValue, text: Array("odd0".utf8)),
        NetlinkAttribute(
          LinkAttribute.linkInfo.rawValue,
          nested: NetlinkAttributes([NetlinkAttribute(1, text: Array("oddkind".utf8))])),
      ])
    var table = NetworkTable()
    table.links = [Self.loopback, link]
    let namespace = LinkClassifier.Namespace(inode: 1, table: table)
    let found = try LinkClassifier().classify([namespace])
    let finding = try #require(found.findings.first)
    #expect(finding.severity == .problem)
    for word in ["odd0", "oddkind", "type 1", "-L DIR"] { #expect("\(finding)".contains(word)) }
    let answered = try LinkClassifier { _ in "mine" }.classify([namespace])
    #expect(answered.findings.isEmpty)
    #expect(answered.networks[0].classes == [.madeByKernel, .externalByPlugin])
  }
}
