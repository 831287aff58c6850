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
  private var keeper: UndoKeeper?

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
    try start()
    try keeper?.tell(Message(.willMake, [kind.rawValue] + name, descriptors: [directory]))
  }

  /// The file under `name`, recorded before, is about to change places with one that is not ours: undone
  /// by putting that one back. What is there now is ours.
  func recordExchange(
    _ name: (directory: CInt, name: [UInt8]), with other: (directory: CInt, name: [UInt8])
  ) throws {
    guard let own = FileID(name.name, in: name.directory) else { return }
    try keeper?.tell(
      Message(
        .willExchange,
        Array("\(own.device) \(own.inode)".utf8) + [0] + name.name + [0] + other.name,
        descriptors: [name.directory, other.directory]))
  }

  /// A process that holds what is made and outlives the engine: it is ended before anything is undone.
  mutating func record(holder: pid_t) throws {
    let process = Descriptor(
      owning: CInt(try checked(mooring_pidfd_open(holder, 0), "pidfd_open", "process \(holder)")))
    try start()
    try keeper?.tell(Message(.held, descriptors: [process.number]))
  }

  /// A script that begins, by its process group, or that has ended (0): what it started goes with an engine
  /// that is killed.
  mutating func record(script group: pid_t) throws {
    try start()
    try keeper?.tell(Message(.answer, text: String(group)))
  }

  private mutating func start() throws {
    if keeper != nil { return }
    var entries = JournalEntries()
    keeper = try UndoKeeper.start(
      closingOthers: true, hear: { entries.hear($0) }, undo: { entries.undo() })
  }

  /// Takes away what was made. A name that is gone, or a directory that somebody has put something
  /// into, stays as it is.
  ///
  /// - Returns: what could not be taken away, a sentence each.
  mutating func undo() -> [String] { keeper?.undo() ?? [] }

  /// The operation succeeded: what it made is to stay.
  mutating func forget() { keeper?.keep() }
}

/// Which file a name stands for.
private struct FileID: Hashable {
  var device: dev_t
  var inode: ino_t

  /// `nil` where there is no such name. Links are not followed.
  init?(_ name: [UInt8], in directory: CInt) {
    var status = stat()
    guard withPath(name, { fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) }) == 0 else {
      return nil
    }
    self.init(status)
  }

  init(_ status: stat) {
    device = status.st_dev
    inode = status.st_ino
  }

  init?(text: some StringProtocol) {
    let numbers = text.split(separator: " ").compactMap { UInt(String($0)) }
    guard numbers.count == 2 else { return nil }
    device = dev_t(numbers[0])
    inode = ino_t(numbers[1])
  }
}

/// What the process that holds the journal knows.
private struct JournalEntries {
  private struct Entry {
    var directory: CInt
    var name: [UInt8]
    var kind: UndoJournal.Kind
    var exchange: Exchange?
  }

  /// A file of ours that changes places with somebody else's, for a moment.
  private struct Exchange {
    var own: FileID
    var directory: CInt
    var name: [UInt8]
  }

  private var entries: [Entry] = []
  private var holder: CInt?
  private var script: pid_t = 0
  /// A descriptor for each directory, however many names are made in it.
  private var directories: [FileID: CInt] = [:]

  mutating func hear(_ message: Message) {
    switch message.kind {
    case .willMake:
      guard let directory = message.descriptors.first, message.bytes.count > 1,
        let kind = UndoJournal.Kind(rawValue: message.bytes[0])
      else { return }
      entries.append(
        Entry(directory: common(directory), name: Array(message.bytes.dropFirst()), kind: kind))
    case .willExchange: noteExchange(message)
    case .held: holder = message.descriptors.first
    case .answer: script = pid_t(message.number ?? 0)
    default: break
    }
  }

  /// One descriptor for all that are of one directory.
  private mutating func common(_ directory: CInt) -> CInt {
    var status = stat()
    guard fstat(directory, &status) == 0 else { return directory }
    let id = FileID(status)
    if let known = directories[id] {
      close(directory)
      return known
    }
    directories[id] = directory
    return directory
  }

  private mutating func noteExchange(_ message: Message) {
    let parts = message.bytes.split(separator: 0, omittingEmptySubsequences: false).map {
      Array($0)
    }
    guard message.descriptors.count == 2, parts.count == 3,
      let own = FileID(text: String(decoding: parts[0], as: UTF8.self)),
      let index = entries.lastIndex(where: { $0.name == parts[1] })
    else { return }
    close(message.descriptors[0])
    entries[index].exchange = Exchange(
      own: own, directory: common(message.descriptors[1]), name: parts[2])
  }

  /// Puts back what had to make way. Which of the two stands where tells how far the exchange had come.
  private func undo(_ exchange: Exchange, _ entry: Entry) {
    guard let now = FileID(entry.name, in: entry.directory), now != exchange.own else { return }
    if FileID(exchange.name, in: exchange.directory) == exchange.own {
      _ = withPath(exchange.name) {
        unlinkat(exchange.directory, $0, entry.kind == .file ? 0 : AT_REMOVEDIR)
      }
    }
    _ = renameNames(
      (entry.directory, entry.name), (exchange.directory, exchange.name), exchanging: false)
  }

  func undo() -> [String] {
    if let holder { _ = mooring_pidfd_kill(holder) }
    if script > 0 { kill(-script, SIGKILL) }
    var failures: [String] = []
    for entry in entries.reversed() {
      if entry.kind == .tree {
        removeTree(entry.name, in: entry.directory)
        continue
      }
      if let exchange = entry.exchange {
        undo(exchange, entry)
        // A name that is not ours still is somebody's file that could not be put back.
        if FileID(entry.name, in: entry.directory).map({ $0 != exchange.own }) ?? false {
          failures.append("\(quoted(entry.name)) should be \(quoted(exchange.name)); rename it")
          continue
        }
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
