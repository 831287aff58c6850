import RestorePlan
import Testing

@testable import LinkTable

/// What an image must not be able to say: in which namespace a link is made.
@Suite("Namespaces are named by the engine, never by an image")
struct ForbiddenAttributeTests {
  /// `IFLA_NET_NS_PID`, `IFLA_NET_NS_FD`, `IFLA_NEW_NETNSID`, `IFLA_TARGET_NETNSID`.
  private static let forbidden: [LinkAttribute] = [
    .namespacePID, .namespaceFD, .newNamespaceID, .targetNamespaceID,
  ]
  /// In each forbidden attribute of these images, and nowhere else.
  private static let mark: UInt32 = 0x5EED_C0DE

  private static var hostile: [NetlinkAttribute] {
    forbidden.map { NetlinkAttribute($0.rawValue, mark) }
  }

  /// A link with what no kernel tells: beside its attributes, and in parameter 1 as a message for a peer.
  private static func link(
    _ index: Int32, _ kind: String, lower: Int32?, _ data: [NetlinkAttribute] = []
  ) -> Link {
    let peer = LinkMessage.message(0, hostile)
    let all = [NetlinkAttribute(1, peer.payload)] + data
    var attributes = [NetlinkAttribute(LinkAttribute.name.rawValue, text: Array("x\(index)".utf8))]
    if let lower { attributes.append(NetlinkAttribute(LinkAttribute.link.rawValue, lower)) }
    attributes.append(LinkMessage.info(kind, all))
    return Link(index: index, type: 1, flags: 0x1003, attributes + hostile)
  }

  private static func messages(_ links: [Link]) -> [NetlinkRecord] {
    FabricatedKindTests.request([FabricatedKindTests.loopback] + links).plan().steps.compactMap {
      switch $0.action {
      case .request(let record, _, _), .create(let record, _), .createPair(let record, _): record
      default: nil
      }
    }
  }

  private static func hasMark(_ record: NetlinkRecord) -> Bool {
    let bytes = record.payload
    return bytes.indices.contains { bytes[$0...].starts(with: mark.nativeBytes) }
  }

  @Test("a pair", arguments: ["veth", "vxcan", "netkit"])
  func pair(kind: String) {
    let messages = Self.messages([
      Self.link(5, kind, lower: 6, [NetlinkAttribute(2, UInt8(1))]),
      Self.link(6, kind, lower: 5, [NetlinkAttribute(2, UInt8(0))]),
    ])
    #expect(messages.contains { Link($0).kind == kind })
    #expect(!messages.contains(where: Self.hasMark))
  }

  @Test("a netkit link without another end")
  func single() {
    let messages = Self.messages([
      Self.link(5, "netkit", lower: nil, [NetlinkAttribute(10, UInt32(1))])
    ])
    #expect(messages.contains { Link($0).kind == "netkit" })
    #expect(!messages.contains(where: Self.hasMark))
  }

  @Test("any other kind, at the link itself", arguments: ["dummy", "bridge", "ifb"])
  func others(kind: String) {
    var link = Self.link(5, kind, lower: nil)
    link.record.attributes.set(LinkMessage.info(kind, []))
    let messages = Self.messages([link])
    #expect(messages.contains { Link($0).kind == kind })
    #expect(!messages.contains(where: Self.hasMark))
  }

  @Test("verify forgives a missing group only where an address of the link asks for it")
  func groups() {
    func group(_ last: UInt8) -> NetlinkRecord {
      var record = NetlinkRecord(
        type: MessageType.newNeighbour, header: [7] + [UInt8](repeating: 0, count: 11),
        attributes: .init([NetlinkAttribute(2, [0x33, 0x33, 0xFF, 0, 0, last])]))
      record.setNumber(Int32(5), at: 4)
      return record
    }
    var address = NetlinkRecord(
      type: MessageType.newAddress, header: [10, 64, 0, 0, 0, 0, 0, 0],
      attributes: .init([NetlinkAttribute(1, [0xFD] + [UInt8](repeating: 0, count: 14) + [7])]))
    address.setNumber(Int32(5), at: 4)
    var table = NetworkTable()
    table.addresses = [address]
    #expect(table.isListeningByItself(group(7)))
    #expect(!table.isListeningByItself(group(8)))
    table.addresses[0].setNumber(Int32(6), at: 4)
    #expect(!table.isListeningByItself(group(7)))
  }
}
