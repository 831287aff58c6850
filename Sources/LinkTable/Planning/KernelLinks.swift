import RestorePlan

/// Which kinds of links a kernel can make, and which of their parameters it knows: found out with links
/// that were made in a network namespace which is gone.
public struct KernelLinks: Sendable {
  /// Kinds that cannot be made.
  public var missing: Set<String> = []
  /// The parameters of a kind that the kernel tells of; a kind that is not here is not known about.
  public var parameters: [String: Set<UInt16>] = [:]

  public init() {}

  /// Links to be made for looking.
  public struct Sample: Sendable {
    public var kind: String
    public var name: [UInt8]
    /// Of the kind alone: a kernel without the kind says so.
    public var bare: NetlinkRecord
    /// With the parameters that a saved one has.
    public var whole: NetlinkRecord
  }

  /// A pair for the others to lie on.
  public static let lower: NetlinkRecord = LinkMessage.message(
    lowerIndex,
    [
      NetlinkAttribute(LinkAttribute.name.rawValue, text: Array("lower".utf8)),
      LinkMessage.info("veth", []),
    ])
  private static let lowerIndex: Int32 = 1_000_000

  /// `IFLA_BR_VLAN_DEFAULT_PVID`: only bridges that can tell VLANs apart have it.
  private static let ownVLAN: UInt16 = 39

  public func hasVLANs() -> Bool { parameters["bridge"]?.contains(Self.ownVLAN) ?? true }

  /// The names of modules that are not those of their kinds.
  private static let modules = [
    "vlan": "8021q", "bond": "bonding", "gre": "ip_gre", "gretap": "ip_gre", "erspan": "ip_gre",
    "ip6tnl": "ip6_tunnel", "ip6gre": "ip6_gre", "ip6gretap": "ip6_gre", "ip6erspan": "ip6_gre",
    "vti": "ip_vti", "vti6": "ip6_vti", "xfrm": "xfrm_interface",
  ]

  public static func module(of kind: String) -> String { modules[kind] ?? kind }

  static func sample(_ link: Link, _ number: Int) -> Sample? {
    guard let kind = link.kind, kind != "tun", LinkKind.named[kind] != nil else { return nil }
    let name = Array("sample\(number)".utf8)
    func message(_ data: [NetlinkAttribute], _ more: [NetlinkAttribute] = []) -> NetlinkRecord {
      LinkMessage.message(
        0,
        [NetlinkAttribute(LinkAttribute.name.rawValue, text: name)] + more
          + [LinkMessage.info(kind, data)])
    }
    var lower: [NetlinkAttribute] = []
    var numbers: [Int32: Int32] = [:]
    if link.lower != nil, kind != "veth" {
      lower = [NetlinkAttribute(LinkAttribute.link.rawValue, lowerIndex)]
    }
    for index in [link.lower, link.lowerByKind].compactMap({ $0 }) {
      numbers[index] = lowerIndex
    }
    return Sample(
      kind: kind, name: name, bare: message([]),
      whole: message(LinkMessage.parameters(link, LinkNumbers(numbers)), lower))
  }
}

extension LinkRestoreRequest {
  /// One for each kind of link in the images.
  public func samples() -> [KernelLinks.Sample] {
    var known: Set<String> = []
    var samples: [KernelLinks.Sample] = []
    for network in networks {
      for (link, linkClass) in zip(network.table.links, network.classes)
      where linkClass == .native {
        guard let kind = link.kind, known.insert(kind).inserted,
          let sample = KernelLinks.sample(link, samples.count)
        else { continue }
        samples.append(sample)
      }
    }
    return samples
  }

  /// What this kernel cannot make, or does not know of what it makes.
  func linkFindings() -> [Finding] {
    guard let kernelLinks else { return [] }
    var findings: [Finding] = []
    for (slot, network) in networks.enumerated() {
      let prefix = slot == 0 ? "" : "nested network \(slot): "
      var missing: [String: [String]] = [:]
      for (link, linkClass) in zip(network.table.links, network.classes)
      where linkClass == .native {
        guard let kind = link.kind else { continue }
        if kernelLinks.missing.contains(kind) {
          missing[kind, default: []].append(link.displayName)
        } else if let known = kernelLinks.parameters[kind] {
          findings += Self.parameterFindings(link, kind, known, network.leftOut, prefix)
        }
      }
      for (kind, names) in missing.sorted(by: { $0.key < $1.key }) {
        findings.append(
          Finding(
            "\(prefix)links of kind \(kind) (\(names.joined(separator: ", "))) cannot be made: "
              + "this kernel has none, and did not find the module",
            cures: [
              "load the module: modprobe \(KernelLinks.module(of: kind))",
              LeaveOut.option(.link, kind),
            ]))
      }
      if !kernelLinks.hasVLANs(), !network.leftOut.contains(.linkParameter, "bridge/vlans") {
        findings += vlanFindings(network, prefix)
      }
    }
    return findings
  }

  private static func parameterFindings(
    _ link: Link, _ kind: String, _ known: Set<UInt16>, _ leftOut: LeaveOut, _ prefix: String
  ) -> [Finding] {
    guard let about = LinkKind.named[kind] else { return [] }
    return link.kindData.list.compactMap { attribute in
      if known.contains(attribute.type) || about.readOnly.contains(attribute.type)
        || attribute.type == about.link || UsualParameters.contains(attribute, of: kind)
      {
        return nil
      }
      let name = about.parameterName(attribute.type)
      if leftOut.contains(.linkParameter, "\(kind)/\(name)") { return nil }
      // Some are told only where others are set.
      guard about.isLate(attribute.type) else { return nil }
      return Finding(
        "\(prefix)\(link): its parameter \(name) was chosen, and this kernel does not have it",
        cures: [LeaveOut.option(.linkParameter, "\(kind)/\(name)")])
    }
  }

  private func vlanFindings(_ network: SavedNetwork, _ prefix: String) -> [Finding] {
    var findings: [Finding] = []
    for link in network.table.links where link.kind == "bridge" {
      let ports = Set(
        network.table.links.filter { $0.master == link.index }.map(\.index) + [link.index])
      let own = link.kindData[39]?.u16 ?? 1
      let isUsual = network.table.vlans.allSatisfy {
        !ports.contains($0.number(at: 4)) || LinkMessage.hasOnlyVLAN(own, $0)
      }
      if isUsual && own <= 1 && link.kindData[7]?.u8 ?? 0 == 0 { continue }
      findings.append(
        Finding(
          "\(prefix)\(link): its VLANs cannot be set: bridges of this kernel tell none apart",
          cures: [LeaveOut.option(.linkParameter, "bridge/vlans")]))
    }
    return findings
  }
}

extension LinkMessage {
  /// Whether a record tells of no VLANs but the one that each port has at first.
  static func hasOnlyVLAN(_ own: UInt16, _ record: NetlinkRecord) -> Bool {
    guard let spec = try? record.attributes[LinkAttribute.perFamily.rawValue]?.attributes()
    else { return true }
    // struct bridge_vlan_info: PVID, UNTAGGED.
    return spec.all(2).filter { $0.payload.count == 4 }.allSatisfy {
      $0.payload == UInt16(6).nativeBytes + own.nativeBytes
    }
  }
}

extension LinkKind {
  func parameterName(_ type: UInt16) -> String {
    let place = Int(type) - 1
    return place >= 0 && place < parameters.count ? parameters[place] : "attribute-\(type)"
  }

  /// The last parameter of a kind that Linux 6.1 has: later ones may be missing on kernels that are older
  /// than the images. Of others the kernel tells as long as something else asks for them.
  private static let lastOf61: [String: UInt16] = [
    "vxlan": 30, "bond": 31, "bridge": 48, "macvlan": 8, "macvtap": 8,
  ]

  func isLate(_ type: UInt16) -> Bool {
    type > Self.lastOf61[name] ?? UInt16(parameters.count)
  }
}
