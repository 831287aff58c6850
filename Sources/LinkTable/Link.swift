/// A network link (`RTM_NEWLINK`): `struct ifinfomsg` and the `IFLA_…` attributes.
public struct Link: Hashable, Sendable {
  public var record: NetlinkRecord

  public init(_ record: NetlinkRecord) { self.record = record }

  /// A link put together, not read.
  public init(index: Int32, type: UInt16, flags: UInt32, _ attributes: [NetlinkAttribute]) {
    record = NetlinkRecord(
      type: MessageType.newLink, header: [UInt8](repeating: 0, count: 16),
      attributes: NetlinkAttributes(attributes))
    record.setNumber(type, at: 2)
    record.setNumber(index, at: 4)
    record.setNumber(flags, at: 8)
  }

  /// `ARPHRD_…`.
  public var type: UInt16 { record.number(at: 2) }
  /// Unique in its network namespace.
  public var index: Int32 {
    get { record.number(at: 4) }
    set { record.setNumber(newValue, at: 4) }
  }
  /// `IFF_…`.
  public var flags: UInt32 {
    get { record.number(at: 8) }
    set { record.setNumber(newValue, at: 8) }
  }
  public var isUp: Bool { flags & 1 != 0 }
  /// `IFF_RUNNING`: up, with a carrier.
  public var isRunning: Bool { flags & 0x41 == 0x41 }
  /// Whether the kernel has done what it does when a carrier comes, IPv6 addresses included: `IFF_LOWER_UP`,
  /// and a queue in the place of `noop`. `IFF_RUNNING` alone may be from before the link was up.
  public var isReady: Bool {
    isRunning && flags & 0x10000 != 0 && self[.queueing]?.text != Array("noop".utf8)
  }

  /// Up to 15 bytes, none of them NUL, `/` or white space.
  public var name: [UInt8] { self[.name]?.text ?? [] }
  /// The name for people.
  public var displayName: String { printable(name) }
  public var mtu: UInt32? { self[.mtu]?.u32 }
  public var address: [UInt8]? { self[.address]?.payload }
  public var alias: [UInt8]? { self[.alias]?.text }
  /// The index of the bridge, bond or vrf that it is a port of.
  public var master: Int32? { self[.master]?.i32 }
  /// `IFLA_LINK`: the index of the link it lies on, or of its peer; in the namespace `lowerNamespace`
  /// where that is given.
  public var lower: Int32? {
    guard let index = self[.link]?.i32, index != 0 else { return nil }
    return index
  }
  /// `IFLA_LINK_NETNSID`: the ID, in this namespace, of the one that `lower` is in; -1 where it has none.
  public var lowerNamespace: Int32? { self[.linkNamespaceID]?.i32 }

  /// `IFLA_INFO_KIND`; `nil` for loopback and for hardware.
  public var kind: String? { info[1].map { printable($0.text) } }
  /// `IFLA_INFO_DATA`: parameters of the kind.
  public var kindData: NetlinkAttributes { nested(info[2]) }
  /// `IFLA_INFO_SLAVE_KIND`, `IFLA_INFO_SLAVE_DATA`: what the master says of its port.
  public var portKind: String? { info[4].map { printable($0.text) } }
  public var portData: NetlinkAttributes { nested(info[5]) }
  public var alternativeNames: [[UInt8]] {
    nested(self[.propertyList]).all(LinkAttribute.alternativeName.rawValue).map(\.text)
  }

  public subscript(_ attribute: LinkAttribute) -> NetlinkAttribute? {
    record.attributes[attribute.rawValue]
  }

  private var info: NetlinkAttributes { nested(self[.linkInfo]) }

  /// What is no row of attributes has none: images are checked when they are read.
  private func nested(_ attribute: NetlinkAttribute?) -> NetlinkAttributes {
    (try? attribute?.attributes()) ?? NetlinkAttributes()
  }
}

extension Link {
  /// The IPv6 address that an Ethernet link makes itself from its MAC (modified EUI-64, RFC 4291).
  var interfaceAddress: [UInt8]? {
    guard type == 1, addressGeneration == .eui64, let mac = address, mac.count == 6 else {
      return nil
    }
    return [0xFE, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xFF, 0xFE] + mac[3...]
  }
}

/// `IFLA_…` of `linux/if_link.h`.
public enum LinkAttribute: UInt16, Sendable {
  case address = 1
  case broadcast, name, mtu, link, queueing, statistics, cost, priority, master
  case wireless, protocolInfo, queueLength, map, weight, operationalState, linkMode, linkInfo
  case namespacePID, alias, virtualFunctionCount, virtualFunctions, statistics64, virtualPorts
  case selfPort, perFamily, group, namespaceFD, extendedMask, promiscuity, sendQueues
  case receiveQueues, carrier, physicalPortID, carrierChanges, physicalSwitchID
  case linkNamespaceID, physicalPortName, protocolDown, gsoMaxSegments, gsoMaxSize, padding
  case expressDataPath, event, newNamespaceID, targetNamespaceID, carrierUpCount
  case carrierDownCount, newIndex, minimumMTU, maximumMTU, propertyList, alternativeName
  case permanentAddress, protocolDownReason, parentName, parentBusName, groMaxSize, tsoMaxSize
  case tsoMaxSegments, allMulticast
}

/// Bytes for people: what is not printable ASCII is escaped.
func printable(_ bytes: [UInt8]) -> String {
  bytes.map {
    (0x21...0x7E).contains($0) && $0 != 0x5C
      ? String(UnicodeScalar($0)) : "\\x" + String($0 >> 4, radix: 16) + String($0 & 15, radix: 16)
  }.joined()
}
