import RestorePlan

/// What one link is to the engine, and why.
public struct LinkVerdict: Hashable, Sendable {
  public var linkClass: LinkClass
  /// For people: `its other end is outside`, `plugin bind-current`.
  public var reason: String?

  public init(linkClass: LinkClass, reason: String? = nil) {
    self.linkClass = linkClass
    self.reason = reason
  }
}

/// Networks as they are to be saved, with what stands in the way.
public struct LinkClassification: Sendable {
  public var networks: [SavedNetwork]
  /// One for each link of each network.
  public var verdicts: [[LinkVerdict]]
  public var findings: [Finding]

  public init(networks: [SavedNetwork], verdicts: [[LinkVerdict]], findings: [Finding]) {
    self.networks = networks
    self.verdicts = verdicts
    self.findings = findings
  }
}

/// Decides what each link is: native, made by the kernel, external. Pure, but for the plugins that it asks.
public struct LinkClassifier {
  /// A namespace that was read, or that a key stands for.
  public struct Namespace: Sendable {
    public var inode: UInt64
    public var table: NetworkTable

    public init(inode: UInt64, table: NetworkTable) {
      self.inode = inode
      self.table = table
    }
  }

  public var options: LinkOptions
  /// The name of the plugin that answers for a link; `nil` where none does.
  public var askPlugin: (Link) throws -> String?

  public init(
    options: LinkOptions = .init(), askPlugin: @escaping (Link) throws -> String? = { _ in nil }
  ) {
    self.options = options
    self.askPlugin = askPlugin
  }

  /// - Parameter namespaces: the container's own first.
  /// - Throws: what `askPlugin` throws.
  public func classify(_ namespaces: [Namespace]) throws -> LinkClassification {
    var result = LinkClassification(networks: [], verdicts: [], findings: [])
    let inodes = Set(namespaces.map(\.inode))
    for (place, namespace) in namespaces.enumerated() {
      if let key = options.key(ofNetwork: namespace.inode) {
        result.networks.append(
          SavedNetwork(
            id: 0, inode: namespace.inode, table: NetworkTable(), classes: [], externalKey: key))
        result.verdicts.append([])
        continue
      }
      var table = namespace.table
      let tree = Set(table.namespaceIDs.filter { inodes.contains($0.inode) }.map(\.id))
      let prefix = place == 0 ? "" : "network namespace \(namespace.inode): "
      var verdicts: [LinkVerdict] = []
      for (place, link) in table.links.enumerated() {
        let verdict = try verdict(link, table, tree, prefix, &result.findings)
        verdicts.append(verdict)
        if verdict.linkClass == .native {
          table.links[place] = settled(link, prefix, &result.findings)
        }
      }
      addNotes(table, prefix, &result.findings)
      result.networks.append(
        SavedNetwork(
          id: 0, inode: namespace.inode, table: table, classes: verdicts.map(\.linkClass)))
      result.verdicts.append(verdicts)
    }
    checkOptions(namespaces, &result.findings)
    return result
  }

  private func verdict(
    _ link: Link, _ table: NetworkTable, _ tree: Set<Int32>, _ prefix: String,
    _ findings: inout [Finding]
  ) throws -> LinkVerdict {
    if link.isLoopback || link.isFallbackTunnel { return LinkVerdict(linkClass: .madeByKernel) }
    if let key = options.key(ofLink: link.displayName) {
      return LinkVerdict(linkClass: .externalByKey(key))
    }
    let isLowerOutside = link.lowerNamespace.map { !tree.contains($0) } ?? false
    let kind = link.kind ?? ""
    let isKnown = LinkKind.named[kind] != nil
    if isKnown && !isLowerOutside {
      if kind == Wireguard.kind, link.kindData[3] == nil {
        findings.append(
          Finding(
            "\(prefix)\(link.description): its private key, and keys it shares with peers, are not saved",
            severity: .note,
            cures: ["dump with --wireguard-keys", "set them again after the restore with wg"]))
      }
      if kind == "tun", link.kindData[6]?.u8 == 0 {
        findings.append(
          Finding(
            "\(prefix)\(link.description): a process keeps it; a restore makes it persistent",
            severity: .note))
      }
      return LinkVerdict(linkClass: .native)
    }
    let isPair = link.isPair
    let liesOnOwn = LinkKind.named[kind]?.liesOnOwn ?? false
    if isKnown, !isPair, !liesOnOwn, options.macvlanLower(link.displayName) != nil {
      return LinkVerdict(linkClass: .native, reason: "its lower link is given at restore")
    }
    if let plugin = try askPlugin(link) {
      return LinkVerdict(linkClass: .externalByPlugin, reason: "plugin \(plugin)")
    }
    if isPair {
      return LinkVerdict(linkClass: .native, reason: "its other end is outside")
    }
    if isKnown {
      let given =
        "--external 'macvlan[\(link.displayName)]:LOWER', and the same at restore, LOWER being a link of "
        + "the host"
      findings.append(
        Finding(
          "\(prefix)\(link.description): the link it lies on is outside",
          cures: (liesOnOwn ? [] : [given]) + ForeignKinds.cures(link)))
      return LinkVerdict(linkClass: .native, reason: "unsettled: its lower link is outside")
    }
    findings.append(
      Finding(
        "\(prefix)\(link.description): \(ForeignKinds.sentence(link))",
        cures: ForeignKinds.cures(link)))
    return LinkVerdict(linkClass: .native, reason: "unsettled: cannot be created")
  }

  /// A link that the engine makes, with what no kernel tells of it and the user does.
  private func settled(_ link: Link, _ prefix: String, _ findings: inout [Finding]) -> Link {
    if HighAvailability.lacksVersion(link) {
      guard let version = options.version(ofRing: link.displayName) else {
        findings.append(
          Finding(
            "\(prefix)\(link.description): the kernel does not tell the version of its frames",
            cures: [
              "--external 'hsr[\(link.displayName)]:1'",
              "--external 'hsr[\(link.displayName)]:0', the kernel's own choice",
            ]))
        return link
      }
      var data = link.kindData
      data.set(NetlinkAttribute(HighAvailability.version, version))
      return link.withKindData(data)
    }
    let (link, problems) = Macsec.settled(link, options)
    findings += problems.map { finding in
      var finding = finding
      finding.message = prefix + finding.message
      return finding
    }
    return link
  }

  /// What is not saved, once a network.
  private func addNotes(_ table: NetworkTable, _ prefix: String, _ findings: inout [Finding]) {
    let names = Dictionary(
      table.links.map { ($0.index, $0.displayName) }, uniquingKeysWith: { first, _ in first })
    var others: [String: [String]] = [:]
    for record in table.queueing where !record.isDefaultQueueing {
      let index = Int32(nativeBytes: record.header[4..<8])
      let kind = record.attributes[1].map { String(decoding: $0.text, as: UTF8.self) } ?? "?"
      others[names[index] ?? "\(index)", default: []].append(kind)
    }
    for (name, kinds) in others.sorted(by: { $0.key < $1.key }) {
      findings.append(
        Finding(
          "\(prefix)link \(name): its queueing (\(kinds.joined(separator: ", "))) is not saved",
          severity: .note, cures: ["set it again with tc after the restore"]))
    }
    for link in table.links where link.hasExpressProgram {
      findings.append(
        Finding(
          "\(prefix)\(link.description): its XDP program is not saved", severity: .note,
          cures: ["attach it again after the restore"]))
    }
  }

  private func checkOptions(_ namespaces: [Namespace], _ findings: inout [Finding]) {
    let names = Set(namespaces.flatMap { $0.table.links.map(\.displayName) })
    for option in options.external {
      switch option {
      case .macvlan(let inside, _) where !names.contains(inside),
        .veth(let inside, _, _) where !names.contains(inside),
        .link(let inside, _) where !names.contains(inside),
        .ring(let inside, _) where !names.contains(inside):
        findings.append(
          Finding("--external '\(option)' matches no link", cures: ["take the option away"]))
      case .network(let inode, _) where !namespaces.contains { $0.inode == inode }:
        findings.append(
          Finding(
            "--external '\(option)' matches no network namespace of the container",
            cures: ["give the inode that readlink /proc/PID/ns/net says"]))
      default: break
      }
    }
  }
}

extension Link: CustomStringConvertible {
  public var description: String { "link \(displayName) (\(index))" }

  public var isLoopback: Bool { kind == nil && flags & 8 != 0 }

  /// One of those that come with a tunnel's module or with the namespace: `tunl0`, `gre0`, …
  public var isFallbackTunnel: Bool {
    guard let kind else { return false }
    return LinkKind.fallbackTunnels[displayName] == kind
  }

  /// Whether another reading is of the same device, in whichever namespace and under whichever name.
  public func isProbably(_ other: Link) -> Bool {
    type == other.type && kind == other.kind && self[.permanentAddress] == other[.permanentAddress]
      && address == other.address && isLoopback == other.isLoopback && !isLoopback
  }

  /// The link that the parameters of its kind name (`IFLA_VXLAN_LINK`, …), where `IFLA_LINK` is silent.
  var lowerByKind: Int32? {
    guard let type = kind.flatMap({ LinkKind.named[$0]?.link }), let index = kindData[type]?.i32,
      index != 0
    else { return nil }
    return index
  }

  /// `IFLA_XDP_ATTACHED` in `IFLA_XDP`.
  var hasExpressProgram: Bool {
    guard let data = try? self[.expressDataPath]?.attributes() else { return false }
    return data[2]?.u8 ?? 0 != 0
  }

  /// `IFLA_INET6_ADDR_GEN_MODE`: how the link gives itself IPv6 addresses.
  public enum AddressGeneration: UInt8, Sendable {
    case eui64 = 0
    case none, stablePrivacy, random
  }

  public var addressGeneration: AddressGeneration? {
    family6?[8]?.u8.flatMap { AddressGeneration(rawValue: $0) }
  }

  /// What `IFLA_AF_SPEC` says of IPv4 and of IPv6.
  var family4: NetlinkAttributes? { family(2) }
  var family6: NetlinkAttributes? { family(10) }

  private func family(_ number: UInt16) -> NetlinkAttributes? {
    guard let families = try? self[.perFamily]?.attributes() else { return nil }
    return try? families[number]?.attributes()
  }
}

extension NetlinkRecord {
  /// `NUD_PERMANENT` in `struct ndmsg`.
  public var isPermanentNeighbour: Bool { number(at: 8, UInt16.self) & 0x80 != 0 }

  /// A queueing discipline that the kernel gives links by itself: a handle of its own making is 0.
  var isDefaultQueueing: Bool { number(at: 8, UInt32.self) == 0 }
}
