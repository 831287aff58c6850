import MountTable
import RestorePlan

/// A value of `--external` that is about open files, in CRIU's spelling.
public struct ExternalFileOption: Hashable, Sendable, CustomStringConvertible {
  /// `file[MNTID:INODE]` or `unix[INODE]`, as `OpenFile.key` spells it.
  public var key: KernelString
  /// At restore: the host's file to open, or the socket to connect to; `nil` where not given.
  public var path: KernelString?

  /// `nil` for options that are not about files.
  ///
  /// - Throws: `OptionError`, saying what was expected.
  public init?(parsing text: String) throws(OptionError) {
    guard let open = text.firstIndex(of: "["), ["file", "unix"].contains(text[..<open]) else {
      return nil
    }
    let isSocket = text[..<open] == "unix"
    let expected =
      isSocket
      ? "'unix[INODE]' with a decimal number" : "'file[MNTID:INODE]' with hexadecimal numbers"
    guard let close = text.firstIndex(of: "]") else {
      throw OptionError("--external '\(text)': expected \(expected)")
    }
    let numbers = text[text.index(after: open)..<close].split(
      separator: ":", omittingEmptySubsequences: false)
    let rest = text[text.index(after: close)...]
    if isSocket, numbers.count == 1, let inode = UInt32(numbers[0]) {
      key = KernelString("unix[\(inode)]")
    } else if !isSocket, numbers.count == 2, let mount = UInt32(numbers[0], radix: 16),
      let inode = UInt64(numbers[1], radix: 16)
    {
      key = KernelString("file[\(String(mount, radix: 16)):\(String(inode, radix: 16))]")
    } else {
      throw OptionError("--external '\(text)': expected \(expected)")
    }
    guard rest.isEmpty || rest.hasPrefix(":") && rest.count > 1 else {
      throw OptionError("--external '\(text)': expected \(expected), at restore also ':/path'")
    }
    if rest.isEmpty { return }
    let path = String(rest.dropFirst())
    guard path.hasPrefix("/") || isSocket && path.hasPrefix("@") else {
      throw OptionError("--external '\(text)': \"\(path)\" must be an absolute path")
    }
    self.path = KernelString(path)
  }

  public var description: String { "\(key)" + (path.map { ":\($0)" } ?? "") }
}

/// `--inherit-fd 'fd[N]:KEY'`.
public struct InheritedDescriptor: Hashable, Sendable, CustomStringConvertible {
  /// At dump a descriptor of the first process, at restore one of the engine.
  public var number: Int32
  public var key: KernelString

  /// - Throws: `OptionError`.
  public init(parsing text: String) throws(OptionError) {
    guard text.hasPrefix("fd["), let close = text.firstIndex(of: "]"),
      let number = Int32(text[..<close].dropFirst(3)), number >= 0,
      text[close...].hasPrefix("]:"), text[close...].count > 2
    else { throw OptionError("--inherit-fd '\(text)': expected 'fd[N]:KEY'") }
    self.number = number
    // As KernelString(escaped:) would read it; a key that is no such text is itself.
    key = KernelString(String(text[close...].dropFirst(2)))
  }

  public var description: String { "fd[\(number)]:\(key)" }
}

/// `--skip-file`.
public enum SkippedFile: Hashable, Sendable, CustomStringConvertible {
  /// `N`: a descriptor of the first process.
  case number(Int32)
  /// `PID/N`: a descriptor of another process of the tree.
  case ofProcess(Int32, number: Int32)
  case kind(OpenFileKind)

  /// - Throws: `OptionError`.
  public init(parsing text: String) throws(OptionError) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    if let number = Int32(text), number >= 0 {
      self = .number(number)
    } else if parts.count == 2, let pid = Int32(parts[0]), let number = Int32(parts[1]), pid > 0,
      number >= 0
    {
      self = .ofProcess(pid, number: number)
    } else if let kind = OpenFileKind(word: text) {
      self = .kind(kind)
    } else {
      throw OptionError(
        "--skip-file \(text): expected a descriptor's number, PID/NUMBER, or a kind of files as "
          + "'mooring files' shows it (char, pipe, unix, …)")
    }
  }

  public var description: String {
    switch self {
    case .number(let number): "\(number)"
    case .ofProcess(let pid, let number): "\(pid)/\(number)"
    case .kind(let kind): kind.word
    }
  }

  /// Whether it is about one file, not all of a kind.
  var isOneFile: Bool {
    if case .kind = self { false } else { true }
  }

  func matches(_ file: OpenFile, _ table: FileTable) -> Bool {
    switch self {
    case .kind(let kind): file.kind == kind
    case .number(let number):
      file.descriptors.contains { $0.holder == 0 && $0.number == number }
    case .ofProcess(let pid, let number):
      file.descriptors.contains {
        let holder = table.holders[$0.holder]
        return $0.number == number && (holder.pid > 0 ? holder.pid : holder.innerPID) == pid
      }
    }
  }
}

/// What the user says about open files, at dump and at restore.
public struct FileOptions: Sendable {
  public var external: [ExternalFileOption] = []
  public var inherited: [InheritedDescriptor] = []
  public var skipped: [SkippedFile] = []
  /// Whether unix sockets that listen are somebody else's too.
  public var includesListening = false

  public init() {}
}
