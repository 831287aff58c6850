/// A network namespace while links are restored.
public struct NetworkSlot: Hashable, Sendable, CustomStringConvertible {
  public var number: Int

  public init(_ number: Int) { self.number = number }

  /// The engine's own namespace.
  public static let host = NetworkSlot(-1)
  /// The container's own.
  public static let own = NetworkSlot(0)

  public var description: String {
    switch number {
    case -1: "on the host"
    case 0: ""
    default: "in nested network \(number)"
    }
  }
}

/// One thing that is done to restore links: a value. Messages are complete but for numbers that only the
/// executor knows (descriptors of namespaces).
public struct LinkStep: Hashable, Sendable, CustomStringConvertible {
  public enum Action: Hashable, Sendable {
    /// A rtnetlink message.
    case request(NetlinkRecord, flags: UInt16, tolerating: Set<Int32> = [])
    /// A message that makes a link in this namespace (`IFLA_NET_NS_FD`), sent in the step's own.
    case create(NetlinkRecord, in: NetworkSlot)
    /// A message that moves a link into this namespace.
    case move(NetlinkRecord, to: NetworkSlot)
    /// A veth whose other end is made in this namespace.
    case createPair(NetlinkRecord, peerIn: NetworkSlot)
    case makeTunnel(TunnelDevice)
    /// A message of a generic netlink family.
    case configure(family: String, command: UInt8, NetlinkAttributes)
    case write([Sysctl])
    /// `RTM_NEWNSID`: from here on the step's namespace calls that one by the number.
    case nameNamespace(NetworkSlot, id: Int32)
    /// Until these links have a carrier, or for as long as the kernel takes to tell of one.
    case awaitCarrier(Set<Int32>)
    /// Of these links (of all where `nil`), there shall be just these records.
    case settle(RecordKind, [NetlinkRecord], links: Set<Int32>?)
    /// What `nft`, `iptables-restore` or `ip6tables-restore` read.
    case loadPacketFilter(PacketFilter, [UInt8])
  }

  public var slot: NetworkSlot
  public var action: Action
  /// What is done on what: `create link eth0 (veth, index 2)`.
  public var subject: String

  public init(_ slot: NetworkSlot, _ action: Action, _ subject: String) {
    self.slot = slot
    self.action = action
    self.subject = subject
  }

  public var description: String {
    let place = slot.description
    return subject + (place.isEmpty ? "" : " \(place)")
  }
}

/// `NLM_F_…` of requests.
public enum RequestFlag {
  public static let exclusive: UInt16 = 0x200
  public static let create: UInt16 = 0x400
  public static let append: UInt16 = 0x800
}
