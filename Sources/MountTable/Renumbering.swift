/// Numbers of one table that stand for numbers of another, each for one.
struct Renumbering<Number: Hashable & Sendable & CustomStringConvertible>: Sendable {
  private var forward: [Number: Number] = [:]
  private var backward: [Number: Number] = [:]
  private var expected: Set<Number> = []
  private var found: Set<Number> = []

  /// Notes a pair; the first that names a number decides.
  mutating func note(_ one: Number?, _ other: Number?) {
    if let one { expected.insert(one) }
    if let other { found.insert(other) }
    guard let one, let other, forward[one] == nil, backward[other] == nil else { return }
    forward[one] = other
    backward[other] = one
  }

  /// Notes a pair, and says whether it agrees with those before.
  mutating func pair(_ one: Number, _ other: Number) -> Bool {
    if forward[one] == other { return true }
    note(one, other)
    return match(one, other)
  }

  func match(_ one: Number?, _ other: Number?) -> Bool {
    guard let one, let other else { return one == nil && other == nil }
    return forward[one] == other
  }

  func knowsExpected(_ number: Number) -> Bool { expected.contains(number) }
  func knowsFound(_ number: Number) -> Bool { found.contains(number) }

  func partner(of number: Number) -> String {
    forward[number].map { "device \($0)" } ?? "one of its own"
  }
}

extension IDMapping {
  /// Whether two mappings are the same as far as they are known: one without ranges is unknown.
  static func agree(_ one: IDMapping?, _ other: IDMapping?) -> Bool {
    guard let one, let other else { return one == nil && other == nil }
    return one == other || one.isUnknown || other.isUnknown
  }

  /// Whether nobody said how the mount is mapped: mountinfo does not, and `statmount` from Linux 6.15 on.
  public var isUnknown: Bool { users.isEmpty && groups.isEmpty }

  static func text(_ mapping: IDMapping?) -> String {
    guard let mapping else { return "none" }
    func list(_ ranges: [Range]) -> String {
      ranges.map { "\($0.inside):\($0.outside):\($0.count)" }.joined(separator: ",")
    }
    return "users \(list(mapping.users)) groups \(list(mapping.groups))"
  }
}

extension MountAttributes: CustomStringConvertible {
  /// In the words of `mount(8)`: `ro,nosuid,relatime`.
  public var description: String {
    var words = [flags.contains(.readOnly) ? "ro" : "rw"]
    if flags.contains(.noSUID) { words.append("nosuid") }
    if flags.contains(.noDevices) { words.append("nodev") }
    if flags.contains(.noExecution) { words.append("noexec") }
    switch accessTime {
    case .relative: words.append("relatime")
    case .never: words.append("noatime")
    case .strict: words.append("strictatime")
    }
    if flags.contains(.noDirectoryAccessTime) { words.append("nodiratime") }
    if flags.contains(.noSymbolicLinks) { words.append("nosymfollow") }
    return words.joined(separator: ",")
  }
}

extension SuperblockFlags: CustomStringConvertible {
  /// In the words of mountinfo: `rw,sync`.
  public var description: String {
    var words = [contains(.readOnly) ? "ro" : "rw"]
    if contains(.synchronous) { words.append("sync") }
    if contains(.synchronousDirectories) { words.append("dirsync") }
    if contains(.mandatoryLocks) { words.append("mand") }
    if contains(.lazyTime) { words.append("lazytime") }
    return words.joined(separator: ",")
  }
}
