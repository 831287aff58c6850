import LinkTable

/// The lists of records that a network has besides its links.
enum NetworkRecordKind: CaseIterable {
  case addresses, routes, rules, nextHops, neighbours, forwarding, multicast, vlans, queueing

  /// The types of messages that may be in the list.
  var types: Set<UInt16> {
    switch self {
    case .addresses: [MessageType.newAddress]
    case .routes: [MessageType.newRoute]
    case .rules: [MessageType.newRule]
    case .nextHops: [MessageType.newNextHop]
    case .neighbours, .forwarding: [MessageType.newNeighbour]
    // The kernel answers RTM_GETMDB with messages of that type.
    case .multicast: [MessageType.newMulticastEntry, MessageType.newMulticastEntry + 2]
    case .vlans: [MessageType.newLink, MessageType.newVLAN]
    case .queueing: [MessageType.newQueueing]
    }
  }

  /// One of them, for people.
  var words: String {
    switch self {
    case .addresses: "an address"
    case .routes: "a route"
    case .rules: "a rule"
    case .nextHops: "a next hop"
    case .neighbours: "a neighbour"
    case .forwarding: "a forwarding entry"
    case .multicast: "a multicast entry"
    case .vlans: "a VLAN"
    case .queueing: "a queueing discipline"
    }
  }

  func records(of table: NetworkTable) -> [NetlinkRecord] {
    switch self {
    case .addresses: table.addresses
    case .routes: table.routes
    case .rules: table.rules
    case .nextHops: table.nextHops
    case .neighbours: table.neighbours
    case .forwarding: table.forwarding
    case .multicast: table.multicast
    case .vlans: table.vlans
    case .queueing: table.queueing
    }
  }

  func file(_ network: UInt32, _ record: NetlinkRecord) -> String {
    switch self {
    case .addresses: ImageName.addresses(network)
    case .routes:
      record.header.first == NetworkImages.internet6
        ? ImageName.routes6(network) : ImageName.routes(network)
    case .rules: ImageName.rules(network)
    default: ImageName.network(network)
    }
  }

  /// The index of the link in the fixed part of a message: always after four bytes.
  func linkIndex(of record: NetlinkRecord) -> Int32? {
    switch self {
    case .routes, .rules, .nextHops: nil
    default: Int32(nativeBytes: record.header[4..<8])
    }
  }

  /// The attribute with the index of the link that packets leave by: `RTA_OIF`, `NHA_OIF`.
  var linkAttribute: UInt16? {
    switch self {
    case .routes: 4
    case .nextHops: 5
    default: nil
    }
  }
}
