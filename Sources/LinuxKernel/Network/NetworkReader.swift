import LinkTable
import SystemPackage

/// Reads what network namespaces hold: a pass over rtnetlink for each, no process started.
public enum NetworkReader {
  /// `AF_…`.
  static let internet: UInt8 = 2
  static let bridge: UInt8 = 7
  static let internet6: UInt8 = 10

  /// `RTM_GET…`, always two after `RTM_NEW…`.
  private static func request(
    _ type: UInt16, family: UInt8 = 0, _ attributes: [NetlinkAttribute] = []
  ) -> NetlinkRecord {
    var header = [UInt8](repeating: 0, count: MessageType.headerSize(type) ?? 0)
    header[0] = family
    return NetlinkRecord(type: type + 2, header: header, attributes: .init(attributes))
  }

  /// `RTEXT_FILTER_SKIP_STATS`, `RTEXT_FILTER_BRVLAN` in `IFLA_EXT_MASK`.
  private static let withoutStatistics = NetlinkAttribute(
    LinkAttribute.extendedMask.rawValue, UInt32(8))
  private static let withVLANs = NetlinkAttribute(LinkAttribute.extendedMask.rawValue, UInt32(2))

  /// The links alone.
  public static func links(_ place: NetworkPlace) throws(SystemCallFailure) -> [Link] {
    try links(place.netlink, place.name)
  }

  /// The links of the namespace that a socket is of, in the order of their indices: kernels before 6.6 list
  /// them by the last eight bits of the index, and of those the newest first.
  public static func links(
    _ socket: NetlinkSocket, _ name: String
  ) throws(SystemCallFailure) -> [Link] {
    let records = try socket.dump(
      request(MessageType.newLink, [withoutStatistics]), "the links of \(name)")
    return records.map { Link($0) }.sorted { $0.index < $1.index }
  }

  /// All there is.
  ///
  /// - Parameters:
  ///   - others: the namespaces that this one may have a number for (`RTM_GETNSID`).
  ///   - withKeys: whether private keys of wireguard links are read.
  public static func table(
    _ place: NetworkPlace, among others: [NetworkPlace] = [], withKeys: Bool = false
  ) throws(SystemCallFailure) -> NetworkTable {
    var table = NetworkTable()
    table.links = try links(place)
    try readWireguard(&table, place, withKeys)
    try readMacsec(&table, place)
    table.addresses = try records(.addresses, place)
    table.routes = try records(.routes, place)
    table.rules = try records(.rules, place)
    table.neighbours = try records(.neighbours, place)
    table.nextHops = try records(.nextHops, place)
    table.forwarding = try records(.forwarding, place)
    func read(
      _ type: UInt16, _ what: String, family: UInt8 = 0, _ attributes: [NetlinkAttribute] = []
    ) throws(SystemCallFailure) -> [NetlinkRecord] {
      try Self.read(place.netlink, place.name, type, what, family: family, attributes)
    }
    let hasBridges = table.links.contains { ["bridge", "vxlan"].contains($0.kind) }
    if hasBridges {
      table.multicast = try read(
        MessageType.newMulticastEntry, "multicast entries", family: bridge)
      table.vlans = try read(MessageType.newLink, "VLANs", family: bridge, [withVLANs])
    }
    table.queueing = try read(MessageType.newQueueing, "queueing disciplines")
    table.sysctls = try place.settings()
    for folder in NeighbourSettings.folders(
      try read(MessageType.newNeighbourTable, "settings of neighbours"), table.links)
    { table.sysctls += try place.settings(in: folder) }
    try readSecrets(&table, place)
    for other in others {
      if let id = try identifier(of: other, in: place) {
        table.namespaceIDs.append(NamespaceID(id: id, inode: other.inode))
      }
    }
    return table
  }

  static func read(
    _ socket: NetlinkSocket, _ name: String, _ type: UInt16, _ what: String, family: UInt8 = 0,
    _ attributes: [NetlinkAttribute] = []
  ) throws(SystemCallFailure) -> [NetlinkRecord] {
    try read(socket, request(type, family: family, attributes), "the \(what) of \(name)")
  }

  private static func read(
    _ socket: NetlinkSocket, _ request: NetlinkRecord, _ subject: String
  ) throws(SystemCallFailure) -> [NetlinkRecord] {
    do {
      return try socket.dump(request, subject)
    } catch {
      // A kernel without the thing has none of it.
      if error.errno == .notSupportedOnSocket || error.errno == .addressFamilyNotSupported {
        return []
      }
      throw error
    }
  }

  /// Permanent neighbours and those that are answered for; what is learnt is learnt again.
  static func neighbours(
    _ socket: NetlinkSocket, _ family: UInt8, _ name: String
  ) throws(SystemCallFailure) -> [NetlinkRecord] {
    let all = request(MessageType.newNeighbour, family: family)
    var proxies = all
    proxies.header[10] = 8  // NTF_PROXY
    return try read(socket, all, "the neighbours of \(name)").filter { $0.isPermanentNeighbour }
      + read(socket, proxies, "the neighbours of \(name)")
  }

  private static func readWireguard(
    _ table: inout NetworkTable, _ place: NetworkPlace, _ withKeys: Bool
  ) throws(SystemCallFailure) {
    guard table.links.contains(where: { $0.kind == Wireguard.kind }) else { return }
    let socket = try place.socket(protocol: NetlinkSocket.generic)
    guard let family = try socket.family(Wireguard.kind) else { return }
    for (place, link) in table.links.enumerated() where link.kind == Wireguard.kind {
      let answers = try socket.dumpGeneric(
        family, Wireguard.getDevice, Wireguard.question(link.index), "the peers of \(link)")
      table.links[place] = Wireguard.link(link, answers, withSecrets: withKeys)
    }
  }

  private static func readMacsec(
    _ table: inout NetworkTable, _ place: NetworkPlace
  ) throws(SystemCallFailure) {
    guard table.links.contains(where: { $0.kind == Macsec.kind }) else { return }
    let socket = try place.socket(protocol: NetlinkSocket.generic)
    guard let family = try socket.family(Macsec.kind) else { return }
    let answers = try socket.dumpGeneric(
      family, Macsec.getChannels, NetlinkAttributes(), "the channels of macsec links")
    for (number, link) in table.links.enumerated() where link.kind == Macsec.kind {
      table.links[number] = Macsec.link(link, answers)
    }
  }

  /// What IPv6 addresses are made of, which no message tells: for links that make them so.
  private static func readSecrets(
    _ table: inout NetworkTable, _ place: NetworkPlace
  ) throws(SystemCallFailure) {
    for link in table.links where link.addressGeneration == .stablePrivacy {
      let path = Array("ipv6/conf/".utf8) + link.name + Array("/stable_secret".utf8)
      if let value = try place.setting(path), !value.isEmpty {
        table.sysctls.append(Sysctl(path: path, value: value))
      }
    }
  }

  /// The number that `place` has for another namespace.
  static func identifier(
    of other: NetworkPlace, in place: NetworkPlace
  ) throws(SystemCallFailure) -> Int32? {
    let fileDescriptor: UInt16 = 3
    let question = request(
      MessageType.newNamespaceID,
      [NetlinkAttribute(fileDescriptor, UInt32(bitPattern: other.namespace.number))])
    let answer = try place.netlink.get(question, "the number of \(other.name) in \(place.name)")
    guard let id = answer.attributes[1]?.i32, id >= 0 else { return nil }
    return id
  }
}
