import CMooring
import Glibc
import LinuxKernel
import MountTable
import RestorePlan
import SystemPackage

/// The engine's side of the worker: starts it, answers what it asks, ends it.
struct WorkerProcess: ~Copyable {
  private let channel: Channel
  /// The process that holds (or will hold) the namespaces, as the engine sees it.
  private(set) var pid: pid_t
  private var isEnded = false
  /// It is the holder, and says nothing more: that its end of the channel is closed is no failure.
  private var isHolding = false
  /// Where the holder tells why COMMAND cannot begin; -1 where there is none.
  private var report: CInt = -1

  /// Forks the worker. The calling process must have no threads that hold locks of the run time.
  ///
  /// The engine becomes the reaper of its descendants: in a new pid namespace the holder is the
  /// worker's child, and the worker ends.
  static func start(_ worker: Worker) throws -> WorkerProcess {
    try checked(
      mooring_prctl(CInt(MOORING_PR_SET_CHILD_SUBREAPER), 1), "prctl", "PR_SET_CHILD_SUBREAPER")
    let child = try PacketSocket.fork("the worker") { socket in worker.run(Channel(socket)) }
    let pid = child.pid
    return WorkerProcess(channel: Channel(child.takeSocket()), pid: pid)
  }

  private init(channel: consuming Channel, pid: pid_t) {
    self.channel = channel
    self.pid = pid
  }

  /// Waits until the namespaces exist.
  ///
  /// - Returns: the network namespaces nested in the tree; the caller closes them.
  mutating func makeNamespaces(_ mapping: IDMapping?) throws -> [CInt] {
    var nested: [CInt] = []
    while true {
      let message = try next()
      switch message.kind {
      case .mapMe:
        guard let mapping else {
          throw EngineFailure(.failed, "the images hold no mapping for the user namespace")
        }
        try NamespaceCalls.write(mapping, of: pid)
        try channel.send(Message(.go))
      case .forked:
        _ = waitpid(pid, nil, 0)
        pid = pid_t(message.number ?? 0)
        try channel.send(Message(.go))
      case .network: nested += message.descriptors
      case .ready: return nested
      default: throw unexpected(message)
      }
    }
  }

  /// - Parameter isRoot: whether it is the clone of `--root`.
  func provide(_ mount: borrowing Descriptor, in slot: Slot, isRoot: Bool) throws {
    try say(
      Message(
        isRoot ? .provideRoot : .provide, Array(slot.description.dropFirst().utf8),
        descriptors: [mount.number]))
  }

  /// Lets the worker build, and answers what it asks meanwhile.
  func build(answering answer: (Message) throws -> Message) throws {
    try say(Message(.build))
    while true {
      let message = try next()
      if message.kind == .built { return }
      do {
        let reply = try answer(message)
        try say(reply)
        for descriptor in reply.descriptors { _ = close(descriptor) }
      } catch let failure as EngineFailure where failure.isWorkersEnd {
        throw failure
      } catch {
        try say(Message(.refusal, text: "\(error)"))
      }
    }
  }

  /// Hands over an open file that COMMAND gets under these numbers.
  func give(_ file: borrowing Descriptor, as numbers: [Int32]) throws {
    let text = numbers.map { "\($0)" }.joined(separator: " ")
    try say(Message(.file, Array(text.utf8), descriptors: [file.number]))
  }

  /// The tree is verified: the worker becomes the holder.
  mutating func hold() throws {
    try say(Message(.hold))
    let message = try next()
    if message.kind != .held { throw unexpected(message) }
    isHolding = true
    report = message.descriptors.first ?? -1
  }

  /// Waits until COMMAND has begun, or has ended.
  ///
  /// - Throws: `EngineFailure` with `commandStatus` where it could not begin.
  mutating func awaitCommand() throws {
    guard report >= 0 else { return }
    let report = Descriptor(owning: self.report)
    self.report = -1
    var bytes = [UInt8](repeating: 0, count: 4096)
    var count = 0
    while count < bytes.count {
      let more = bytes.withUnsafeMutableBytes {
        read(report.number, $0.baseAddress! + count, $0.count - count)
      }
      if more < 0 && errno == EINTR { continue }
      if more <= 0 { break }
      count += more
    }
    guard count > 0 else { return }
    var failure = EngineFailure(.failed, String(decoding: bytes[1..<count], as: UTF8.self))
    failure.commandStatus = Int32(bytes[0])
    throw failure
  }

  /// Tells the worker. Where it has ended, why it did is the failure, not that nobody listens.
  private func say(_ message: Message) throws {
    do {
      try channel.send(message)
    } catch {
      guard error.errno == .brokenPipe || error.errno == .connectionReset else { throw error }
      // Whose end is closed has said why before; nothing is waited for.
      if let first = ownFailure() { throw first }
      throw error
    }
  }

  /// Why the worker has ended, if it has; it does not wait.
  ///
  /// What fails after that, because the worker or its namespaces are gone, is a consequence.
  func ownFailure() -> EngineFailure? {
    if isHolding { return nil }
    var event = pollfd(fd: channel.socket.number, events: Int16(POLLIN), revents: 0)
    while poll(&event, 1, 0) > 0 {
      do {
        _ = try next()
      } catch {
        return error as? EngineFailure
      }
    }
    return nil
  }

  private func next() throws -> Message {
    guard let message = try channel.receive() else {
      throw EngineFailure(
        workersEnd: "restore: the worker process ended without a word\(ending())")
    }
    if message.kind == .failed { throw EngineFailure(workersEnd: message.text) }
    return message
  }

  private func ending() -> String {
    var status: CInt = 0
    guard waitpid(pid, &status, WNOHANG) == pid, status & 0x7F != 0 else { return "" }
    return " (signal \(status & 0x7F))"
  }

  private func unexpected(_ message: Message) -> EngineFailure {
    EngineFailure(.failed, "restore: the worker said \(message.kind) out of turn")
  }

  /// Waits for the holder and gives its exit status.
  mutating func waitForEnd() -> CInt {
    isEnded = true
    var status: CInt = 0
    while true {
      let ended = waitpid(-1, &status, 0)
      if ended == pid { return exitStatus(status) }
      if ended < 0 && errno != EINTR { return 125 }
    }
  }

  /// The holder stays when the engine goes.
  mutating func leave() { isEnded = true }

  /// Ends the worker and waits for it: with it go its namespaces and all that lives in them.
  mutating func end() {
    guard !isEnded else { return }
    isEnded = true
    kill(pid, SIGKILL)
    while waitpid(pid, nil, 0) < 0 && errno == EINTR {}
  }

  deinit {
    if !isEnded {
      kill(pid, SIGKILL)
      while waitpid(pid, nil, 0) < 0 && errno == EINTR {}
    }
  }
}
