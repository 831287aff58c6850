import CMooring
import CheckpointImages
import Glibc
import LinuxKernel
import SystemPackage

/// Names that an operation made where they outlive it: mount points on the root's disk, cgroups, a
/// folder of half-written images.
///
/// A process of its own holds them, from the first one on, so that even an engine that is killed
/// leaves nothing: when its end of the socket closes without a word, the names are taken away, the last
/// first. Each entry is sent before the name is made.
struct UndoJournal: ~Copyable {
  private var keeper: CInt = -1
  private var pid: pid_t = 0

  enum Kind: UInt8 {
    case file, directory
    /// A directory with all that is in it.
    case tree
  }

  /// With its keeper at once.
  static func started() throws -> UndoJournal {
    var journal = UndoJournal()
    try journal.start()
    return journal
  }

  mutating func record(directory: CInt, name: [UInt8], _ kind: Kind) throws {
    if keeper < 0 { try start() }
    try Channel.send(
      Message(.willMake, [kind.rawValue] + name, descriptors: [directory]), over: keeper)
  }

  /// Takes an entry off again: the name is about to be somebody else's.
  func forget(_ name: [UInt8]) throws {
    guard keeper >= 0 else { return }
    try Channel.send(Message(.keepName, name), over: keeper)
  }

  private mutating func start() throws {
    let ends = try PacketSocket.pair()
    fflush(nil)
    let child = try checked(mooring_fork(), "fork", "the keeper of the journal")
    if child == 0 { JournalKeeper.run(ends.theirs.number) }
    pid = pid_t(child)
    keeper = ends.takeMine().release()
  }

  /// Takes away what was made. A name that is gone, or a directory that somebody has put something
  /// into, stays as it is.
  ///
  /// - Returns: what could not be taken away, a sentence each.
  mutating func undo() -> [String] {
    guard keeper >= 0 else { return [] }
    try? Channel.send(Message(.undo), over: keeper)
    let answer = try? Channel.receive(from: keeper)
    finish()
    return answer.map { $0.text.split(separator: "\n").map(String.init) } ?? []
  }

  /// The operation succeeded: what it made is to stay.
  mutating func forget() {
    guard keeper >= 0 else { return }
    try? Channel.send(Message(.keep), over: keeper)
    finish()
  }

  private mutating func finish() {
    close(keeper)
    keeper = -1
    mooring_wait(pid, nil)
  }

  deinit {
    // Closed without a word: the keeper undoes.
    if keeper >= 0 {
      close(keeper)
      mooring_wait(pid, nil)
    }
  }
}

/// The process that holds the journal.
private struct JournalKeeper {
  private struct Entry {
    var directory: CInt
    var name: [UInt8]
    var kind: UndoJournal.Kind
  }

  private struct FileID: Hashable {
    var device: dev_t
    var inode: ino_t
  }

  private var entries: [Entry] = []
  /// A descriptor for each directory, however many names are made in it.
  private var directories: [FileID: CInt] = [:]

  static func run(_ socket: CInt) {
    // Out of reach of the terminal, and of what is sent to the engine's group.
    _ = setsid()
    var all = sigset_t()
    sigfillset(&all)
    sigprocmask(SIG_SETMASK, &all, nil)
    dup2(socket, 0)
    _ = mooring_close_range(1, UInt32.max, 0)
    var keeper = JournalKeeper()
    keeper.listen()
    mooring_exit(0)
  }

  private mutating func listen() {
    while let message = try? Channel.receive(from: 0) {
      switch message.kind {
      case .willMake:
        guard let directory = message.descriptors.first, message.bytes.count > 1,
          let kind = UndoJournal.Kind(rawValue: message.bytes[0])
        else { continue }
        entries.append(
          Entry(directory: common(directory), name: Array(message.bytes.dropFirst()), kind: kind))
      case .keepName: entries.removeAll { $0.name == message.bytes }
      case .keep: return
      default:
        try? Channel.send(Message(.answer, text: undo().joined(separator: "\n")), over: 0)
        return
      }
    }
    _ = undo()
  }

  /// One descriptor for all that are of one directory.
  private mutating func common(_ directory: CInt) -> CInt {
    var status = stat()
    guard fstat(directory, &status) == 0 else { return directory }
    let id = FileID(device: status.st_dev, inode: status.st_ino)
    if let known = directories[id] {
      close(directory)
      return known
    }
    directories[id] = directory
    return directory
  }

  private func undo() -> [String] {
    var failures: [String] = []
    for entry in entries.reversed() {
      if entry.kind == .tree {
        removeTree(entry.name, in: entry.directory)
        continue
      }
      let result = withPath(entry.name) {
        unlinkat(entry.directory, $0, entry.kind == .file ? 0 : AT_REMOVEDIR)
      }
      guard result < 0, errno != ENOENT, errno != ENOTEMPTY else { continue }
      let failure = Errno(rawValue: errno)
      failures.append(
        "unlink \(quoted(entry.name)): \(failure.symbol) (\(failure.text)); take it away by hand")
    }
    return failures
  }
}
