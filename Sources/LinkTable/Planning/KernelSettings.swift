/// What a kernel makes of settings below `/proc/sys/net`: seen in a network namespace that was made for
/// looking and is gone.
///
/// The values of a new network are the kernel's choice, which differs from kernel to kernel, or the host's,
/// where the kernel hands on what the first network has.
public struct KernelSettings: Sendable {
  /// What became of a value that was written there.
  public enum Answer: Hashable, Sendable {
    /// The kernel took it, and shows it like this: in units of its own clock, for example.
    case taken(as: [UInt8])
    case missing
    /// It is there, and no network but the first may set it.
    case readOnly
    /// With `errno`, and what it says: `EINVAL (Invalid argument)`.
    case refused(Int32, String)
  }

  /// Of a new network, by path.
  public var values: [[UInt8]: [UInt8]]
  /// Of values that were tried; the paths are those of `common`.
  public var answers: [Sysctl: Answer]

  public init(values: [[UInt8]: [UInt8]] = [:], answers: [Sysctl: Answer] = [:]) {
    self.values = values
    self.answers = answers
  }

  /// What a new network has, or a new link in it.
  public func value(of path: [UInt8]) -> [UInt8]? {
    values[path] ?? values[Self.common(path)]
  }

  public func answer(to setting: Sysctl) -> Answer? { answers[Self.question(setting)] }

  /// What is tried for a setting: links are not there yet, and what one takes `default` takes.
  public static func question(_ setting: Sysctl) -> Sysctl {
    Sysctl(path: common(setting.path), value: setting.value)
  }

  /// The setting of a link as that of new links: `ipv4/conf/default/forwarding`. Of neighbours only the
  /// first network has a `default`, and what a new loopback has is what all links have at first.
  static func common(_ path: [UInt8]) -> [UInt8] {
    guard let part = LinkSettingPath(path), !part.isCommon else { return path }
    let member = part.folder.suffix(6).elementsEqual("neigh/".utf8) ? "lo/" : "default/"
    return part.folder + Array(member.utf8) + part.name
  }

  /// The folders of single links that a new network is to be asked for.
  public static let linkFolders = ["ipv4/neigh/lo", "ipv6/neigh/lo"].map { Array($0.utf8) }

  /// Whether a network that has `value` is, here, as the saved setting means it.
  func means(_ setting: Sysctl, _ value: [UInt8]) -> Bool {
    if value == setting.value { return true }
    if setting.origin == .kernel { return value == self.value(of: setting.path) }
    return answer(to: setting) == .taken(as: value)
  }

  /// Settings with what a dump finds out about each: whether it is as in a new network.
  public func marked(_ settings: [Sysctl]) -> [Sysctl] {
    settings.map { setting in
      var setting = setting
      setting.origin = value(of: setting.path) == setting.value ? .kernel : .changed
      return setting
    }
  }
}

/// The parts of a path as `ipv4/conf/eth0/forwarding`. A link's name has no slash.
struct LinkSettingPath: Hashable {
  /// With the slash: `ipv4/conf/`.
  var folder: [UInt8]
  /// `all`, `default`, or the name of a link.
  var member: [UInt8]
  var name: [UInt8]

  private static let folders = NetworkPlanner.linkFolders.map { Array($0.utf8) }
  private static let common = [Array("all".utf8), Array("default".utf8)]

  /// `nil` for other paths.
  init?(_ path: [UInt8]) {
    guard let folder = Self.folders.first(where: { path.starts(with: $0) }) else { return nil }
    let parts = path.dropFirst(folder.count).split(
      separator: 0x2F, omittingEmptySubsequences: false)
    guard parts.count == 2 else { return nil }
    self.folder = folder
    member = Array(parts[0])
    name = Array(parts[1])
  }

  var isCommon: Bool { Self.common.contains(member) }
  /// The same for `all`, `default` and each link: a change of one may be one of others.
  var family: [UInt8] { folder + name }
}
