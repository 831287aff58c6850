/// How a network differs from one that was saved, whatever the indices of its links are.
///
/// Not compared: counters and states (`operstate`, carrier, statistics), what the kernel learns by itself
/// (neighbours, forwarding entries, routes of router advertisements, temporary addresses), queueing, and
/// what a bridge or bond finds out about its ports.
public struct NetworkComparison: Sendable {
  /// A sentence each: `link eth0: mtu is 1500, expected 1400`.
  public private(set) var differences: [String] = []

  private let expected: SavedNetwork
  private let found: NetworkTable
  private let kernel: KernelSettings?
  /// What new links had when it was saved, and what they have, by path.
  private var usual: (saved: [[UInt8]: Sysctl], found: [[UInt8]: [UInt8]]) = ([:], [:])
  /// Links, as they are now, that have got their carrier only after they were saved, by their saved index.
  private var lateCarriers: [Int32: Link] = [:]
  /// The links whose names are in both, by the index found.
  private var numbers: [Int32: Int32] = [:]

  /// - Parameters:
  ///   - isPartial: whether others may have links and records in the namespace too.
  ///   - kernel: what the kernel here makes of settings; without it, each has to be as it was saved.
  public init(
    expected: SavedNetwork, found: NetworkTable, isPartial: Bool = false,
    kernel: KernelSettings? = nil
  ) {
    self.kernel = kernel
    self.expected = expected
    self.found = found
    if expected.externalKey != nil { return }
    for setting in expected.table.sysctls { usual.saved[setting.path] = setting }
    for setting in found.sysctls { usual.found[setting.path] = setting.value }
    var named: [[UInt8]: Link] = [:]
    for link in found.links { named[link.name] = link }
    for (link, linkClass) in zip(expected.table.links, expected.classes) {
      guard let other = named.removeValue(forKey: link.name) else {
        if linkClass != .madeByKernel {
          differences.append("link \(link.displayName) is not there")
        }
        continue
      }
      numbers[other.index] = link.index
      if !link.isReady && other.isReady { lateCarriers[link.index] = other }
    }
    for link in found.links where named[link.name] != nil && !isPartial && !link.isFallbackTunnel {
      differences.append("link \(link.displayName) is there, and was not saved")
    }
    named = [:]
    for link in found.links { named[link.name] = link }
    for (link, linkClass) in zip(expected.table.links, expected.classes) {
      if let other = named[link.name] { compare(link, linkClass, other) }
    }
    for kind in RecordKind.allCases { compare(kind, isPartial) }
    compareSettings()
    for (filter, rules) in expected.table.packetFilters.sorted(by: {
      $0.key.rawValue < $1.key.rawValue
    }) {
      let now = found.packetFilters[filter].map(PacketFilterText.rules) ?? []
      for line in PacketFilterText.rules(rules) where !now.contains(line) {
        differences.append("\(filter.rawValue) rule \"\(line)\" is not there")
      }
    }
  }

  public var isEqual: Bool { differences.isEmpty }

  // MARK: Links

  private mutating func compare(_ link: Link, _ linkClass: LinkClass, _ other: Link) {
    let name = "link \(link.displayName)"
    func note(_ what: String, _ found: String, _ expected: String) {
      if found != expected {
        differences.append("\(name): \(what) is \(found), expected \(expected)")
      }
    }
    func text(_ number: some BinaryInteger, _ radix: Int = 10) -> String {
      (radix == 16 ? "0x" : "") + String(number, radix: radix)
    }
    note("mtu", text(other.mtu ?? 0), text(link.mtu ?? 0))
    let mask = LinkMessage.settableFlags
    note("flags", text(other.flags & mask, 16), text(link.flags & mask, 16))
    if link.type == 1 {
      note("address", hardwareAddress(other.address ?? []), hardwareAddress(link.address ?? []))
    }
    note("master", masterName(other, found), masterName(link, expected.table))
    if case .externalByPlugin = linkClass { return }
    if case .externalByKey = linkClass { return }
    note("kind", other.kind ?? "none", link.kind ?? "none")
    for (type, what) in [
      (LinkAttribute.queueLength, "queue length"), (.group, "group"),
      (.sendQueues, "number of send queues"), (.receiveQueues, "number of receive queues"),
      (.gsoMaxSize, "gso_max_size"), (.gsoMaxSegments, "gso_max_segs"),
    ] {
      // What images of others do not say, they do not expect.
      guard let value = link[type]?.u32 else { continue }
      note(what, text(other[type]?.u32 ?? 0), text(value))
    }
    note("alias", printable(other.alias ?? []), printable(link.alias ?? []))
    note(
      "alternative names",
      other.alternativeNames.map(printable).sorted().joined(separator: " "),
      link.alternativeNames.map(printable).sorted().joined(separator: " "))
    if let mode = link.addressGeneration, let now = other.addressGeneration {
      note("IPv6 address generation", "\(now)", "\(mode)")
    }
    if link[.linkNamespaceID] == nil {
      note("lower link", lowerName(other, found), lowerName(link, expected.table))
    }
    if link.kind == Wireguard.kind {
      compare(
        "parameter", Wireguard.stable(link.kindData), Wireguard.stable(other.kindData),
        LinkKind.named[Wireguard.kind], name)
    } else if link.kind == VLAN.link.name {
      compare(
        "parameter", VLAN.stable(link.kindData), VLAN.stable(other.kindData), VLAN.link, name)
    } else {
      compare("parameter", link.kindData, other.kindData, LinkKind.named[link.kind ?? ""], name)
    }
    differences += Macsec.differences(link, other).map { "\(name): \($0)" }
    comparePorts(link, other, name)
    compareBackups(link, other, name)
    let settings = (LinkSettings.values(of: link), LinkSettings.values(of: other))
    compareValues("ipv4", settings.0.ipv4, settings.1.ipv4, link)
    compareValues("ipv6", settings.0.ipv6, settings.1.ipv6, link)
  }

  private func masterName(_ link: Link, _ table: NetworkTable) -> String {
    guard let master = link.master, master != 0 else { return "none" }
    return table.links.first { $0.index == master }?.displayName ?? "\(master)"
  }

  private func lowerName(_ link: Link, _ table: NetworkTable) -> String {
    guard let lower = link.lower ?? link.lowerByKind else { return "none" }
    return table.links.first { $0.index == lower }?.displayName ?? "\(lower)"
  }

  private mutating func compare(
    _ what: String, _ expected: NetlinkAttributes, _ found: NetlinkAttributes, _ kind: LinkKind?,
    _ name: String
  ) {
    guard let kind, !expected.list.isEmpty else { return }
    for attribute in expected.list
    where !kind.readOnly.contains(attribute.type) && attribute.type != kind.link
      && kind.applies(attribute.type, expected)
    {
      var now = found[attribute.type]
      if kind.untold.contains(attribute.type) && now == nil { continue }
      if kind.ports.contains(attribute.type) || kind.members.contains(attribute.type),
        let index = now?.i32
      {
        now = NetlinkAttribute(attribute.type, numbers[index] ?? -1)
      }
      // Queues of a tun device are those of who has it open.
      if kind.name == "tun" && [6, 8, 9].contains(attribute.type) { continue }
      guard now?.payload != attribute.payload,
        !UsualParameters.areAlike(attribute, now, of: kind.name),
        !self.expected.leftOut.contains(
          .linkParameter, "\(kind.name)/\(kind.parameterName(attribute.type))")
      else { continue }
      let place = Int(attribute.type) - 1
      let title =
        place < kind.parameters.count ? kind.parameters[place] : "attribute \(attribute.type)"
      differences.append(
        "\(name): \(what) \(title) is \(now.map { hex($0.payload) } ?? "none"), expected "
          + hex(attribute.payload))
    }
    for attribute in found.list
    where kind.toldIfSet.contains(attribute.type) && expected[attribute.type] == nil
      && kind.applies(attribute.type, expected)
    {
      differences.append(
        "\(name): \(what) \(kind.parameters[Int(attribute.type) - 1]) is \(hex(attribute.payload)), "
          + "expected none")
    }
  }

  private mutating func comparePorts(_ link: Link, _ other: Link, _ name: String) {
    guard let kind = link.portKind, let readOnly = LinkMessage.readOnlyOfPorts[kind] else { return }
    for attribute in link.portData.list
    where !readOnly.contains(attribute.type) && attribute.type != LinkMessage.backupPort {
      let now = other.portData[attribute.type]
      if now?.payload == attribute.payload || now == nil && attribute.isZero { continue }
      let place = Int(attribute.type) - 1
      let title =
        kind == Bond.kind && place < Bond.Port.names.count
        ? Bond.Port.names[place] : "\(attribute.type)"
      differences.append(
        "\(name): its setting \(title) as a port is "
          + "\(now.map { hex($0.payload) } ?? "none"), expected \(hex(attribute.payload))")
    }
  }

  private mutating func compareBackups(_ link: Link, _ other: Link, _ name: String) {
    guard link.portKind == "bridge" else { return }
    func port(_ link: Link) -> Int32 { link.portData[LinkMessage.backupPort]?.i32 ?? 0 }
    let (saved, now) = (port(link), port(other))
    // The number is one of the namespace that it was read in.
    if saved == (now == 0 ? 0 : numbers[now]) { return }
    func text(_ index: Int32, _ table: NetworkTable) -> String {
      index == 0 ? "none" : table.links.first { $0.index == index }?.displayName ?? "\(index)"
    }
    differences.append(
      "\(name): its backup port is \(text(now, found)), expected \(text(saved, expected.table))")
  }

  private func hex(_ bytes: [UInt8]) -> String {
    bytes.isEmpty
      ? "set" : bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  private mutating func compareValues(
    _ family: String, _ expected: [LinkSettings.Value], _ found: [LinkSettings.Value],
    _ link: Link
  ) {
    let name = "link \(link.displayName)"
    let folder = "net/\(family)/conf/\(String(decoding: link.name, as: UTF8.self))/"
    func isLeftOut(_ path: String) -> Bool {
      self.expected.leftOut.contains(.sysctl, folder + path)
    }
    let now = Dictionary(found.map { ($0.path, $0.value) }, uniquingKeysWith: { first, _ in first })
    for (path, value) in expected {
      guard let other = now[path], other != value else { continue }
      if isLeftOut(path) || isUsual(family, path, value, other) { continue }
      differences.append("\(name): \(family) setting \(path) is \(other), expected \(value)")
    }
  }

  /// Whether a link has what new links have here, as it had there, by the kernel's choice.
  private func isUsual(
    _ family: String, _ name: String, _ saved: Int32, _ found: Int32
  ) -> Bool {
    let path = Array("\(family)/conf/default/\(name)".utf8)
    guard let before = usual.saved[path], before.origin == .kernel,
      before.value == Array(String(saved).utf8)
    else { return false }
    return usual.found[path] == Array(String(found).utf8)
  }

  // MARK: Records

  private mutating func compare(_ kind: RecordKind, _ isPartial: Bool) {
    let there = Set(numbers.values)
    func records(_ table: NetworkTable) -> [NetlinkRecord] {
      kind == .forwarding
        ? NetworkTable.chosenForwarding(table.forwarding, among: table.links)
        : kind.records(of: table)
    }
    let renumbered = LinkNumbers(numbers).renumbered(
      records(found).filter { record in
        kind.links(record).allSatisfy { numbers[$0] != nil }
      }, kind)
    var counts: [NetlinkRecord: Int] = [:]
    for record in renumbered {
      if let stable = kind.stable(record) { counts[stable, default: 0] += 1 }
    }
    for record in records(expected.table) {
      guard let stable = kind.stable(record), kind.links(record).allSatisfy(there.contains) else {
        continue
      }
      if let count = counts[stable], count > 0 {
        counts[stable] = count - 1
      } else if !(kind == .forwarding && expected.table.isListeningByItself(record)) {
        differences.append("\(text(kind, record)) is not there")
      }
    }
    guard !isPartial else { return }
    for record in renumbered {
      guard let stable = kind.stable(record), let count = counts[stable], count > 0 else {
        continue
      }
      counts[stable] = count - 1
      if cameWithCarrier(kind, record) { continue }
      // What a link listens to: multicast addresses that come and go with what uses it.
      if kind == .forwarding, record.attributes[1] == nil,
        record.attributes[2]?.payload.first.map({ $0 & 1 != 0 }) ?? false
      {
        continue
      }
      differences.append("\(text(kind, record)) is there, and was not saved")
    }
  }

  /// Whether it is the link-local address that the kernel gives a link which gets its carrier, or the route to
  /// it: the original has got them too, after it was saved.
  private func cameWithCarrier(_ kind: RecordKind, _ record: NetlinkRecord) -> Bool {
    guard !lateCarriers.isEmpty, record.header[0] == 10 else { return false }
    switch kind {
    case .addresses:
      guard let link = lateCarriers[record.number(at: 4)],
        let address = record.attributes[1]?.payload,
        address.starts(with: [0xFE, 0x80])
      else { return false }
      // IFA_PROTO, which Linux tells since 5.18: IFAPROT_KERNEL_LL.
      return record.attributes[11]?.payload == [2] || address == link.interfaceAddress
    case .routes:
      // RTPROT_KERNEL, fe80::/64.
      guard record.header[5] == 2, record.header[1] == 64,
        record.attributes[1]?.payload.starts(with: [0xFE, 0x80]) ?? false,
        let link = record.attributes[4]?.i32
      else { return false }
      return lateCarriers[link] != nil
    default: return false
    }
  }

  private func text(_ kind: RecordKind, _ record: NetlinkRecord) -> String {
    var names: [Int32: String] = [:]
    for link in expected.table.links { names[link.index] = link.displayName }
    return kind.text(record, names)
  }

  // MARK: Settings

  private mutating func compareSettings() {
    for setting in expected.table.sysctls {
      guard let value = usual.found[setting.path] else {
        if setting.origin == .changed {
          differences.append("setting \(setting.name) is not there, expected \"\(setting.text)\"")
        }
        continue
      }
      if kernel?.means(setting, value) ?? (value == setting.value) { continue }
      let now = Sysctl(path: setting.path, value: value).text
      let usual = setting.origin == .kernel ? kernel?.value(of: setting.path) : nil
      let other = usual.map { Sysctl(path: setting.path, value: $0).text }
      differences.append(
        "setting \(setting.name) is \"\(now)\", expected \"\(other ?? setting.text)\""
          + (other == nil ? "" : ", which a new network has here"))
    }
  }
}
