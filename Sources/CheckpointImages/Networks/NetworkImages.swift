import FoundationEssentials
import LinkTable
import RestorePlan

/// The images of one network namespace.
///
/// | file | what |
/// |---|---|
/// | `netns-N.img` | settings, names of other namespaces, and what CRIU does not save |
/// | `netdev-N.img` | an entry a link |
/// | `ifaddr-N.img` | addresses, as `ip addr save` writes them |
/// | `route-N.img`, `route6-N.img` | routes of all tables, as `ip route save` writes them; those of IPv6 apart |
/// | `rule-N.img` | rules of both families, as `ip rule save` writes them |
/// | `iptables-N.img`, `ip6tables-N.img`, `nftables-N.img` | as the tools write them; not there where a tool was not |
///
/// A namespace that comes from outside has the first of them only.
struct NetworkImages {
  let id: UInt32
  /// The directory of images.
  let directory: CInt
  /// Whether no other network is in the set. CRIU keeps no inodes: where there are several, the numbers
  /// stand in for them.
  var isAlone = true

  static let internet6: UInt8 = 10

  /// The numbers of the networks by their inodes.
  static func numbers(of networks: [SavedNetwork]) -> [UInt64: UInt32] {
    var numbers: [UInt64: UInt32] = [:]
    for network in networks where network.inode != 0 { numbers[network.inode] = network.id }
    return numbers
  }

  /// - Throws: `ImageError`; `NetworkImageCheck` has still to be run.
  func read() throws(ImageError) -> SavedNetwork {
    let file = ImageName.network(id)
    let entry = try networkEntry(file)
    let isOurs = entry.hasInode
    var network = SavedNetwork(
      id: id, inode: isOurs ? entry.inode : isAlone ? 0 : UInt64(id), table: NetworkTable(),
      classes: [])
    if entry.hasExtKey {
      network.externalKey = String(decoding: entry.extKey, as: UTF8.self)
      guard !entry.extKey.isEmpty, !entry.extKey.contains(0) else {
        throw ImageError(file, .badValue(field: "ext_key", value: "\"\(network.externalKey!)\""))
      }
      return network
    }
    network.table.namespaceIDs =
      isOurs
      ? entry.namespaces.map { NamespaceID(id: $0.id, inode: $0.inode) }
      : entry.nsids.map { NamespaceID(id: $0.netnsidValue, inode: UInt64($0.targetNsID)) }
    if isOurs {
      network.table.sysctls = entry.settings.map {
        Sysctl(
          path: Array($0.path), value: Array($0.value),
          origin: $0.hasChanged ? $0.changed ? .changed : .kernel : .unknown)
      }
    } else {
      setSysctls(of: &network.table, from: entry)
    }
    try readLinks(of: &network, entry, isOurs: isOurs)
    try readMore(of: &network.table, entry, file)
    var leftOut = LeaveOut()
    for text in entry.leftOut where !leftOut.add(word: text) {
      throw ImageError(file, .badValue(field: "left_out", value: "\"\(text)\""))
    }
    network = network.leavingOut(leftOut)
    try readStreams(of: &network.table, isOurs: isOurs)
    for filter in PacketFilter.allCases {
      let file = ImageName.packetFilter(filter, id)
      let bytes = try ImageFiles.read(file, in: directory, atMost: NetlinkImage.mostBytes)
      if let bytes { network.table.packetFilters[filter] = bytes }
    }
    return network
  }

  /// CRIU makes the file, and may have nothing to put into it.
  private func networkEntry(_ file: String) throws(ImageError) -> ImageNetworkEntry {
    guard let bytes = try ImageFiles.read(file, in: directory) else {
      throw ImageError(file, .missing)
    }
    let entries = try ImageFraming.entries(
      of: ImageNetworkEntry.self, kind: .network, file: file, bytes: bytes)
    guard entries.count <= 1 else { throw ImageError(file, .entryCount(entries.count)) }
    return entries.first?.entry ?? ImageNetworkEntry()
  }

  private func setSysctls(of table: inout NetworkTable, from entry: ImageNetworkEntry) {
    func add(_ entries: [ImageSysctlEntry], _ names: [[UInt8]], _ folder: String) {
      table.sysctls += NetworkSysctls.named(entries, names, below: Array(folder.utf8))
    }
    // Writing to `all` changes `default`.
    add(entry.allConf4, NetworkSysctls.conf4, "ipv4/conf/all")
    add(entry.defConf4, NetworkSysctls.conf4, "ipv4/conf/default")
    add(entry.allConf6, NetworkSysctls.conf6, "ipv6/conf/all")
    add(entry.defConf6, NetworkSysctls.conf6, "ipv6/conf/default")
    add(entry.unixConf, NetworkSysctls.unix, "unix")
  }

  private func readLinks(
    of network: inout SavedNetwork, _ entry: ImageNetworkEntry, isOurs: Bool
  ) throws(ImageError) {
    let file = ImageName.networkDevices(id)
    guard let bytes = try ImageFiles.read(file, in: directory) else {
      if isOurs { throw ImageError(file, .missing) }
      return
    }
    var surroundings = NetworkDeviceEntry.Surroundings(own: id)
    for known in entry.nsids {
      surroundings.idOfNumber[known.targetNsID] = known.netnsidValue
    }
    var links: [Link] = []
    var classes: [LinkClass] = []
    var sysctls: [Sysctl] = []
    try ImageFraming.forEachEntry(
      of: ImageNetworkDeviceEntry.self, kind: .networkDevices, file: file, bytes: bytes
    ) { (entry, offset) throws(ImageError) in
      let (link, linkClass) = try NetworkDeviceEntry.link(
        entry, surroundings, file: file, offset: offset)
      links.append(link)
      classes.append(linkClass)
      guard !isOurs else { return }
      sysctls += NetworkSysctls.named(
        entry.conf4, NetworkSysctls.conf4, below: Array("ipv4/conf/".utf8) + link.name)
      sysctls += NetworkSysctls.named(
        entry.conf6, NetworkSysctls.conf6, below: Array("ipv6/conf/".utf8) + link.name)
    }
    network.table.links = links
    network.classes = classes
    network.table.sysctls += sysctls
  }

  private func readMore(
    of table: inout NetworkTable, _ entry: ImageNetworkEntry, _ file: String
  ) throws(ImageError) {
    func records(
      _ bytes: Data, _ kind: NetworkRecordKind
    ) throws(ImageError) -> [NetlinkRecord] {
      try NetlinkImage.records(
        Array(bytes), types: kind.types, what: kind.words, file: file)
    }
    table.nextHops = try records(entry.nextHops, .nextHops)
    table.neighbours = try records(entry.neighbours, .neighbours)
    table.forwarding = try records(entry.forwarding, .forwarding)
    table.multicast = try records(entry.multicast, .multicast)
    table.vlans = try records(entry.vlans, .vlans)
    table.queueing = try records(entry.queueing, .queueing)
  }

  private func readStreams(of table: inout NetworkTable, isOurs: Bool) throws(ImageError) {
    func records(
      _ file: String, _ magic: UInt32, _ kind: NetworkRecordKind
    ) throws(ImageError) -> [NetlinkRecord] {
      let bytes = try ImageFiles.read(file, in: directory, atMost: NetlinkImage.mostBytes)
      guard let bytes else {
        if isOurs { throw ImageError(file, .missing) }
        return []
      }
      return try NetlinkImage.records(
        bytes, magic: magic, types: kind.types, what: kind.words, file: file)
    }
    table.addresses = try records(
      ImageName.addresses(id), NetlinkImage.addresses, .addresses)
    table.routes = try records(ImageName.routes(id), NetlinkImage.routes, .routes)
    table.routes += try records(ImageName.routes6(id), NetlinkImage.routes, .routes)
    table.rules = try records(ImageName.rules(id), NetlinkImage.rules, .rules)
  }
}
