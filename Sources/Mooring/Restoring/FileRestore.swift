import CMooring
import FileTable
import Glibc
import LinuxKernel
import Logging
import MountTable
import PluginHost
import SystemPackage

/// Brings the open files of a plan, and gives each away.
struct FileRestore {
  let plan: FilePlan
  let chain: PluginChain?
  let inherited: InheritedFiles
  let log: Logger

  /// How often all that wait are asked again though none of them has made progress: each may have to
  /// prepare its part before another can go on.
  private static let fruitlessRounds = 16
  /// Descriptors of one file that are given at a time: a packet has room for their numbers.
  private static let mostNumbers = 4000
  /// What `open` takes of the flags of an image from elsewhere; `O_LARGEFILE` and others are its own.
  private static let openable = OpenFlags([
    .writeOnly, .readWrite, .append, .direct, .noAccessTime, .pathOnly, .directory, .synchronous,
  ])

  /// - Throws: `PluginFailure`, `EngineFailure`, `SystemCallFailure`.
  func run(give: (borrowing Descriptor, [Int32]) throws -> Void) throws {
    var waiting = plan.steps
    var fruitless = 0
    var remarks: [String] = []
    while !waiting.isEmpty {
      var again: [(step: FileStep, plugin: String)] = []
      for step in waiting {
        let answer = try bring(step)
        let plugin = answer.plugin
        switch answer.takeFile() {
        case .opened(let file):
          if case .inherited = step.source {} else { remarks += try setFlags(of: file, step) }
          var numbers = step.numbers[...]
          while !numbers.isEmpty {
            try give(file, Array(numbers.prefix(Self.mostNumbers)))
            numbers = numbers.dropFirst(Self.mostNumbers)
          }
        case .notYet: again.append((step, plugin))
        }
      }
      fruitless = again.count < waiting.count ? 0 : fruitless + 1
      guard fruitless < Self.fruitlessRounds else { throw stuck(again) }
      if fruitless > 0 { usleep(10_000) }
      waiting = again.map(\.step)
    }
    inherited.close()
    for remark in remarks.prefix(5) { log.warning("\(remark)") }
    if remarks.count > 5 { log.warning("and \(remarks.count - 5) more like these") }
  }

  private func bring(_ step: FileStep) throws -> FileAnswer {
    switch step.source {
    case .pluginForFile(let id):
      guard let chain else { throw noPlugins(step) }
      return try chain.restoreFile(id)
    case .pluginForSocket(let inode):
      guard let chain else { throw noPlugins(step) }
      return given(try chain.restoreUnixSocket(inode: inode))
    case .inherited(let number):
      let copy = fcntl(inherited.copy(of: number) ?? -1, F_DUPFD_CLOEXEC, 3)
      return given(
        Descriptor(
          owning: CInt(
            try checked(copy < 0 ? -Int(errno) : Int(copy), "fcntl(F_DUPFD)", "\(number)"))))
    case .opened(let path):
      // A fifo would wait for its other end.
      let flags = CInt((step.file.flags ?? []).intersection(Self.openable).rawValue)
      let waits = step.file.isPathOnly ? 0 : O_NONBLOCK
      let file = try Descriptor.open(path.bytes, flags: flags | O_NOCTTY | waits)
      // What cannot be positioned stays where it is.
      _ = lseek(file.number, off_t(clamping: step.file.position), SEEK_SET)
      return given(file)
    case .connected(let address):
      return given(try connected(address.bytes, as: step.file.socket ?? UnixSocket(type: 1)))
    }
  }

  private func given(_ file: consuming Descriptor) -> FileAnswer {
    FileAnswer(plugin: "", file: .opened(file))
  }

  private func noPlugins(_ step: FileStep) -> EngineFailure {
    EngineFailure(
      .refused,
      "restore: \(step.name): a plugin answered for it, and there is none; name its folder: -L DIR")
  }

  /// A socket like the saved one: with its timeouts and room, and without a name of its own.
  private func connected(_ name: [UInt8], as saved: UnixSocket) throws -> Descriptor {
    let kind = saved.type | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
    let made = Glibc.socket(AF_UNIX, kind, 0)
    let socket = Descriptor(
      owning: CInt(try checked(made < 0 ? -Int(errno) : Int(made), "socket", "AF_UNIX")))
    // The kernel doubles what it is given. More than it allows is none of ours to insist on.
    Self.set(socket.number, SO_SNDBUF, CInt(clamping: saved.sendBuffer / 2))
    Self.set(socket.number, SO_RCVBUF, CInt(clamping: saved.receiveBuffer / 2))
    Self.set(socket.number, SO_SNDTIMEO, Self.time(saved.sendTimeout))
    Self.set(socket.number, SO_RCVTIMEO, Self.time(saved.receiveTimeout))
    Self.set(socket.number, SO_PASSCRED, CInt(saved.passesCredentials ? 1 : 0))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let name = name.prefix(UnixSocket.longestName)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
    // Of an abstract name every byte counts, of a path its NUL too where there is room.
    let end = name.first == 0 || name.count == UnixSocket.longestName ? 0 : 1
    let length = MemoryLayout<sa_family_t>.size + name.count + end
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(socket.number, $0, socklen_t(length))
      }
    }
    try checked(result < 0 ? -Int(errno) : 0, "connect", socketAddress(Array(name)))
    return socket
  }

  private static func set<Value: BitwiseCopyable>(
    _ socket: CInt, _ option: CInt, _ value: Value
  ) {
    withUnsafeBytes(of: value) {
      _ = setsockopt(socket, SOL_SOCKET, option, $0.baseAddress, socklen_t($0.count))
    }
  }

  private static func time(_ microseconds: UInt64) -> timeval {
    timeval(
      tv_sec: Int(clamping: microseconds / 1_000_000), tv_usec: Int(microseconds % 1_000_000))
  }

  /// Gives a file the status flags that it was saved with. A descriptor that was inherited is left as its
  /// owner has it.
  ///
  /// - Returns: in what it differs from what was saved.
  private func setFlags(of file: borrowing Descriptor, _ step: FileStep) throws -> [String] {
    guard let saved = step.file.flags, !step.file.isPathOnly else { return [] }
    let found = fcntl(file.number, F_GETFL)
    try checked(found < 0 ? -Int(errno) : 0, "fcntl(F_GETFL)", step.name)
    let flags = OpenFlags(rawValue: UInt32(found))
    var remarks: [String] = []
    var about = stat()
    if step.file.kind == .unixSocket,
      fstat(file.number, &about) != 0 || about.st_mode & S_IFMT != S_IFSOCK
    {
      remarks.append("\(step.name) was a socket, and what its plugin gives is none")
    } else if flags.access != saved.access {
      remarks.append(
        "\(step.name) is open for \(flags.words[0]), and was saved as \(saved.words[0])")
    }
    let wanted = flags.subtracting(.settable).union(saved.intersection(.settable))
    if wanted == flags || fcntl(file.number, F_SETFL, CInt(wanted.rawValue)) >= 0 { return remarks }
    // Not every file takes O_DIRECT and O_NOATIME.
    let rest = wanted.subtracting([.direct, .noAccessTime])
    let result = fcntl(file.number, F_SETFL, CInt(rest.rawValue))
    try checked(
      result < 0 ? -Int(errno) : 0, "fcntl(F_SETFL)",
      "\(step.name) (\(wanted.words.joined(separator: ",")))")
    return remarks + [
      "\(step.name) was saved as \(wanted.words.joined(separator: ",")), and takes "
        + rest.words.joined(separator: ",")
    ]
  }

  private func stuck(_ waiting: [(step: FileStep, plugin: String)]) -> PluginFailure {
    var failure = PluginFailure(
      operation: "restore", plugin: waiting[0].plugin, hook: "\(PluginHook.restoreFile)",
      subject: "for file \(waiting[0].step.file.id)",
      reason: "it asks to be asked again, and no other file makes progress")
    var others = waiting.dropFirst().map { "file \($0.step.file.id) (plugin \($0.plugin))" }
    if others.count > 5 { others = others.prefix(5) + ["\(others.count - 5) more"] }
    if !others.isEmpty { failure.reason += "; neither do " + others.joined(separator: ", ") }
    return failure
  }
}
