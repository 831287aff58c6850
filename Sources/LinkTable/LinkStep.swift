/// One thing that is done to restore links: a value that can be printed, and the executor does.
/// Messages are complete but for numbers that only the executor knows (descriptors of namespaces).
public enum LinkStep: Hashable, Sendable {
  /// What follows is done in this network namespace. The first is the container's own.
  case enter(NetworkSlot)
  /// `RTM_NEWLINK` with `NLM_F_CREATE | NLM_F_EXCL`.
  case create(NetlinkRecord)
  /// A veth, or another kind with two ends: `peer` stands in `IFLA_INFO_DATA` under the attribute
  /// `peerAttribute` and is made in `slot`.
  case createPair(NetlinkRecord, peer: NetlinkRecord, peerAttribute: UInt16, in: NetworkSlot)
  /// `/dev/net/tun` and `TUNSETIFF`.
  case createTunnelDevice(TunnelDevice)
  /// A message that changes what is there: `RTM_SETLINK`, `RTM_NEWLINK` without creating.
  case change(NetlinkRecord)
  /// `NLM_F_CREATE`, and `NLM_F_REPLACE` where the kernel may have made it by itself.
  case add(NetlinkRecord, replacing: Bool)
  /// `RTM_DEL…`; that it is gone already is no error.
  case remove(NetlinkRecord)
  case writeSysctl(Sysctl)
  /// `RTM_NEWNSID`: from here on this namespace calls `slot` by `id`.
  case nameNamespace(NetworkSlot, id: Int32)
  case loadPacketFilter(PacketFilter, [UInt8])
}

/// A network namespace while the plan is carried out; 0 is the container's own.
public struct NetworkSlot: Hashable, Sendable {
  public var number: Int

  public init(_ number: Int) { self.number = number }

  public static let own = NetworkSlot(0)
}

/// A tun or tap link, as `TUNSETIFF`, `TUNSETPERSIST`, `TUNSETOWNER` and `TUNSETGROUP` make it.
public struct TunnelDevice: Hashable, Sendable {
  public var name: [UInt8]
  /// `IFF_TUN`, `IFF_TAP`, `IFF_NO_PI`, `IFF_VNET_HDR`, `IFF_MULTI_QUEUE`, …
  public var flags: UInt32
  public var owner: UInt32?
  public var group: UInt32?
  /// Which index it gets; 0 where any will do. `TUNSETIFINDEX`.
  public var index: Int32

  public init(name: [UInt8], flags: UInt32, owner: UInt32?, group: UInt32?, index: Int32) {
    self.name = name
    self.flags = flags
    self.owner = owner
    self.group = group
    self.index = index
  }
}
