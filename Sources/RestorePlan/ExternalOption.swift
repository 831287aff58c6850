import MountTable

/// One value of `--external`, in CRIU's spelling.
public enum ExternalOption: Hashable, Sendable {
  /// `mnt[/path]:KEY` (dump): the mount at this place comes from outside and is called KEY.
  case mountAtPath(MountPath, key: KernelString)
  /// `mnt[KEY]:/host/path` (restore): what KEY stands for here.
  case mountForKey(KernelString, path: MountPath)
  /// `mnt[/path]:/host/path` (restore, ours): where the mount at this place comes from here, whatever
  /// the images say of it.
  case sourceAtPath(MountPath, path: MountPath)
  /// `mnt[]`, `mnt[]:m`, `mnt[]:s`, `mnt[]:ms`: find mounts from outside in the engine's namespace.
  case detect(masters: Bool, sharing: Bool)
  /// `dev[MAJOR/MINOR]:KEY` (dump): the file system on this device is called KEY.
  case device(DeviceNumber, key: KernelString)
  /// `dev[KEY]:/dev/path` (restore): the device that KEY stands for here.
  case deviceForKey(KernelString, path: MountPath)

  /// - Throws: `OptionError`, saying what was expected.
  public init(parsing text: String) throws(OptionError) {
    guard let open = text.firstIndex(of: "["), let close = Self.closingBracket(in: text, from: open)
    else {
      throw OptionError("--external '\(text)': expected KIND[…], for example 'mnt[/data]:KEY'")
    }
    let kind = text[..<open]
    let inside = String(text[text.index(after: open)..<close])
    var rest = text[text.index(after: close)...]
    let hasValue = rest.first == ":"
    if hasValue { rest = rest.dropFirst() }
    guard hasValue || rest.isEmpty else {
      throw OptionError("--external '\(text)': expected ':' after the bracket")
    }
    let value = String(rest)
    switch kind {
    case "mnt" where inside.isEmpty:
      guard value.allSatisfy({ $0 == "m" || $0 == "s" }) else {
        throw OptionError("--external '\(text)': after 'mnt[]:' come the letters m and s only")
      }
      self = .detect(masters: value.contains("m"), sharing: value.contains("s"))
    case "mnt" where inside.hasPrefix("/"):
      guard !value.isEmpty else {
        throw OptionError("--external '\(text)': a key is missing: 'mnt[\(inside)]:KEY'")
      }
      self = .mountAtPath(try Self.path(inside, in: text), key: KernelString(option: value))
    case "mnt":
      guard !value.isEmpty else {
        throw OptionError(
          "--external '\(text)': expected 'mnt[/path]:KEY' at dump, 'mnt[KEY]:PATH' at restore")
      }
      self = .mountForKey(KernelString(option: inside), path: try Self.place(value, in: text))
    case "dev":
      if let device = Self.device(inside) {
        guard !value.isEmpty else {
          throw OptionError("--external '\(text)': a key is missing: 'dev[\(inside)]:KEY'")
        }
        self = .device(device, key: KernelString(option: value))
      } else {
        guard value.hasPrefix("/") else {
          throw OptionError(
            "--external '\(text)': expected 'dev[MAJOR/MINOR]:KEY' or 'dev[KEY]:/dev/path'")
        }
        self = .deviceForKey(KernelString(option: inside), path: try Self.path(value, in: text))
      }
    default:
      throw OptionError("--external '\(text)': the kind '\(kind)' is not one of mnt, dev")
    }
  }

  /// `--ext-mount-map KEY:VALUE`, the older spelling: a path and a key at dump, a key and a path at
  /// restore; `auto` finds what it can.
  public init(parsingMap text: String, atDump: Bool) throws(OptionError) {
    if text == "auto" {
      self = .detect(masters: false, sharing: false)
      return
    }
    let colon = text.firstIndex(of: ":") ?? text.endIndex
    let key = String(text[..<colon])
    let value = String(text[colon...].dropFirst())
    guard !key.isEmpty, !value.isEmpty else {
      throw OptionError("--ext-mount-map '\(text)': expected KEY:VALUE, or auto")
    }
    if atDump {
      self = .mountAtPath(try Self.path(key, in: text), key: KernelString(option: value))
    } else {
      self = .mountForKey(KernelString(key), path: try Self.path(value, in: text))
    }
  }

  /// At a restore, what follows is a path: `mnt[/path]:/host/path`.
  ///
  /// - Parameter directory: what relative paths are relative to.
  public func atRestore(in directory: MountPath = .root) throws(OptionError) -> ExternalOption {
    switch self {
    case .mountAtPath(let place, let key):
      let path = try Self.place(key.description, in: description)
      return .sourceAtPath(place, path: directory.appending(path))
    case .mountForKey(let key, let path):
      return .mountForKey(key, path: directory.appending(path))
    default: return self
    }
  }

  /// An absolute path, or a relative one as it stands.
  private static func place(_ text: String, in option: String) throws(OptionError) -> MountPath {
    if text.hasPrefix("/") { return try path(text, in: option) }
    return MountPath(KernelString(escaped: text)?.bytes ?? Array(text.utf8))
  }

  /// Whether it is said at dump; `nil` where it may be said at both.
  public var isForDump: Bool? {
    switch self {
    case .mountAtPath, .device: true
    case .mountForKey, .deviceForKey, .sourceAtPath: false
    case .detect: nil
    }
  }

  /// The bracket that ends the inside: the last one that a colon or the end follows, so that
  /// a path may hold brackets itself.
  private static func closingBracket(in text: String, from open: String.Index) -> String.Index? {
    var index = text.index(after: open)
    while index < text.endIndex {
      if text[index] == "]" {
        let next = text.index(after: index)
        if next == text.endIndex || text[next] == ":" { return index }
      }
      index = text.index(after: index)
    }
    return nil
  }

  private static func path(_ text: String, in option: String) throws(OptionError) -> MountPath {
    try MountPath(option: text, of: "--external '\(option)'")
  }

  private static func device(_ text: String) -> DeviceNumber? {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1]) else {
      return nil
    }
    return DeviceNumber(major: major, minor: minor)
  }
}

extension ExternalOption: CustomStringConvertible {
  /// As it is spelt on the command line.
  public var description: String {
    switch self {
    case .mountAtPath(let path, let key): "mnt[\(path.inOption)]:\(key.inOption)"
    case .mountForKey(let key, let path): "mnt[\(key.inOption)]:\(path.inOption)"
    case .sourceAtPath(let place, let path): "mnt[\(place.inOption)]:\(path.inOption)"
    case .detect(let masters, let sharing):
      "mnt[]" + (masters || sharing ? ":" : "") + (masters ? "m" : "") + (sharing ? "s" : "")
    case .device(let device, let key): "dev[\(device.major)/\(device.minor)]:\(key)"
    case .deviceForKey(let key, let path): "dev[\(key.inOption)]:\(path.inOption)"
    }
  }
}

extension MountPath {
  /// `path`, which is relative to this one unless it is absolute.
  fileprivate func appending(_ path: MountPath) -> MountPath {
    path.isAbsolute ? path : appending(path.bytes)
  }

  /// A path as an option spells it: `\ooo` stands for a byte in octal, as messages and mountinfo write
  /// what is not text; a backslash before anything else is itself.
  ///
  /// - Throws: `OptionError` for one that is not absolute and normal.
  public init(option text: String, of option: String) throws(OptionError) {
    var bytes = KernelString(escaped: text)?.bytes ?? Array(text.utf8)
    while bytes.count > 1 && bytes.last == 0x2F { bytes.removeLast() }
    self.init(bytes)
    guard isNormal else {
      throw OptionError("\(option): \"\(text)\" must be an absolute path without '.' and '..'")
    }
  }
}

extension KernelString {
  /// A key or a name as an option spells it: as a path, with `\ooo` for a byte in octal.
  public init(option text: String) { self = KernelString(escaped: text) ?? KernelString(text) }
}

/// An option's value that cannot be read; exit status 64.
public struct OptionError: Error, Hashable, Sendable, CustomStringConvertible {
  public var description: String
  public init(_ description: String) { self.description = description }
}

/// What the user says about mounts, at dump and at restore.
public struct MountOptions: Sendable {
  public var external: [ExternalOption] = []
  /// Mount points left out, with all that is mounted below them.
  public var skipped: [MountPath] = []
  /// File systems that may be mounted anew though the engine does not know them; `all` names each.
  public var enabledFileSystems: Set<KernelString> = []
  /// What comes from a place outside that is read-only, nosuid, nodev, noexec or nosymfollow may be less
  /// strict than that.
  public var allowsLooserFlags = false
  /// What may be lost.
  public var leftOut = LeaveOut()

  public init() {}

  var detection: (masters: Bool, sharing: Bool)? {
    var found: (masters: Bool, sharing: Bool)?
    for case .detect(let masters, let sharing) in external {
      found = ((found?.masters ?? false) || masters, (found?.sharing ?? false) || sharing)
    }
    return found
  }

  var keyOfPath: [MountPath: KernelString] {
    external.reduce(into: [:]) { if case .mountAtPath(let path, let key) = $1 { $0[path] = key } }
  }

  var pathOfKey: [KernelString: MountPath] {
    external.reduce(into: [:]) { if case .mountForKey(let key, let path) = $1 { $0[key] = path } }
  }

  var sourceOfPath: [MountPath: MountPath] {
    external.reduce(into: [:]) {
      if case .sourceAtPath(let place, let path) = $1 { $0[place] = path }
    }
  }

  var keyOfDevice: [DeviceNumber: KernelString] {
    external.reduce(into: [:]) { if case .device(let device, let key) = $1 { $0[device] = key } }
  }

  var pathOfDeviceKey: [KernelString: MountPath] {
    external.reduce(into: [:]) { if case .deviceForKey(let key, let path) = $1 { $0[key] = path } }
  }
}
