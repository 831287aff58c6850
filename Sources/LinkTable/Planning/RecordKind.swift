/// The lists of records of a network that are compared, and brought to what was saved.
public enum RecordKind: String, Hashable, Sendable, CaseIterable {
  case addresses, nextHops, routes, rules, neighbours, forwarding

  public var newType: UInt16 {
    switch self {
    case .addresses: MessageType.newAddress
    case .nextHops: MessageType.newNextHop
    case .routes: MessageType.newRoute
    case .rules: MessageType.newRule
    case .neighbours, .forwarding: MessageType.newNeighbour
    }
  }

  /// What one of them is called.
  public var noun: String {
    switch self {
    case .addresses: "address"
    case .nextHops: "next hop"
    case .routes: "route"
    case .rules: "rule"
    case .neighbours: "neighbour"
    case .forwarding: "forwarding entry"
    }
  }

  public func records(of table: NetworkTable) -> [NetlinkRecord] {
    switch self {
    case .addresses: table.addresses
    case .nextHops: table.nextHops
    case .routes: table.routes
    case .rules: table.rules
    case .neighbours: table.neighbours
    case .forwarding: table.forwarding
    }
  }

  // MARK: One record

  /// Whether it is part of what is saved and compared: what the kernel learns, or makes for a while, is not.
  func lasts(_ record: NetlinkRecord) -> Bool {
    switch self {
    case .addresses:
      // IFA_F_TEMPORARY of IPv6: made of the others.
      return !(record.header[0] == 10 && flags(ofAddress: record) & 1 != 0)
    case .routes:
      // The kernel's own of IPv6 in the local table come and go with addresses, once these are known to
      // be nobody else's. RTM_F_CLONED; routes of router advertisements (9) and redirects (1).
      if record.header[0] == 10 && record.header[4] == 255 && record.header[5] == 2 { return false }
      return record.number(at: 8, UInt32.self) & 0x200 == 0 && ![1, 9].contains(record.header[5])
    case .neighbours: return record.isPermanentNeighbour || record.header[10] & 8 != 0
    case .forwarding: return record.number(at: 8, UInt16.self) & 0xC0 != 0
    case .nextHops, .rules: return true
    }
  }

  private func flags(ofAddress record: NetlinkRecord) -> UInt32 {
    record.attributes[8]?.u32 ?? UInt32(record.header[2])
  }

  /// Attributes that are counters, ages, or the kernel's own findings.
  private var unstable: Set<UInt16> {
    switch self {
    case .addresses: [6]  // IFA_CACHEINFO
    case .routes: [12, 23]  // RTA_CACHEINFO, RTA_EXPIRES
    case .neighbours, .forwarding: [3, 4, 10]  // NDA_CACHEINFO, NDA_PROBES, NDA_LINK_NETNSID
    case .nextHops: [13, 14, 15]  // NHA_RES_BUCKET, NHA_OP_FLAGS, NHA_GROUP_STATS
    case .rules: [18]  // FRA_PAD
    }
  }

  /// The record without what changes by itself: equal ones say the same. `nil` for one that does not last.
  public func stable(_ record: NetlinkRecord) -> NetlinkRecord? {
    guard lasts(record) else { return nil }
    var stable = record
    stable.type = newType
    let unstable = unstable
    stable.attributes.list = stable.attributes.list.filter { !unstable.contains($0.type) }
    switch self {
    case .addresses:
      // HOMEADDRESS, PERMANENT, MANAGETEMPADDR, NOPREFIXROUTE, MCAUTOJOIN; SECONDARY of IPv4.
      let mask: UInt32 = 0x790 | (record.header[0] == 2 ? 1 : 0)
      let flags = flags(ofAddress: record) & mask
      stable.attributes.set(NetlinkAttribute(8, flags))
      stable.header[2] = UInt8(truncatingIfNeeded: flags)
    case .routes:
      // RTNH_F_PERVASIVE and ONLINK; the others are states.
      stable.setNumber(record.number(at: 8, UInt32.self) & 6, at: 8)
      stable.mapPaths { path in
        path[2] &= 6
        return path
      }
    case .rules: stable.setNumber(record.number(at: 8, UInt32.self) & 2, at: 8)  // FIB_RULE_INVERT
    case .nextHops:
      stable.setNumber(record.number(at: 4, UInt32.self) & 4, at: 4)
      stable.attributes.list = stable.attributes.list.map(Self.nested)
    case .neighbours, .forwarding:
      // NTF_OFFLOADED and ext_learned state are for the kernel.
      stable.header[10] &= ~0x20
    }
    stable.attributes.list.sort { $0.type < $1.type }
    return stable
  }

  /// An attribute of a next hop as the kernel takes it: it wants the mark of nested ones, which it does not
  /// give itself, and of a resilient group not how long it has been unbalanced.
  private static func nested(_ attribute: NetlinkAttribute) -> NetlinkAttribute {
    // NHA_ENCAP, NHA_RES_GROUP.
    guard attribute.type == 8 || attribute.type == 12,
      var inner = try? NetlinkAttributes(attribute.payload[...])
    else { return attribute }
    if attribute.type == 12 { inner.list = inner.list.filter { (1...3).contains($0.type) } }
    return NetlinkAttribute(attribute.type, nested: inner)
  }

  /// As it is given to the kernel.
  func request(_ record: NetlinkRecord) -> NetlinkRecord {
    guard var request = stable(record) else { return record }
    switch self {
    case .addresses:
      if let life = record.attributes[6]?.payload, life.count >= 8,
        life[0..<8] != [255, 255, 255, 255, 255, 255, 255, 255]
      {
        request.attributes.set(NetlinkAttribute(6, life))
      }
      // The kernel finds these.
      let flags = (request.attributes[8]?.u32 ?? 0) & ~0x81 | self.flags(ofAddress: record) & 2
      request.attributes.set(NetlinkAttribute(8, flags))
      request.header[2] = UInt8(truncatingIfNeeded: flags)
    case .routes:
      if request.attributes[30] != nil {
        // RTA_NH_ID says what these would say again.
        for type: UInt16 in [4, 5, 9, 18, 21, 22] { request.attributes.remove(type) }
      }
    case .nextHops: request.header[1] = 0  // the scope, which the kernel finds
    case .forwarding:
      // NTF_MASTER where a bridge has it, NTF_SELF on the device itself.
      request.header[10] |= record.attributes[9] != nil ? 4 : 2
      if record.attributes[9]?.i32 == record.number(at: 4, Int32.self) { request.header[10] = 2 }
    default: break
    }
    return request
  }

  /// The message that takes it away.
  func removal(_ record: NetlinkRecord) -> NetlinkRecord {
    var removal = request(record)
    removal.type = newType + 1
    if self == .nextHops {
      removal.header = [UInt8](repeating: 0, count: removal.header.count)
      removal.attributes.list = removal.attributes.list.filter { $0.type == 1 }
    }
    return removal
  }

  /// Those that are about some of these links.
  public func about(_ links: Set<Int32>, _ records: [NetlinkRecord]) -> [NetlinkRecord] {
    records.filter { self.links($0).contains(where: links.contains) }
  }

  /// The links that it is about; none for one that is about all.
  func links(_ record: NetlinkRecord) -> [Int32] {
    switch self {
    case .rules: return []
    case .routes, .nextHops:
      var found: [Int32] = []
      if let link = record.attributes[self == .routes ? 4 : 5]?.i32 { found.append(link) }
      if self == .routes {
        for path in record.paths { found.append(Int32(nativeBytes: path.dropFirst(4).prefix(4))) }
      }
      return found
    default: return [record.number(at: 4)]
    }
  }
}

/// What takes a list from what is there to what is to be.
public struct RecordChanges: Sendable {
  public var removals: [NetlinkRecord] = []
  public var additions: [NetlinkRecord] = []

  /// - Parameter links: what is not about one of them stays; `nil` for all.
  public init(
    _ kind: RecordKind, from found: [NetlinkRecord], to expected: [NetlinkRecord],
    links: Set<Int32>?
  ) {
    var wanted: [NetlinkRecord: Int] = [:]
    for record in expected {
      if let stable = kind.stable(record) { wanted[stable, default: 0] += 1 }
    }
    for record in found {
      guard let stable = kind.stable(record) else { continue }
      if let count = wanted[stable], count > 0 {
        wanted[stable] = count - 1
        continue
      }
      if let links {
        let about = kind.links(record)
        guard !about.isEmpty, about.allSatisfy(links.contains) else { continue }
      }
      removals.append(kind.removal(record))
    }
    for record in expected {
      guard let stable = kind.stable(record), let count = wanted[stable], count > 0 else {
        continue
      }
      wanted[stable] = count - 1
      additions.append(kind.request(record))
    }
    if kind == .routes { additions = inOrder(additions) }
    // Groups (NHA_GROUP) name single ones.
    if kind == .nextHops {
      additions =
        additions.filter { $0.attributes[2] == nil } + additions.filter { $0.attributes[2] != nil }
    }
  }

  /// What routes lead through comes first: those to neighbours before those by a gateway.
  private func inOrder(_ routes: [NetlinkRecord]) -> [NetlinkRecord] {
    func hasGateway(_ route: NetlinkRecord) -> Bool {
      route.attributes[5] != nil || route.attributes[18] != nil || route.attributes[9] != nil
        || route.attributes[30] != nil
    }
    return routes.filter { !hasGateway($0) } + routes.filter(hasGateway)
  }
}

extension NetlinkRecord {
  private static let multipath: UInt16 = 9

  /// `struct rtnexthop`s of `RTA_MULTIPATH`, each with its attributes. Images are checked when they are read.
  var paths: [ArraySlice<UInt8>] {
    guard var rest = attributes[Self.multipath]?.payload[...] else { return [] }
    var found: [ArraySlice<UInt8>] = []
    while rest.count >= 8 {
      let length = Int(UInt16(nativeBytes: rest.prefix(2)))
      guard length >= 8, length <= rest.count else { break }
      found.append(ArraySlice(Array(rest.prefix(length))))
      rest = rest.dropFirst((length + 3) & ~3)
    }
    return found
  }

  mutating func mapPaths(_ body: (inout [UInt8]) -> [UInt8]) {
    let paths = paths
    guard !paths.isEmpty else { return }
    var payload: [UInt8] = []
    for path in paths {
      var bytes = Array(path)
      payload += body(&bytes)
      payload += [UInt8](repeating: 0, count: padded(payload.count) - payload.count)
    }
    attributes.set(NetlinkAttribute(Self.multipath, payload))
  }
}

/// The same records with links under other indices.
public struct LinkNumbers: Sendable {
  private var numbers: [Int32: Int32]

  public init(_ numbers: [Int32: Int32]) { self.numbers = numbers.filter { $0.key != $0.value } }

  public var isIdentity: Bool { numbers.isEmpty }

  public subscript(index: Int32) -> Int32 { numbers[index] ?? index }

  public func renumbered(_ records: [NetlinkRecord], _ kind: RecordKind) -> [NetlinkRecord] {
    isIdentity ? records : records.map { renumbered($0, kind) }
  }

  func renumbered(_ record: NetlinkRecord, _ kind: RecordKind) -> NetlinkRecord {
    var record = record
    func change(_ types: UInt16...) {
      for type in types {
        if let index = record.attributes[type]?.i32 {
          record.attributes.set(NetlinkAttribute(type, self[index]))
        }
      }
    }
    switch kind {
    case .rules: break
    case .routes:
      change(3, 4)
      record.mapPaths { path in
        path.replaceSubrange(4..<8, with: self[Int32(nativeBytes: path[4..<8])].nativeBytes)
        return path
      }
    case .nextHops: change(5)
    case .neighbours, .forwarding:
      record.setNumber(self[record.number(at: 4)], at: 4)
      change(8, 9)
    case .addresses: record.setNumber(self[record.number(at: 4)], at: 4)
    }
    return record
  }
}
