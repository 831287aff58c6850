extension NetworkTable {
  /// The forwarding entries but those of the kernel's own making: a bridge knows the addresses of its ports
  /// and of itself, in each VLAN that a port has, where the kernel has VLANs.
  public static func chosenForwarding(
    _ records: [NetlinkRecord], among links: [Link]
  ) -> [NetlinkRecord] {
    var addresses: Set<[UInt8]> = []
    for link in links where link.kind == "bridge" || link.portKind == "bridge" {
      if let address = link.address { addresses.insert(address) }
    }
    if addresses.isEmpty { return records }
    let (address, master): (UInt16, UInt16) = (2, 9)
    return records.filter { record in
      guard record.isPermanentNeighbour, record.attributes[master] != nil,
        let own = record.attributes[address]?.payload
      else { return true }
      return !addresses.contains(own)
    }
  }
}

extension NetlinkRecord {
  /// Whether a device listens to a group (`NDA_LLADDR`, no destination) that goes with an IPv6 address of
  /// its own: that comes with the carrier, and when the address is known to be nobody else's.
  var isListeningByItself: Bool {
    guard attributes[1] == nil, attributes[9] == nil, let group = attributes[2]?.payload
    else { return false }
    return group.starts(with: [0x33, 0x33, 0xFF])
  }
}
