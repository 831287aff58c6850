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
    if isSocket, numbers.count == 1, let inode = digits(numbers[0], of: UInt32.self) {
      key = KernelString("unix[\(inode)]")
    } else if !isSocket, numbers.count == 2,
      let mount = digits(numbers[0], of: UInt32.self, radix: 16),
      let inode = digits(numbers[1], of: UInt64.self, radix: 16)
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
    self.path = KernelString(escaped: path) ?? KernelString(path)
  }

  public var description: String { "\(key)" + (path.map { ":\($0)" } ?? "") }
}

/// `--inherit-fd 'fd[N]:KEY'`, at dump also `'fd[PID/N]:KEY'`.
public struct InheritedDescriptor: Hashable, Sendable, CustomStringConvertible {
  /// At dump: a process of the tree; `nil` for its first one.
  public var pid: Int32?
  /// At dump a descriptor of that process, at restore one that the engine was started with.
  public var number: Int32
  public var key: KernelString

  /// - Throws: `OptionError`.
  public init(parsing text: String) throws(OptionError) {
    guard text.hasPrefix("fd["), let close = text.firstIndex(of: "]"),
      case let place = SkippedFile(place: text[..<close].dropFirst(3)),
      text[close...].hasPrefix("]:"), text[close...].count > 2
    else { throw OptionError("--inherit-fd '\(text)': expected 'fd[N]:KEY'") }
    switch place {
    case .number(let number): self.number = number
    case .ofProcess(let pid, let number):
      self.pid = pid
      self.number = number
    default: throw OptionError("--inherit-fd '\(text)': expected 'fd[N]:KEY'")
    }
    let key = String(text[close...].dropFirst(2))
    self.key = KernelString(escaped: key) ?? KernelString(key)
  }

  public var description: String { "fd[\(pid.map { "\($0)/" } ?? "")\(number)]:\(key)" }

  var place: SkippedFile { pid.map { .ofProcess($0, number: number) } ?? .number(number) }
}

/// Digits only: no sign.
private func digits<Number: FixedWidthInteger>(
  _ text: some StringProtocol, of: Number.Type, radix: Int = 10
) -> Number? {
  text.first == "+" || text.first == "-" ? nil : Number(text, radix: radix)
}

/// `--skip-file`.
public enum SkippedFile: Hashable, Sendable, CustomStringConvertible {
  /// `N`: a descriptor of the first process.
  case number(Int32)
  /// `PID/N`: a descriptor of another process of the tree.
  case ofProcess(Int32, number: Int32)
  case kind(OpenFileKind)
  /// `threads`: whatever threads have open that the kernel lets nobody take.
  case threads

  /// - Throws: `OptionError`.
  public init(parsing text: String) throws(OptionError) {
    if let place = SkippedFile(place: text[...]) {
      self = place
    } else if text == "threads" {
      self = .threads
    } else if let kind = OpenFileKind(word: text) {
      self = .kind(kind)
    } else {
      throw OptionError(
        "--skip-file \(text): expected a descriptor's number, PID/NUMBER, or a kind of files as "
          + "'mooring files' shows it (char, pipe, unix, …)")
    }
  }

  /// `N` or `PID/N`; `nil` for other texts.
  init?(place text: Substring) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let last = parts.last, let fd = digits(last, of: Int32.self) else {
      return nil
    }
    if parts.count == 1 {
      self = .number(fd)
    } else if let pid = digits(parts[0], of: Int32.self), pid > 0 {
      self = .ofProcess(pid, number: fd)
    } else {
      return nil
    }
  }

  public var description: String {
    switch self {
    case .number(let number): "\(number)"
    case .ofProcess(let pid, let number): "\(pid)/\(number)"
    case .kind(let kind): kind.word
    case .threads: "threads"
    }
  }

  /// Whether it is about one file, not all of a kind.
  var isOneFile: Bool {
    switch self {
    case .number, .ofProcess: true
    case .kind, .threads: false
    }
  }

  func matches(_ file: OpenFile, _ table: FileTable) -> Bool {
    switch self {
    case .kind(let kind): file.kind == kind
    case .threads: false
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
