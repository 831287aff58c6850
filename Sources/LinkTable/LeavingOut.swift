import RestorePlan

extension NetworkTable {
  /// The table without what is left out: settings, links, and what is about these links.
  public func leavingOut(_ leftOut: LeaveOut) -> NetworkTable {
    if leftOut.isEmpty { return self }
    var table = self
    table.sysctls.removeAll { leftOut.contains(.sysctl, $0.name) }
    let gone = linksLeftOut(leftOut)
    if !gone.isEmpty { table.remove(gone) }
    return table
  }

  /// Those of a kind that is left out, and what lies on them.
  private func linksLeftOut(_ leftOut: LeaveOut) -> Set<Int32> {
    var gone = Set(
      links.filter { $0.kind.map { leftOut.contains(.link, $0) } ?? false }.map(\.index))
    if gone.isEmpty { return gone }
    // What lies on another may have the lower index.
    var above: [Int32: [Int32]] = [:]
    for link in links where link.kind != "veth" && link.lowerNamespace == nil {
      if let lower = link.lower ?? link.lowerByKind { above[lower, default: []].append(link.index) }
    }
    var waiting = Array(gone)
    while let index = waiting.popLast() {
      for other in above[index] ?? [] where gone.insert(other).inserted { waiting.append(other) }
    }
    return gone
  }

  private mutating func remove(_ gone: Set<Int32>) {
    let names = Set(links.filter { gone.contains($0.index) }.map(\.name))
    links.removeAll { gone.contains($0.index) }
    for place in links.indices {
      guard let master = links[place].master, gone.contains(master) else { continue }
      links[place].leaveMaster()
    }
    func isGone(_ kind: RecordKind, _ record: NetlinkRecord) -> Bool {
      kind.links(record).contains(where: gone.contains)
    }
    addresses.removeAll { isGone(.addresses, $0) }
    routes.removeAll { isGone(.routes, $0) }
    nextHops.removeAll { isGone(.nextHops, $0) }
    neighbours.removeAll { isGone(.neighbours, $0) }
    forwarding.removeAll { record in
      isGone(.forwarding, record) || record.attributes[9]?.i32.map(gone.contains) ?? false
    }
    for list in [\NetworkTable.multicast, \.vlans, \.queueing] {
      self[keyPath: list].removeAll { gone.contains($0.number(at: 4)) }
    }
    sysctls.removeAll { setting in
      LinkSettingPath(setting.path).map { names.contains($0.member) } ?? false
    }
  }
}

extension Link {
  /// A port no longer: `IFLA_MASTER`, and what its master said of it.
  fileprivate mutating func leaveMaster() {
    record.attributes.remove(LinkAttribute.master.rawValue)
    let type = LinkAttribute.linkInfo.rawValue
    guard var info = try? record.attributes[type]?.attributes() else { return }
    info.remove(4)
    info.remove(5)
    record.attributes.set(NetlinkAttribute(type, nested: info))
  }
}
