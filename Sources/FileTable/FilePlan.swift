import MountTable
import RestorePlan

/// Where a restored open file comes from.
public enum FileSource: Hashable, Sendable, CustomStringConvertible {
  /// RESTORE_EXT_FILE, for the file's ID.
  case pluginForFile(UInt32)
  /// RESTORE_UNIX_SK, for the socket's inode.
  case pluginForSocket(UInt32)
  /// A descriptor that the engine was started with.
  case inherited(Int32)
  /// A file of the host, opened with the saved flags.
  case opened(KernelString)
  /// A socket that is made and connected: a path, or a name after a zero byte.
  case connected(KernelString)

  /// Whether the user says where it comes from.
  var isGiven: Bool {
    switch self {
    case .pluginForFile, .pluginForSocket: false
    case .inherited, .opened, .connected: true
    }
  }

  public var description: String {
    switch self {
    case .pluginForFile(let id): "ask plugins for file \(id)"
    case .pluginForSocket(let inode): "ask plugins for unix socket \(inode)"
    case .inherited(let number): "take descriptor \(number) of mooring"
    case .opened(let path): "open \(path) of the host"
    case .connected(let address): "connect a unix socket to \(socketAddress(address.bytes))"
    }
  }
}

/// One open file that COMMAND is given.
public struct FileStep: Hashable, Sendable, CustomStringConvertible {
  public var source: FileSource
  /// The name in `MOORING_FDS`: `file:ID`, `unix:INODE`, or a key.
  public var name: String
  public var file: OpenFile
  /// The numbers it gets.
  public var numbers: [Int32]

  public var description: String {
    let list = numbers.map { "\($0)" }.joined(separator: " and ")
    return "\(source): descriptor \(list) of COMMAND (\(file.kind.word) \(file.name))"
  }
}

/// What a restore does about open files: decided before anything is changed.
public struct FilePlan: Hashable, Sendable {
  public var steps: [FileStep] = []
  public var findings: [Finding] = []
  /// The value of `MOORING_FDS`: a word a descriptor, separated by spaces.
  ///
  /// ```
  /// NUMBER=NAME[,cloexec][@PID/FD]…
  /// ```
  /// `cloexec`: the saved descriptor had `FD_CLOEXEC`, which COMMAND would not have lived to see.
  /// `@PID/FD`: a descriptor of another process that was the same open file; PID is the one inside.
  public var environment = ""

  /// The name of the variable.
  public static let variable = "MOORING_FDS"

  public var asksPlugins: Bool {
    steps.contains {
      switch $0.source {
      case .pluginForFile, .pluginForSocket: true
      default: false
      }
    }
  }

  public init() {}

  /// - Parameters:
  ///   - saved: the files of a set of images that a restore brings.
  ///   - limit: how many descriptors COMMAND may have.
  public init(_ saved: ClassifiedFiles, _ options: FileOptions, limit: Int) {
    var free = FreeNumbers(saved.table)
    var words: [(number: Int32, word: String)] = []
    findings += Self.unmatched(saved.table, options)
    for (file, fileClass) in zip(saved.table.files, saved.classes) {
      let source = Self.source(of: file, fileClass, options)
      let skipped = options.skipped.contains {
        // What is given is no longer one of a kind.
        $0.matches(file, saved.table) && ($0.isOneFile || source?.isGiven != true)
      }
      guard fileClass.isExternal, !skipped else { continue }
      guard let source else {
        findings.append(Self.missing(file, fileClass, saved.table))
        continue
      }
      let own = file.descriptors.filter { $0.holder == 0 }
      let numbers = own.isEmpty ? [free.take()] : own.map(\.number)
      let name = Self.name(of: file, fileClass)
      steps.append(FileStep(source: source, name: name, file: file, numbers: numbers))
      for (place, number) in numbers.enumerated() {
        if Int(number) >= limit { findings.append(Self.outOfRange(number, file, limit)) }
        let isClosing = place < own.count && own[place].closesOnExec
        words.append(
          (number, name + (isClosing ? ",cloexec" : "") + Self.others(file, saved.table)))
      }
    }
    environment = words.sorted { $0.number < $1.number }
      .map { "\($0.number)=\($0.word)" }.joined(separator: " ")
  }

  private static func source(
    of file: OpenFile, _ fileClass: FileClass, _ options: FileOptions
  ) -> FileSource? {
    var keys = [file.key]
    if case .externalByKey(let key) = fileClass { keys.insert(key, at: 0) }
    if let given = options.inherited.first(where: { keys.contains($0.key) }) {
      return .inherited(given.number)
    }
    if let given = options.external.first(where: { keys.contains($0.key) }) {
      guard let path = given.path?.bytes else { return connection(file, to: nil) }
      return file.kind == .unixSocket
        ? connection(file, to: path) : .opened(KernelString(path))
    }
    guard case .externalByPlugin = fileClass else { return nil }
    return file.kind == .unixSocket
      ? .pluginForSocket(UInt32(truncatingIfNeeded: file.inode)) : .pluginForFile(file.id)
  }

  /// - Parameter address: as the option spells it, an abstract name after `@`; `nil` for where the peer
  ///   was.
  private static func connection(_ file: OpenFile, to address: [UInt8]?) -> FileSource? {
    guard file.kind == .unixSocket else { return nil }
    guard let address else {
      let peer = file.socket?.peerName ?? []
      return peer.isEmpty ? nil : .connected(KernelString(peer))
    }
    return .connected(
      KernelString(address.first == 0x40 ? [0] + address.dropFirst() : address))
  }

  private static func name(of file: OpenFile, _ fileClass: FileClass) -> String {
    if case .externalByKey(let key) = fileClass {
      // As \ooo, what would end the name.
      let special: [Character: String] = [" ": "\\040", ",": "\\054", "@": "\\100"]
      return "\(key)".map { special[$0] ?? String($0) }.joined()
    }
    return file.kind == .unixSocket ? "unix:\(file.inode)" : "file:\(file.id)"
  }

  private static func others(_ file: OpenFile, _ table: FileTable) -> String {
    file.descriptors.filter { $0.holder > 0 }
      .map { "@\(table.holders[$0.holder].innerPID)/\($0.number)" }.joined()
  }

  // MARK: Findings

  private static func missing(
    _ file: OpenFile, _ fileClass: FileClass, _ table: FileTable
  ) -> Finding {
    var key = file.key
    if case .externalByKey(let given) = fileClass { key = given }
    let place = file.descriptors.first.map { table.spelling($0) } ?? "?"
    let isSocket = file.kind == .unixSocket
    return Finding(
      "descriptor \(place) (\(file.kind.word) \(file.name)): it was saved as \(key), and nothing says "
        + "what stands for it here",
      cures: [
        "--inherit-fd 'fd[N]:\(key)'",
        "--external '\(file.key):\(isSocket ? "/path/of/socket" : "/host/path")'",
        "leave it out: --skip-file \(place)",
      ])
  }

  private static func outOfRange(_ number: Int32, _ file: OpenFile, _ limit: Int) -> Finding {
    Finding(
      "descriptor \(number) (\(file.kind.word) \(file.name)): COMMAND may have descriptors below "
        + "\(limit) only",
      cures: [
        "raise the limit on open files first: ulimit -n \(Int(number) + 1)",
        "leave it out: --skip-file \(number)",
      ])
  }

  private static func unmatched(_ table: FileTable, _ options: FileOptions) -> [Finding] {
    let keys = Set(table.files.map(\.key))
    let look = "'mooring files -D' shows which there are"
    var given: Set<KernelString> = []
    let twice = options.inherited.filter { !given.insert($0.key).inserted }.map {
      Finding(
        "--inherit-fd '\($0)': another descriptor is given for \($0.key) already",
        cures: ["give one"])
    }
    return twice
      + options.external.filter { !keys.contains($0.key) }.map {
        Finding("--external '\($0)': the images have no such file", cures: [look])
      }
      + options.skipped.compactMap { skipped in
        if case .kind = skipped { return nil }
        if table.files.contains(where: { skipped.matches($0, table) }) { return nil }
        return Finding("--skip-file \(skipped): the images have no such descriptor", cures: [look])
      }
  }
}

/// Numbers for files that the first process had no descriptor of.
private struct FreeNumbers {
  private var taken: Set<Int32>
  private var next: Int32 = 3

  init(_ table: FileTable) {
    taken = Set(
      table.files.flatMap { $0.descriptors.filter { $0.holder == 0 }.map(\.number) })
  }

  mutating func take() -> Int32 {
    while taken.contains(next) { next += 1 }
    defer { next += 1 }
    return next
  }
}
