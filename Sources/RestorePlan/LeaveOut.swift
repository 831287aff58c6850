/// What the user allows to be lost, with a dump, a restore or a verification: `--leave-out KIND`.
///
/// `KIND` is the name of a kind, or of a kind and one of its things: `sysctl`,
/// `sysctl:net/ipv4/tcp_congestion_control`. Several are separated by commas.
public struct LeaveOut: Hashable, Sendable {
  /// Kinds of what can be left out. A new kind is a case here, with its line in `about`.
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    case sysctl, link
    case macsecKeys = "macsec-keys"
    case linkParameter = "link-parameter"
    case mountOption = "mount-option"
    case attribute = "xattr"

    /// What the help says: the value that names one thing, and what is left out.
    public var about: (value: String, text: String) {
      switch self {
      case .sysctl:
        (
          "sysctl[:net/PATH]",
          "settings below /proc/sys/net, or the one at PATH and what is below it"
        )
      case .link: ("link:KIND", "links of this kind, and those that lie on them")
      case .macsecKeys:
        ("macsec-keys[:LINK]", "the associations of macsec links, whose keys no kernel tells")
      case .mountOption: ("mount-option:TYPE/NAME", "an option of file systems of this type")
      case .attribute:
        ("xattr:FAMILY", "extended attributes of this family (user, …) in saved contents")
      case .linkParameter:
        ("link-parameter:KIND/NAME", "a parameter of links, as mooring links names it")
      }
    }

    /// Whether the kind alone, without one of its things, may be named.
    var isWhole: Bool { self == .sysctl || self == .macsecKeys }
  }

  private struct Item: Hashable {
    var kind: Kind
    /// `nil` for all of the kind.
    var name: String?

    var text: String { kind.rawValue + (name.map { ":\($0)" } ?? "") }
  }

  private var items: Set<Item> = []

  public init() {}

  public var isEmpty: Bool { items.isEmpty }

  /// A value of the option for each thing.
  public var texts: [String] { items.map(\.text).sorted() }

  public mutating func formUnion(_ other: LeaveOut) { items.formUnion(other.items) }

  /// Adds what one value of the option names.
  ///
  /// - Throws: `OptionError` for a kind that is not known.
  public mutating func add(parsing text: String) throws(OptionError) {
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard add(word: word) else {
        let known = Kind.allCases.map(\.about.value).joined(separator: ", ")
        throw OptionError("--leave-out '\(text)': \"\(word)\" is not one of \(known)")
      }
    }
  }

  /// Adds one thing, as `texts` has it; `false` where it is none.
  public mutating func add(word: some StringProtocol) -> Bool {
    let parts = word.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let name = parts.count > 1 ? String(parts[1]) : nil
    guard let first = parts.first, let kind = Kind(rawValue: String(first)), name != "",
      name != nil || kind.isWhole
    else { return false }
    items.insert(Item(kind: kind, name: name.map { Self.normalised($0, of: kind) }))
    return true
  }

  /// `net.ipv4.ip_forward`, as sysctl(8) has it too, for `net/ipv4/ip_forward`.
  private static func normalised(_ name: String, of kind: Kind) -> String {
    guard kind == .sysctl else { return name }
    var path = name.contains("/") ? name : String(name.map { $0 == "." ? "/" : $0 })
    for prefix in ["/proc/sys/", "/"] where path.hasPrefix(prefix) {
      path.removeFirst(prefix.utf8.count)
    }
    while path.hasSuffix("/") { path.removeLast() }
    return path
  }

  /// Whether a thing is left out, by itself, by what it is below (`net/bridge`), or with its whole kind.
  public func contains(_ kind: Kind, _ name: String) -> Bool {
    if items.isEmpty { return false }
    return items.contains {
      $0.kind == kind && ($0.name.map { name == $0 || name.hasPrefix($0 + "/") } ?? true)
    }
  }

  /// The option that leaves one thing out, to be pasted.
  public static func option(_ kind: Kind, _ name: String) -> String {
    "--leave-out '\(kind.rawValue):\(name)'"
  }
}
