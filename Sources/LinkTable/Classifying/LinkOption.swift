import RestorePlan

/// A value of `--external` that is about networks, in CRIU's spelling.
public enum LinkOption: Hashable, Sendable, CustomStringConvertible {
  /// `veth[IN]:OUT`, `veth[IN]:OUT@BRIDGE` (restore): the end outside of the veth IN is to be called OUT,
  /// and to be a port of BRIDGE.
  case veth(inside: String, outside: String, bridge: String?)
  /// `macvlan[IN]:LOWER` (restore): the link outside that IN lies on. At dump it says that this will be
  /// given.
  case macvlan(inside: String, lower: String)
  /// `link[NAME]:KEY` (dump): the link comes from outside: a script brings one of this name at restore.
  case link(name: String, key: String)
  /// `hsr[NAME]:VERSION` (dump): the version of its frames, which no kernel tells.
  case ring(name: String, version: UInt8)
  /// `net[INODE]:KEY` (dump): the namespace comes from outside and is called KEY.
  case network(inode: UInt64, key: String)
  /// `net[KEY]:/path` (restore): the file of the namespace that KEY stands for.
  case networkForKey(String, path: String)

  public static let kinds: Set<String> = ["veth", "macvlan", "net", "link", "hsr"]

  /// `nil` for options that are not about networks.
  ///
  /// - Throws: `OptionError`, saying what was expected.
  public init?(parsing text: String) throws(OptionError) {
    guard let open = text.firstIndex(of: "["), Self.kinds.contains(String(text[..<open])) else {
      return nil
    }
    let kind = text[..<open]
    guard let close = text[open...].firstIndex(of: "]") else {
      throw OptionError("--external '\(text)': the bracket does not end")
    }
    let inside = String(text[text.index(after: open)..<close])
    let rest = text[text.index(after: close)...]
    guard rest.isEmpty || rest.first == ":" else {
      throw OptionError("--external '\(text)': expected ':' after the bracket")
    }
    let value = String(rest.dropFirst())
    func name(_ text: some StringProtocol, _ what: String) throws(OptionError) -> String {
      guard isLinkName(Array(text.utf8)) else {
        throw OptionError(
          "--external '\(kind)[\(inside)]:\(value)': \(what) \"\(text)\" must be a name of 1 to 15 bytes "
            + "without '/', ':' and spaces")
      }
      return String(text)
    }
    switch kind {
    case "veth":
      let parts = value.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
      self = .veth(
        inside: try name(inside, "the link"),
        outside: try name(parts[0], "the end outside"),
        bridge: parts.count > 1 ? try name(parts[1], "the bridge") : nil)
    case "macvlan":
      self = .macvlan(
        inside: try name(inside, "the link"),
        lower: value.isEmpty ? "" : try name(value, "the lower link"))
    case "link":
      guard !value.isEmpty else {
        throw OptionError("--external '\(text)': expected 'link[NAME]:KEY'")
      }
      self = .link(name: try name(inside, "the link"), key: value)
    case "hsr":
      guard let version = UInt8(value), version <= 1 else {
        throw OptionError("--external '\(text)': expected 'hsr[NAME]:0' or 'hsr[NAME]:1'")
      }
      self = .ring(name: try name(inside, "the link"), version: version)
    default:
      guard !inside.isEmpty, !value.isEmpty else {
        throw OptionError(
          "--external '\(text)': expected 'net[INODE]:KEY' at dump, 'net[KEY]:/path' at restore")
      }
      if let inode = UInt64(inside), !value.hasPrefix("/") {
        self = .network(inode: inode, key: value)
      } else {
        guard value.hasPrefix("/") else {
          throw OptionError("--external '\(text)': expected a path: 'net[\(inside)]:/path'")
        }
        self = .networkForKey(inside, path: value)
      }
    }
  }

  /// `--veth-pair IN=OUT`, `IN=OUT@BRIDGE`: the older spelling.
  public init(parsingPair text: String) throws(OptionError) {
    guard let equals = text.firstIndex(of: "="),
      let option = try LinkOption(
        parsing: "veth[\(text[..<equals])]:\(text[text.index(after: equals)...])")
    else { throw OptionError("--veth-pair '\(text)': expected IN=OUT or IN=OUT@BRIDGE") }
    self = option
  }

  public var description: String {
    switch self {
    case .veth(let inside, let outside, let bridge):
      "veth[\(inside)]:\(outside)" + (bridge.map { "@\($0)" } ?? "")
    case .macvlan(let inside, let lower): "macvlan[\(inside)]:\(lower)"
    case .link(let name, let key): "link[\(name)]:\(key)"
    case .ring(let name, let version): "hsr[\(name)]:\(version)"
    case .network(let inode, let key): "net[\(inode)]:\(key)"
    case .networkForKey(let key, let path): "net[\(key)]:\(path)"
    }
  }
}

/// A name that Linux gives links: `dev_valid_name`.
public func isLinkName(_ bytes: [UInt8]) -> Bool {
  !bytes.isEmpty && bytes.count < 16 && bytes != [0x2E] && bytes != [0x2E, 0x2E]
    && !bytes.contains { [0x2F, 0x3A, 0, 0x20].contains($0) || (9...13).contains($0) }
}

/// What the user says about networks, at dump and at restore.
public struct LinkOptions: Sendable {
  public var external: [LinkOption] = []
  /// What may be lost.
  public var leftOut = LeaveOut()
  /// At dump: the keys of macsec links, which no kernel tells.
  public var macsecKeys: MacsecKeys?

  public init() {}

  func key(ofLink name: String) -> String? {
    for case .link(name, let key) in external { return key }
    return nil
  }

  func version(ofRing name: String) -> UInt8? {
    for case .ring(name, let version) in external { return version }
    return nil
  }

  func macvlanLower(_ name: String) -> String? {
    for case .macvlan(let inside, let lower) in external where inside == name { return lower }
    return nil
  }

  func vethEnd(_ name: String) -> (name: String, bridge: String?)? {
    for case .veth(let inside, let outside, let bridge) in external where inside == name {
      return (outside, bridge)
    }
    return nil
  }

  public func key(ofNetwork inode: UInt64) -> String? {
    for case .network(inode, let key) in external { return key }
    return nil
  }
}
