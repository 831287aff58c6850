import LinkTable
import RestorePlan
import Testing

/// Kinds that lie on several links, pairs, and what no kernel tells.
@Suite("macsec, hsr, netkit and foreign kinds")
struct StackedKindTests {
  private static func link(
    _ name: String, _ index: Int32, _ kind: String, _ data: [NetlinkAttribute] = [],
    lower: Int32? = nil
  ) -> Link {
    var info = [NetlinkAttribute(1, text: Array(kind.utf8))]
    if !data.isEmpty { info.append(NetlinkAttribute(2, nested: NetlinkAttributes(data))) }
    var attributes = [
      NetlinkAttribute(LinkAttribute.name.rawValue, text: Array(name.utf8)),
      NetlinkAttribute(LinkAttribute.address.rawValue, [2, 0, 0, 0, 0, 9]),
      NetlinkAttribute(
        LinkAttribute.linkInfo.rawValue, nested: NetlinkAttributes(info)),
    ]
    if let lower { attributes.append(NetlinkAttribute(LinkAttribute.link.rawValue, lower)) }
    return Link(index: index, type: 1, flags: 0x1002, attributes)
  }

  private static func classify(
    _ links: [Link], _ options: LinkOptions = LinkOptions()
  ) throws -> LinkClassification {
    var table = NetworkTable()
    table.links = [FabricatedKindTests.loopback] + links
    return try LinkClassifier(options: options).classify([.init(inode: 1, table: table)])
  }

  private static func nested(_ type: UInt16, _ rows: [[NetlinkAttribute]]) -> NetlinkAttribute {
    NetlinkAttribute(
      type,
      nested: NetlinkAttributes(rows.map { NetlinkAttribute(1, nested: NetlinkAttributes($0)) }))
  }

  private static let keyID = [UInt8](repeating: 1, count: 1) + [UInt8](repeating: 0, count: 15)

  /// A macsec link with one association that sends and one channel with an association.
  private static func macsec() -> Link {
    let association = [
      NetlinkAttribute(1, UInt8(0)), NetlinkAttribute(2, UInt8(1)), NetlinkAttribute(3, UInt32(7)),
      NetlinkAttribute(5, keyID),
    ]
    let message = NetlinkAttributes([
      NetlinkAttribute(1, Int32(3)), nested(5, [association]),
      nested(6, [[NetlinkAttribute(1, UInt64(5)), nested(3, [association])]]),
    ])
    let data = [
      NetlinkAttribute(1, [2, 0, 0, 0, 0, 9, 0, 6]),
      NetlinkAttribute(4, 0x0080_0200_0100_0001 as UInt64),
      NetlinkAttribute(9, UInt8(0)),
    ]
    return Macsec.link(link("m0", 3, "macsec", data, lower: 2), [message])
  }

  private static func commands(_ links: [Link]) -> [UInt8] {
    FabricatedKindTests.request([FabricatedKindTests.loopback] + links).plan().steps.compactMap {
      if case .configure("macsec", let command, _) = $0.action { command } else { nil }
    }
  }

  @Test("macsec keys: asked for, given, left out")
  func macsecKeys() throws {
    let links = [Self.link("d0", 2, "dummy"), Self.macsec()]
    let asked = try Self.classify(links)
    #expect(asked.findings.count == 1)
    #expect(asked.findings.first?.severity == .problem)
    #expect(asked.findings.first?.message.contains("01000000000000000000000000000000") ?? false)

    var options = LinkOptions()
    options.macsecKeys = try MacsecKeys(parsing: "m0:01 \(String(repeating: "8f", count: 16)) # it")
    let given = try Self.classify(links, options)
    #expect(given.findings.isEmpty)
    #expect(Self.commands(Array(given.networks[0].table.links.dropFirst())) == [1, 7, 4])

    options.macsecKeys = try MacsecKeys(parsing: "01 \(String(repeating: "8f", count: 32))")
    #expect(try Self.classify(links, options).findings.first?.message.contains("16 bytes") ?? false)

    options = LinkOptions()
    try options.leftOut.add(parsing: "macsec-keys:m0")
    let left = try Self.classify(links, options)
    #expect(left.findings.isEmpty)
    #expect(Self.commands(Array(left.networks[0].table.links.dropFirst())) == [1])
  }

  @Test("a macsec link whose frames do not name the channel is given the port alone")
  func macsecPort() throws {
    let plan = FabricatedKindTests.request([
      FabricatedKindTests.loopback, Self.link("d0", 2, "dummy"), Self.macsec(),
    ]).plan()
    let made = try FabricatedKindTests.creation(plan, 3).kindData
    #expect(made[1] == nil)
    #expect(made[2]?.payload == [0, 6])
  }

  @Test(
    "files of macsec keys that are refused",
    arguments: [
      "01", "01 02 03 04", "0 \(String(repeating: "1", count: 32))",
      "01 \(String(repeating: "1", count: 30))", "01 \(String(repeating: "x", count: 32))",
      "a:b:01 \(String(repeating: "1", count: 32))",
      "01 \(String(repeating: "1", count: 32)) 1122",
      "01 \(String(repeating: "1", count: 32))\n0100 \(String(repeating: "2", count: 32))",
    ])
  func badKeys(_ text: String) {
    #expect(throws: OptionError.self) { try MacsecKeys(parsing: text) }
  }

  @Test(
    "an hsr link comes after its members, with the version that is said, since no kernel tells it")
  func ring() throws {
    let ring = Self.link(
      "hsr0", 2, "hsr",
      [
        NetlinkAttribute(1, Int32(7)), NetlinkAttribute(2, Int32(8)),
        NetlinkAttribute(4, [1, 0x15, 0x4E, 0, 1, 0x2D]), NetlinkAttribute(7, UInt8(0)),
      ])
    let links = [ring, Self.link("d0", 7, "dummy"), Self.link("d1", 8, "dummy")]
    #expect(try Self.classify(links).findings.first?.message.contains("version") ?? false)
    var options = LinkOptions()
    options.external = [try #require(try LinkOption(parsing: "hsr[hsr0]:1"))]
    let settled = try Self.classify(links, options)
    #expect(settled.findings.isEmpty)
    let plan = FabricatedKindTests.request(settled.networks[0].table.links).plan()
    let made = plan.steps.compactMap { step -> Int32? in
      guard case .request(let record, let flags, _) = step.action,
        flags & RequestFlag.create != 0, record.type == MessageType.newLink
      else { return nil }
      return Link(record).index
    }
    #expect(made == [7, 8, 2])
    let data = try FabricatedKindTests.creation(plan, 2).kindData
    #expect(data[6]?.u8 == 1)
    #expect(data[3]?.u8 == 0x2D)
  }

  @Test("kinds that others make: who does is named, and a key settles them")
  func foreign() throws {
    let links = [Self.link("p0", 2, "ppp"), Self.link("u0", 3, "unheard-of")]
    let findings = try Self.classify(links).findings
    #expect(findings.count == 2)
    #expect(findings[0].message.contains("pppd"))
    #expect(findings[1].message.contains("not known here (unheard-of"))
    var options = LinkOptions()
    options.external = [
      try #require(try LinkOption(parsing: "link[p0]:modem")),
      try #require(try LinkOption(parsing: "link[u0]:other")),
    ]
    let settled = try Self.classify(links, options)
    #expect(settled.findings.isEmpty)
    #expect(
      settled.networks[0].classes.suffix(2) == [.externalByKey("modem"), .externalByKey("other")])
  }

  @Test("a pair of netkit links is made from its first end, with the parameters of both")
  func netkit() throws {
    func end(_ name: String, _ index: Int32, _ peer: Int32, isFirst: Bool) -> Link {
      Self.link(
        name, index, "netkit",
        [
          NetlinkAttribute(2, UInt8(isFirst ? 1 : 0)), NetlinkAttribute(3, UInt32(isFirst ? 2 : 0)),
          NetlinkAttribute(4, UInt32(isFirst ? 0 : 2)), NetlinkAttribute(5, UInt32(1)),
        ], lower: peer)
    }
    let plan = FabricatedKindTests.request([
      FabricatedKindTests.loopback, end("nk0", 2, 3, isFirst: false),
      end("nk1", 3, 2, isFirst: true),
    ]).plan()
    let made = try FabricatedKindTests.creation(plan, 3)
    #expect(made.kindData[2] == nil)
    #expect(made.kindData[3]?.u32 == 2)
    #expect(made.kindData[1] != nil)
    // Of layer 3: no address of the link layer may be given.
    #expect(made.address == nil)
  }
}
