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

/// Finds out where each open file of a set comes from: from the user first, else from its plugin.
struct FileSources {
  enum Answer {
    case source(FileSource)
    case missing(Finding)

    /// Whether the user says where it comes from.
    var isGiven: Bool {
      guard case .source(let source) = self else { return false }
      return switch source {
      case .pluginForFile, .pluginForSocket: false
      case .inherited, .opened, .connected: true
      }
    }
  }

  /// Options that name nothing, or contradict each other.
  private(set) var findings: [Finding]
  private let table: FileTable
  private var inherited: [KernelString: Int32] = [:]
  private var external: [KernelString: ExternalFileOption] = [:]
  /// How many open files a name stands for.
  private var counts: [KernelString: Int] = [:]

  init(_ saved: ClassifiedFiles, _ options: FileOptions) {
    table = saved.table
    findings = Self.unmatched(saved.table, options)
    for (file, fileClass) in zip(saved.table.files, saved.classes) {
      for key in Self.keys(of: file, fileClass) { counts[key, default: 0] += 1 }
    }
    for option in options.inherited
    where inherited.updateValue(option.number, forKey: option.key) != nil {
      findings.append(
        Finding(
          "--inherit-fd '\(option)': another descriptor is given for \(option.key) already",
          cures: ["give one"]))
    }
    for option in options.external where external.updateValue(option, forKey: option.key) != nil {
      findings.append(
        Finding(
          "--external '\(option)': \(option.key) is given twice", cures: ["give it once"]))
    }
    for (key, count) in counts.sorted(by: { $0.key < $1.key })
    where count > 1 && inherited[key] != nil {
      findings.append(
        Finding(
          "--inherit-fd 'fd[\(inherited[key]!)]:\(key)': \(count) open files are called \(key), and "
            + "one descriptor would make them one",
          cures: [
            "give a path, which is opened for each: --external '\(key):/host/path'",
            "dump again with a name for each: --inherit-fd 'fd[N]:KEY'",
          ]))
    }
  }

  private static func keys(of file: OpenFile, _ fileClass: FileClass) -> Set<KernelString> {
    var keys: Set<KernelString> = file.hasKey ? [file.key] : []
    if case .externalByKey(let key) = fileClass { keys.insert(key) }
    return keys
  }

  func source(of file: OpenFile, _ fileClass: FileClass) -> Answer {
    let keys = Self.keys(of: file, fileClass)
    if let number = keys.compactMap({ inherited[$0] }).first { return .source(.inherited(number)) }
    if let option = keys.compactMap({ external[$0] }).first {
      return file.kind == .unixSocket
        ? connection(file, option)
        : option.path.map { .source(.opened($0)) }
          ?? .missing(
            problem(
              file, "a path is missing", ["--external '\(option.key):/host/path'"]))
    }
    if case .externalByPlugin = fileClass {
      return .source(
        file.kind == .unixSocket
          ? .pluginForSocket(UInt32(truncatingIfNeeded: file.inode)) : .pluginForFile(file.id))
    }
    var key = file.key
    if case .externalByKey(let given) = fileClass { key = given }
    return .missing(
      problem(
        file, "it was saved as \(key), and nothing says what stands for it here",
        ["--inherit-fd 'fd[N]:\(key)'"]
          + (path(for: file).map { ["--external '\(file.key):\($0)'"] } ?? [])))
  }

  /// What an option could name for it.
  private func path(for file: OpenFile) -> String? {
    guard file.kind == .unixSocket else { return file.hasKey ? "/host/path" : nil }
    return file.socket?.isListening == true ? nil : "/path/of/socket"
  }

  /// An address as the option spells it has an abstract name after `@`; without one it is that of the peer.
  private func connection(_ file: OpenFile, _ option: ExternalFileOption) -> Answer {
    if file.socket?.isListening == true {
      return .missing(
        problem(
          file, "a socket that listens cannot be connected", ["--inherit-fd 'fd[N]:\(option.key)'"])
      )
    }
    if let path = option.path?.bytes {
      let address = path.first == 0x40 ? [0] + path.dropFirst() : path
      return .source(.connected(KernelString(address)))
    }
    let peer = file.socket?.peerName ?? []
    // A relative path is relative to whatever directory its server was in.
    guard peer.first == 0x2F || peer.first == 0 else {
      let name = peer.isEmpty ? "no name" : "the relative name \(KernelString(peer))"
      return .missing(
        problem(
          file, "its peer had \(name)",
          ["say where it is: --external '\(option.key):/path/of/socket'"]))
    }
    return .source(.connected(KernelString(peer)))
  }

  private func problem(_ file: OpenFile, _ what: String, _ cures: [String]) -> Finding {
    let place = file.descriptors.first.map { table.spelling($0) } ?? "?"
    return Finding(
      "descriptor \(place) (\(file.kind.word) \(file.name)): \(what)",
      cures: cures + ["leave it out: --skip-file \(place)"])
  }

  private static func unmatched(_ table: FileTable, _ options: FileOptions) -> [Finding] {
    let keys = Set(table.files.lazy.filter(\.hasKey).map(\.key))
    let look = "'mooring files -D' shows which there are"
    return options.external.filter { !keys.contains($0.key) }.map {
      Finding("--external '\($0)': the images have no such file", cures: [look])
    }
      + options.skipped.compactMap { skipped in
        if case .kind = skipped { return nil }
        if table.files.contains(where: { skipped.matches($0, table) }) { return nil }
        return Finding("--skip-file \(skipped): the images have no such descriptor", cures: [look])
      }
  }
}
