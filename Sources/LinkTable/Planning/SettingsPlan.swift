import RestorePlan

/// Which settings of a saved network are written, and how, on a kernel that may be another one.
///
/// | in the images | written |
/// |---|---|
/// | changed by somebody | as it was saved |
/// | unknown (images of CRIU) | as it was saved |
/// | the kernel's choice | not at all |
/// | the kernel's choice, beside a change that may take it along | as this kernel has it |
struct SettingsPlan {
  /// Those of no single link.
  private(set) var common: [Sysctl] = []
  /// Those of links, by folder (`ipv4/conf/eth0`) and name.
  private(set) var ofLinks: [[UInt8]: [[UInt8]: Sysctl]] = [:]

  init(_ network: SavedNetwork, _ kernel: KernelSettings?) {
    let settings = network.table.sysctls
    // Writing to `all` changes `default`, and that what new links get.
    var touched: Set<[UInt8]> = []
    for setting in settings where setting.origin != .kernel {
      if let part = LinkSettingPath(setting.path), part.isCommon { touched.insert(part.family) }
    }
    for setting in settings {
      var setting = setting
      let part = LinkSettingPath(setting.path)
      if setting.origin == .kernel {
        let isTouched = part.map { touched.contains($0.family) } ?? false
        guard isTouched || NetworkPlanner.last.contains(setting.path) else { continue }
        if let kernel {
          guard let value = kernel.value(of: setting.path) else { continue }
          setting.value = value
        }
      }
      if let part, !part.isCommon {
        ofLinks[part.folder + part.member, default: [:]][part.name] = setting
      } else {
        common.append(setting)
      }
    }
  }
}

extension LinkRestoreRequest {
  /// What a kernel is to be asked about: each setting that somebody changed, or may have.
  public func settingsToTry() -> [Sysctl] {
    networks.flatMap { network in
      network.externalKey == nil ? Self.wanted(network) : []
    }
  }

  private static func wanted(_ network: SavedNetwork) -> [Sysctl] {
    var list = network.table.sysctls.filter { $0.origin != .kernel }
    let settings = NetworkPlanner.byFolder(network.table.sysctls)
    for link in network.table.links {
      list += LinkSettings.different(link, settings, network.leftOut)
    }
    return list
  }

  /// What this kernel does not take of what the networks want.
  func settingFindings() -> [Finding] {
    guard let kernel else { return [] }
    var findings: [Finding] = []
    for (slot, network) in networks.enumerated() where network.externalKey == nil {
      let prefix = slot == 0 ? "" : "nested network \(slot): "
      for setting in Self.wanted(network)
      where kernel.value(of: setting.path) != setting.value {
        guard let answer = kernel.answer(to: setting),
          var finding = Self.finding(setting, answer)
        else { continue }
        finding.message = prefix + finding.message
        findings.append(finding)
      }
    }
    return findings
  }

  private static func finding(_ setting: Sysctl, _ answer: KernelSettings.Answer) -> Finding? {
    let subject = "the setting \(setting.name) is to be \"\(setting.text)\""
    let option = LeaveOut.option(.sysctl, setting.name)
    let module = SettingModule.of(setting)
    var cures = [option]
    switch answer {
    case .taken(let value):
      guard !isAlike(value, setting.value) else { return nil }
      return Finding(
        "\(subject), and this kernel makes \"\(Sysctl(path: [], value: value).text)\" of it",
        cures: cures)
    case .missing:
      if let module { cures.insert("load the module: modprobe \(module)", at: 0) }
      return Finding("\(subject), and this kernel does not have it here", cures: cures)
    case .readOnly:
      return Finding(
        "\(subject), and this kernel lets no network but the host's set it", cures: cures)
    case .refused(let number, let text):
      let isMissing = number == 2
      if let module, isMissing { cures.insert("load the module: modprobe \(module)", at: 0) }
      let isForbidden = number == 1 && setting.isCongestionControl
      if isForbidden {
        cures.insert(
          "allow it on the host: add it to /proc/sys/net/ipv4/tcp_allowed_congestion_control",
          at: 0)
      }
      return Finding("\(subject), and this kernel refuses that: \(text)", cures: cures)
    }
  }

  /// Whether a kernel took a value as near as its clock lets it, or with other spaces.
  private static func isAlike(_ shown: [UInt8], _ saved: [UInt8]) -> Bool {
    let texts = [shown, saved].map {
      String(decoding: $0, as: UTF8.self).split(whereSeparator: \.isWhitespace)
    }
    if texts[0] == texts[1] { return true }
    guard texts[0].count == 1, texts[1].count == 1, let one = Int64(texts[0][0]),
      let other = Int64(texts[1][0])
    else { return false }
    // A tick of the slowest clock is 10 ms.
    return one > 0 && abs(one - other) < 10 && abs(one - other) * 50 <= abs(other)
  }
}

extension Sysctl {
  fileprivate var isCongestionControl: Bool {
    path == Array("ipv4/tcp_congestion_control".utf8)
  }

  /// The value for people: files separate numbers by tabs.
  var text: String {
    String(decoding: value, as: UTF8.self).split(whereSeparator: \.isWhitespace)
      .joined(separator: " ")
  }
}

/// Which module brings a setting, or a value of it.
enum SettingModule {
  private static let byPath: [(prefix: String, module: String)] = [
    ("bridge/", "br_netfilter"), ("netfilter/nf_conntrack", "nf_conntrack"),
    ("nf_conntrack_max", "nf_conntrack"), ("ipv4/vs/", "ip_vs"), ("sctp/", "sctp"),
    ("mpls/", "mpls_router"), ("tipc/", "tipc"), ("vsock/", "vsock"), ("smc/", "smc"),
    ("rds/", "rds"), ("can/", "can"), ("ipv6/", "ipv6"), ("mptcp/", "mptcp"), ("x25/", "x25"),
    ("llc/", "llc2"), ("rxrpc/", "rxrpc"), ("ieee802154/", "ieee802154_6lowpan"),
  ]

  static func of(_ setting: Sysctl) -> String? {
    let path = String(decoding: setting.path, as: UTF8.self)
    if setting.isCongestionControl { return "tcp_\(printable(setting.value))" }
    return byPath.first { path.hasPrefix($0.prefix) }?.module
  }
}
