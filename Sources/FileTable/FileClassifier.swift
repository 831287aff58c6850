import MountTable
import RestorePlan

/// How a restore comes by an open file.
public enum FileClass: Hashable, Sendable, CustomStringConvertible {
  /// The restored tree has it: whoever needs it opens it again.
  case inTree
  /// It lives and ends with processes.
  case processState
  /// The user gives it.
  case externalByKey(KernelString)
  case externalByPlugin(String)
  case skipped
  /// Nothing explains it.
  case unsupported

  public var description: String {
    switch self {
    case .inTree: "in the tree"
    case .processState: "left to a process restorer"
    case .externalByKey(let key): "external \(key)"
    case .externalByPlugin(let name): "external by plugin \(name)"
    case .skipped: "skipped"
    case .unsupported: "unsupported"
    }
  }

  /// Whether a restore brings it.
  public var isExternal: Bool {
    switch self {
    case .externalByKey, .externalByPlugin: true
    default: false
    }
  }
}

/// Open files with what becomes of each.
public struct ClassifiedFiles: Hashable, Sendable {
  public var table: FileTable
  /// As many as `table.files`, in their order.
  public var classes: [FileClass]
  public var findings: [Finding]

  public init(table: FileTable = .init(), classes: [FileClass] = [], findings: [Finding] = []) {
    self.table = table
    self.classes = classes
    self.findings = findings
  }

  /// Those that a restore brings, with the holders of any.
  public var external: ClassifiedFiles {
    let places = classes.indices.filter { classes[$0].isExternal }
    return ClassifiedFiles(
      table: FileTable(holders: table.holders, files: places.map { table.files[$0] }),
      classes: places.map { classes[$0] })
  }
}

/// Decides of each open file how a restore comes by it. All problems are collected.
public struct FileClassifier {
  public var options: FileOptions
  /// The name of the plugin that answers; `nil` where none does.
  private let askPlugin: (OpenFile) throws -> String?

  public init(options: FileOptions, askPlugin: @escaping (OpenFile) throws -> String?) {
    self.options = options
    self.askPlugin = askPlugin
  }

  /// - Throws: what `askPlugin` throws.
  public func classify(_ table: FileTable) throws -> ClassifiedFiles {
    let tree = TreeSockets(table)
    let keys = FileKeys(table, options)
    var result = ClassifiedFiles(
      table: table, findings: keys.findings + unmatched(table) + unread(table))
    for (place, file) in table.files.enumerated() {
      let skipped = options.skipped.first { $0.matches(file, table) }
      if let skipped, keys.ofPlace[place] == nil || skipped.isOneFile {
        result.classes.append(.skipped)
        if let key = keys.ofPlace[place] {
          result.findings.append(
            Finding(
              "--skip-file \(skipped) leaves out the file that is called \(key)",
              cures: ["take one of the two options away"]))
        }
      } else if let key = keys.ofPlace[place] {
        // One of a kind that is left out else.
        result.classes.append(.externalByKey(key))
      } else if let known = withoutHelp(file, tree) {
        result.classes.append(known)
      } else if let plugin = try askPlugin(file) {
        result.classes.append(.externalByPlugin(plugin))
      } else {
        result.classes.append(.unsupported)
        result.findings.append(problem(file, table))
      }
    }
    return result
  }

  /// The class of a file that needs nobody from outside.
  private func withoutHelp(_ file: OpenFile, _ tree: TreeSockets) -> FileClass? {
    // Of a device that is not open (O_PATH) there is no state, and that of /dev/null is none.
    let isMemory = file.kind == .characterDevice && file.device?.major == 1
    if file.kind.isFoundByPath || isMemory || file.isPathOnly {
      if file.isReachable { return .inTree }
      return isMemory ? .processState : nil
    }
    switch file.kind {
    case .pipe: return file.isHalfOutside ? nil : .processState
    case .unixSocket: return tree.isTiedOutside(file, options) ? nil : .processState
    default: return file.kind.isMadeWithProcesses ? .processState : nil
    }
  }

  private func unmatched(_ table: FileTable) -> [Finding] {
    options.skipped.compactMap { skipped in
      // A kind may be named for containers that have none just now.
      if !skipped.isOneFile { return nil }
      if table.files.contains(where: { skipped.matches($0, table) }) { return nil }
      return Finding(
        "--skip-file \(skipped): there is no such descriptor", cures: [FileKeys.look])
    }
  }

  private func unread(_ table: FileTable) -> [Finding] {
    if options.skipped.contains(.threads) { return [] }
    return table.unreadThreads.map { thread in
      Finding(
        "thread \(thread) has descriptors of its own, which this kernel lets nobody take (Linux 6.9 does)",
        cures: ["leave out what such threads have open: --skip-file threads"])
    }
  }

  private func problem(_ file: OpenFile, _ table: FileTable) -> Finding {
    let place = file.descriptors.first.map { table.spelling($0) } ?? "?"
    return Finding(
      "descriptor \(place) (\(file.kind.word) \(file.name)): \(reason(file)), and no mapping or "
        + "plugin explains it",
      cures: [
        file.hasKey
          ? "name it, to give it at restore: --external '\(file.key)'"
          : "name it, to give it at restore: --inherit-fd 'fd[\(place)]:KEY'",
        "give a plugin that answers for it: -L DIR", "leave it out: --skip-file \(place)",
      ])
  }

  private func reason(_ file: OpenFile) -> String {
    switch file.kind {
    case .characterDevice, .blockDevice:
      return "a device file's state is known to its driver alone"
    case .pipe: return "its other end is outside"
    case .unixSocket:
      guard let socket = file.socket, !socket.isListening else { return "its clients are outside" }
      let name = socket.peerName.isEmpty ? "" : " (\(socketAddress(socket.peerName)))"
      if case .socket = socket.peer { return "its peer is outside\(name)" }
      return socket.type == 2 ? "its peer\(name) is gone" : "its peer\(name) has not accepted it"
    case .regular, .directory, .fifo, .symbolicLink:
      return "the container's tree does not show it"
    case .namespace: return "it is a namespace of somebody outside"
    default: return "nobody else can make it"
    }
  }
}

/// The unix sockets that the tree has, to tell who is inside.
private struct TreeSockets {
  private var inodes: Set<UInt32> = []
  /// Those that wait at a listener of the tree.
  private var waiting: Set<UInt32> = []

  init(_ table: FileTable) {
    for file in table.files {
      guard let socket = file.socket else { continue }
      inodes.insert(UInt32(truncatingIfNeeded: file.inode))
      waiting.formUnion(socket.waitingClients)
    }
  }

  func isTiedOutside(_ file: OpenFile, _ options: FileOptions) -> Bool {
    guard let socket = file.socket else { return false }
    if socket.isListening { return options.includesListening }
    return switch socket.peer {
    case .none: false
    case .unknown: !waiting.contains(UInt32(truncatingIfNeeded: file.inode))
    case .socket(let peer): !inodes.contains(peer)
    }
  }
}

/// An address of a unix socket for people: a path, or `@` and an abstract name.
public func socketAddress(_ name: [UInt8]) -> String {
  name.first == 0 ? "@\(KernelString(Array(name.dropFirst())))" : "\(KernelString(name))"
}
