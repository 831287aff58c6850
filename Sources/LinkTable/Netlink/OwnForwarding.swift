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

extension NetworkTable {
  /// Whether a device listens to the group (`NDA_LLADDR`, no destination) of one of its own IPv6 addresses
  /// (RFC 4291, 2.7.1): the kernel sees to that when the carrier comes and the address is known to be nobody
  /// else's. Where no address asks for it, somebody put the group there.
  func isListeningByItself(_ record: NetlinkRecord) -> Bool {
    guard record.attributes[1] == nil, record.attributes[9] == nil,
      let group = record.attributes[2]?.payload, group.count == 6,
      group.starts(with: [0x33, 0x33, 0xFF])
    else { return false }
    let index: Int32 = record.number(at: 4)
    let end = Array(group.suffix(3))
    if let own = links.first(where: { $0.index == index })?.interfaceAddress,
      Array(own.suffix(3)) == end
    {
      return true
    }
    return addresses.contains { address in
      // struct ifaddrmsg: AF_INET6, and the link's index.
      guard address.header.first == 10, address.number(at: 4) == index else { return false }
      return address.attributes[1].map { Array($0.payload.suffix(3)) == end } ?? false
    }
  }
}
