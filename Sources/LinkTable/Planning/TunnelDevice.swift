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
