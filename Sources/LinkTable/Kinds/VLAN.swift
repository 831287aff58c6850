/// VLANs (`linux/if_link.h`, `linux/if_vlan.h`).
enum VLAN {
  /// `IFLA_VLAN_…`.
  enum Parameter {
    static let flags: UInt16 = 2
    static let egressPriorities: UInt16 = 3
    static let ingressPriorities: UInt16 = 4
  }

  /// `VLAN_FLAG_…`: REORDER_HDR, GVRP, LOOSE_BINDING, MVRP, BRIDGE_BINDING.
  private static let flags: UInt32 = 0x1F

  static let link = LinkKind(
    "vlan", "id flags egress-qos ingress-qos protocol",
    toldIfSet: [Parameter.egressPriorities, Parameter.ingressPriorities])

  /// As the kernel takes it: of `struct ifla_vlan_flags` it tells a mask of all bits, and refuses one with
  /// bits that are no flags. A map of priorities is told with the newest first.
  static func given(_ attribute: NetlinkAttribute) -> NetlinkAttribute {
    switch attribute.type {
    case Parameter.flags where attribute.payload.count == 8:
      let value = UInt32(nativeBytes: attribute.payload[0..<4])
      return NetlinkAttribute(
        attribute.type, value.nativeBytes + (value | flags).nativeBytes)
    case Parameter.egressPriorities:
      guard let map = try? attribute.attributes() else { return attribute }
      return NetlinkAttribute(attribute.type, nested: NetlinkAttributes(map.list.reversed()))
    default: return attribute
    }
  }

  /// The same for maps that say the same in another order.
  static func stable(_ data: NetlinkAttributes) -> NetlinkAttributes {
    NetlinkAttributes(
      data.list.map { attribute in
        guard [Parameter.egressPriorities, Parameter.ingressPriorities].contains(attribute.type),
          let map = try? attribute.attributes()
        else { return attribute }
        let list = map.list.sorted { $0.payload.lexicographicallyPrecedes($1.payload) }
        return NetlinkAttribute(attribute.type, nested: NetlinkAttributes(list))
      })
  }
}
