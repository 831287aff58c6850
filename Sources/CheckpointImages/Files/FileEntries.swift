import FileTable
import FoundationEssentials
import MountTable

/// Open files as entries of `files.img`, there and back.
///
/// | what brings it | entry |
/// |---|---|
/// | DUMP_EXT_FILE, or a key | type `ext` |
/// | DUMP_UNIX_SK | type `unixsk` with the flag `callback`; its peer has an entry with `extern` |
/// | a key, for a unix socket | type `unixsk` with `extern` |
enum FileEntries {
  /// CRIU's numbers for types of files.
  enum FileType {
    static let unixSocket: UInt32 = 5
    static let external: UInt32 = 16
  }

  /// `uflags` of a unix socket.
  enum SocketFlag {
    /// It belongs to somebody outside.
    static let external: UInt32 = 1
    /// A plugin brings it.
    static let callback: UInt32 = 4
  }

  /// `include/net/tcp_states.h`, which unix sockets use too.
  private enum State {
    static let established: UInt32 = 1
    static let closed: UInt32 = 7
    static let listening: UInt32 = 10
  }

  // MARK: Writing

  static func entry(_ file: OpenFile, _ fileClass: FileClass) -> ImageFileEntry {
    var entry = ImageFileEntry()
    entry.id = file.id
    if let socket = file.socket {
      entry.type = FileType.unixSocket
      var flag = SocketFlag.callback
      if case .externalByKey = fileClass { flag = SocketFlag.external }
      entry.usk = self.socket(socket, of: file, flag)
      if !socket.peerName.isEmpty { entry.peerName = Data(socket.peerName) }
    } else {
      entry.type = FileType.external
      entry.ext.id = file.id
      entry.ext.fown = nobody
    }
    if let flags = file.flags { entry.openFlags = flags.rawValue }
    entry.kind = Data(file.kind.word.utf8)
    entry.link = Data(file.name.bytes)
    entry.inode = file.inode
    entry.mount = file.mount.rawValue
    if file.position > 0 { entry.position = file.position }
    if let device = file.device { entry.device = device.packed }
    switch fileClass {
    case .externalByKey(let key): entry.key = Data(key.bytes)
    case .externalByPlugin(let name): entry.plugin = Data(name.utf8)
    default: break
    }
    return entry
  }

  /// The other end of a socket that a plugin brings.
  static func peer(of file: OpenFile, id: UInt32) -> ImageFileEntry? {
    guard let socket = file.socket, case .socket(let inode) = socket.peer else { return nil }
    var peer = UnixSocket(type: socket.type)
    peer.name = socket.peerName
    var other = file
    other.id = id
    other.inode = UInt64(inode)
    var entry = ImageFileEntry()
    entry.type = FileType.unixSocket
    entry.id = id
    entry.usk = self.socket(peer, of: other, SocketFlag.external)
    return entry
  }

  /// The owner is a process, and processes are not saved.
  private static var nobody: ImageFileOwner {
    var owner = ImageFileOwner()
    owner.uid = 0
    owner.euid = 0
    owner.signum = 0
    owner.pidType = 0
    owner.pid = 0
    return owner
  }

  private static func socket(
    _ socket: UnixSocket, of file: OpenFile, _ flag: UInt32
  ) -> ImageUnixSocketEntry {
    var entry = ImageUnixSocketEntry()
    entry.id = file.id
    entry.ino = UInt32(truncatingIfNeeded: file.inode)
    entry.type = UInt32(bitPattern: socket.type)
    entry.flags = file.flags?.rawValue ?? 0
    entry.uflags = flag
    entry.backlog = socket.backlog
    entry.peer = 0
    if case .socket(let peer) = socket.peer { entry.peer = peer }
    let isConnected = socket.peer != .none
    entry.state =
      socket.isListening
      ? State.listening : isConnected && socket.type != 2 ? State.established : State.closed
    entry.fown = nobody
    entry.opts.soSndbuf = socket.sendBuffer
    entry.opts.soRcvbuf = socket.receiveBuffer
    entry.opts.soSndTmoSec = socket.sendTimeout / 1_000_000
    entry.opts.soSndTmoUsec = socket.sendTimeout % 1_000_000
    entry.opts.soRcvTmoSec = socket.receiveTimeout / 1_000_000
    entry.opts.soRcvTmoUsec = socket.receiveTimeout % 1_000_000
    if socket.passesCredentials { entry.opts.soPasscred = true }
    entry.name = Data(socket.name)
    return entry
  }

  // MARK: Reading

  /// The file of an entry and what brings it; `nil` for entries that no restore here brings.
  static func file(
    _ entry: ImageFileEntry, in name: String, at offset: Int
  ) throws(ImageError) -> (file: OpenFile, fileClass: FileClass)? {
    func bad(_ field: String, _ value: String) -> ImageError {
      ImageError(name, .badValue(field: field, value: value), at: offset)
    }
    let isSocket = entry.type == FileType.unixSocket
    guard isSocket ? entry.hasUsk : entry.type == FileType.external && entry.hasExt else {
      if isSocket || entry.type == FileType.external {
        throw ImageError(name, .missingField, at: offset)
      }
      return nil
    }
    let key = KernelString(Array(entry.key))
    if isSocket {
      // Without a key, external is the peer of another socket.
      let brings = entry.usk.uflags & SocketFlag.callback != 0 || !key.isEmpty
      guard brings else { return nil }
    }
    guard isSocket ? entry.usk.id == entry.id : entry.ext.id == entry.id else {
      throw bad("the file's id", isSocket ? "\(entry.usk.id)" : "\(entry.ext.id)")
    }
    var kind: OpenFileKind = isSocket ? .unixSocket : .regular
    if entry.hasKind {
      let word = String(decoding: entry.kind, as: UTF8.self)
      guard let found = OpenFileKind(word: word), (found == .unixSocket) == isSocket else {
        throw bad("the kind of a file", "\"\(KernelString(Array(entry.kind)))\"")
      }
      kind = found
    }
    for text in [entry.link, entry.key, entry.peerName] where text.count > 4096 {
      throw bad("a name", "\(text.count) bytes long")
    }
    var file = OpenFile(
      id: entry.id, kind: kind, name: KernelString(Array(entry.link)),
      inode: isSocket ? UInt64(entry.usk.ino) : entry.inode, mount: MountID(entry.mount),
      flags: entry.hasOpenFlags || isSocket
        ? OpenFlags(rawValue: entry.hasOpenFlags ? entry.openFlags : entry.usk.flags)
          .subtracting(.closeOnExec) : nil,
      device: entry.hasDevice ? DeviceNumber(packed: entry.device) : nil)
    file.position = entry.position
    if isSocket { file.socket = try socket(entry, bad) }
    if file.name.isEmpty, isSocket { file.name = KernelString("socket:[\(file.inode)]") }
    if !key.isEmpty { return (file, .externalByKey(key)) }
    let plugin = entry.hasPlugin ? String(decoding: entry.plugin, as: UTF8.self) : ""
    return (file, .externalByPlugin(plugin))
  }

  private static func socket(
    _ entry: ImageFileEntry, _ bad: (String, String) -> ImageError
  ) throws(ImageError) -> UnixSocket {
    let saved = entry.usk
    guard [1, 2, 5].contains(saved.type) else { throw bad("a socket's type", "\(saved.type)") }
    for name in [saved.name, entry.peerName] where name.count > UnixSocket.longestName {
      throw bad("a socket's name", "\(name.count) bytes long")
    }
    var socket = UnixSocket(type: Int32(saved.type))
    socket.isListening = saved.state == State.listening
    socket.name = Array(saved.name)
    socket.peerName = Array(entry.peerName)
    socket.backlog = saved.backlog
    if saved.peer != 0 { socket.peer = .socket(saved.peer) }
    socket.sendBuffer = saved.opts.soSndbuf
    socket.receiveBuffer = saved.opts.soRcvbuf
    socket.sendTimeout = try microseconds(saved.opts.soSndTmoSec, saved.opts.soSndTmoUsec, bad)
    socket.receiveTimeout = try microseconds(saved.opts.soRcvTmoSec, saved.opts.soRcvTmoUsec, bad)
    socket.passesCredentials = saved.opts.soPasscred
    return socket
  }

  private static func microseconds(
    _ seconds: UInt64, _ rest: UInt64, _ bad: (String, String) -> ImageError
  ) throws(ImageError) -> UInt64 {
    guard seconds <= UInt64(Int32.max), rest < 1_000_000 else {
      throw bad("a socket's timeout", "\(seconds) s and \(rest) µs")
    }
    return seconds * 1_000_000 + rest
  }
}
