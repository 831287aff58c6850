import FoundationEssentials
import LinkTable

extension NetworkImages {
  /// - Parameters:
  ///   - network: one that `NetworkImageCheck` has let pass.
  ///   - numbers: of the set's networks, by inode.
  func write(_ network: SavedNetwork, _ numbers: [UInt64: UInt32]) throws(ImageError) {
    let table = network.table
    let folders = NetworkSysctls.folders(table.sysctls)
    try write(
      [entry(of: network, numbers, folders)], .network, to: ImageName.network(id))
    if network.externalKey != nil { return }

    var surroundings = NetworkDeviceEntry.Surroundings(own: id)
    for known in table.namespaceIDs {
      if let number = numbers[known.inode] { surroundings.numberOfID[known.id] = number }
    }
    // One at a time: a message a link, all at once, is memory that nobody needs.
    let entries = table.links.indices.lazy.map { index in
      let link = table.links[index]
      var entry = NetworkDeviceEntry.entry(of: link, network.classes[index], surroundings)
      entry.conf4 = NetworkSysctls.entries(
        folders[Array("ipv4/conf/".utf8) + link.name], NetworkSysctls.conf4)
      entry.conf6 = NetworkSysctls.entries(
        folders[Array("ipv6/conf/".utf8) + link.name], NetworkSysctls.conf6)
      return entry
    }
    try write(entries, .networkDevices, to: ImageName.networkDevices(id))

    try write(table.addresses, NetlinkImage.addresses, to: ImageName.addresses(id))
    try write(
      table.routes.lazy.filter { $0.header[0] != Self.internet6 }, NetlinkImage.routes,
      to: ImageName.routes(id))
    try write(
      table.routes.lazy.filter { $0.header[0] == Self.internet6 }, NetlinkImage.routes,
      to: ImageName.routes6(id))
    try write(table.rules, NetlinkImage.rules, to: ImageName.rules(id))
    for filter in PacketFilter.allCases {
      guard let bytes = table.packetFilters[filter] else { continue }
      try write(bytes, to: ImageName.packetFilter(filter, id))
    }
  }

  private func entry(
    of network: SavedNetwork, _ numbers: [UInt64: UInt32],
    _ folders: [[UInt8]: NetworkSysctls.Folder]
  ) -> ImageNetworkEntry {
    let table = network.table
    var entry = ImageNetworkEntry()
    entry.inode = network.inode
    if let key = network.externalKey {
      entry.extKey = Data(key.utf8)
      return entry
    }
    func list(_ folder: String, _ names: [[UInt8]]) -> [ImageSysctlEntry] {
      NetworkSysctls.entries(folders[Array(folder.utf8)], names)
    }
    entry.defConf4 = list("ipv4/conf/default", NetworkSysctls.conf4)
    entry.allConf4 = list("ipv4/conf/all", NetworkSysctls.conf4)
    entry.defConf6 = list("ipv6/conf/default", NetworkSysctls.conf6)
    entry.allConf6 = list("ipv6/conf/all", NetworkSysctls.conf6)
    entry.unixConf = list("unix", NetworkSysctls.unix)
    for known in table.namespaceIDs {
      var mark = ImageNetworkEntry.KnownNamespace()
      mark.id = known.id
      mark.inode = known.inode
      entry.namespaces.append(mark)
      guard let number = numbers[known.inode] else { continue }
      var peer = ImageNetworkEntry.PeerID()
      peer.targetNsID = number
      peer.netnsidValue = known.id
      entry.nsids.append(peer)
    }
    entry.settings = table.sysctls.map { sysctl in
      var setting = ImageNetworkEntry.Setting()
      setting.path = Data(sysctl.path)
      setting.value = Data(sysctl.value)
      if sysctl.origin != .unknown { setting.changed = sysctl.origin == .changed }
      return setting
    }
    entry.leftOut = network.leftOut.texts
    entry.nextHops = Data(NetlinkImage.bytes(of: table.nextHops))
    entry.neighbours = Data(NetlinkImage.bytes(of: table.neighbours))
    entry.forwarding = Data(NetlinkImage.bytes(of: table.forwarding))
    entry.multicast = Data(NetlinkImage.bytes(of: table.multicast))
    entry.vlans = Data(NetlinkImage.bytes(of: table.vlans))
    entry.queueing = Data(NetlinkImage.bytes(of: table.queueing))
    return entry
  }

  private func write(
    _ entries: some Sequence<some ImageEntry>, _ kind: ImageKind, to file: String
  ) throws(ImageError) {
    try ImageFiles.write(
      try ImageFraming.bytes(of: entries, kind: kind, file: file), to: file, in: directory)
  }

  private func write(
    _ records: some Sequence<NetlinkRecord>, _ magic: UInt32, to file: String
  ) throws(ImageError) {
    try write(NetlinkImage.bytes(of: records, magic: magic), to: file)
  }

  /// What is too large to be read again is not written.
  private func write(_ bytes: [UInt8], to file: String) throws(ImageError) {
    guard bytes.count <= NetlinkImage.mostBytes else {
      throw ImageError(file, .tooLarge(UInt64(bytes.count)))
    }
    try ImageFiles.write(bytes, to: file, in: directory)
  }
}
