import CMooring
import Glibc
import LinuxKernel
import Logging

/// The engine's side of the plugin host: starts it, asks, listens to what plugins say meanwhile, and
/// ends it.
final class HostProcess {
  private let socket: PacketSocket
  private let pid: pid_t
  private let ended: Descriptor
  private var output: [(descriptor: CInt, stream: PluginLog.Stream)]
  private let operation: String
  /// Seconds that one call of a plugin's function may take; 0 for no limit.
  private let timeout: Int
  private var log: PluginLog
  /// The function that the host has announced and not yet come back from.
  private var call: (plugin: String, function: String, subject: String)?
  private(set) var isRunning = true
  /// Why the host ended before its time.
  private var end: PluginFailure?
  /// Whether it ended before the plugins could be told.
  var hasSkippedExits: Bool {
    guard let end else { return false }
    return end.hook != "exit" && end.hook != "unloading"
  }
  private(set) var inventory: [String] = []

  /// Forks the host. The calling process must have no other threads.
  ///
  /// - Parameter images: a descriptor that the plugins get a copy of.
  static func start(
    _ settings: HostSettings, images: CInt?, timeout: Int, log: Logger
  ) throws -> HostProcess {
    let output = try HostEnds.ofPipe()
    let errors = try HostEnds.ofPipe()
    let nothing = try Descriptor.open("/dev/null", flags: O_RDONLY)
    let child = try PacketSocket.fork("the process that hosts plugins") { socket in
      let inherited = [
        nothing.number, output.theirs.number, errors.theirs.number, socket.release(),
      ]
      PluginHost.run(settings, inheriting: inherited + (images.map { [$0] } ?? []))
    }
    let pid = child.pid
    setpgid(pid, pid)
    let pidfd = mooring_pidfd_open(pid, 0)
    if pidfd < 0 {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
    return HostProcess(
      socket: child.takeSocket(), pid: pid,
      ended: Descriptor(owning: CInt(try checked(pidfd, "pidfd_open", "process \(pid)"))),
      output: [
        (output.mine.release(), .standardOutput), (errors.mine.release(), .standardError),
      ],
      operation: settings.operation, timeout: timeout, log: PluginLog(log))
  }

  private init(
    socket: consuming PacketSocket, pid: pid_t, ended: consuming Descriptor,
    output: [(CInt, PluginLog.Stream)], operation: String, timeout: Int, log: PluginLog
  ) {
    self.socket = socket
    self.pid = pid
    self.ended = ended
    self.output = output
    self.operation = operation
    self.timeout = timeout
    self.log = log
  }

  deinit {
    if isRunning { kill(pid, SIGKILL) }
    reap()
    for (descriptor, _) in output { close(descriptor) }
  }

  /// Sends a question and waits for its answer.
  ///
  /// - Throws: `PluginFailure`: a plugin said no, or the host is gone, and then it has been reaped.
  func ask(_ question: PluginMessage) throws -> PluginMessage {
    if let end { throw end }
    do {
      try question.send(over: socket.number)
    } catch {
      // Where the host has ended, waiting for the answer finds out why.
      guard error.errno == .brokenPipe || error.errno == .connectionReset else { throw error }
    }
    return try nextAnswer()
  }

  /// Waits for an answer; what else the host says is dealt with.
  func nextAnswer() throws -> PluginMessage {
    var deadline = self.deadline()
    while true {
      guard let message = try nextMessage(until: deadline) else { throw ending() }
      switch message.kind {
      case .calling:
        log.flush(plugin: call?.plugin)
        call = (message.text(0), message.text(1), message.text(2))
        Waiting.note("plugin \(message.text(0)) (\(message.text(1)))")
        deadline = self.deadline()
      case .log:
        log.take(
          message.fields[1], from: .level(message.fields[0].first ?? 0), plugin: call?.plugin)
      case .printed:
        readOutput()
        try? PluginMessage(.goOn).send(over: socket.number)
      case .remark: remark(message)
      case .inventory: inventory.append(message.text(0))
      case .failure:
        endCall()
        throw PluginFailure(message)
      default:
        endCall()
        return message
      }
    }
  }

  private func remark(_ message: PluginMessage) {
    log.log.log(level: message.number(0) == 2 ? .warning : .info, "\(message.text(1))")
  }

  /// A plugin has returned: what it printed is complete.
  private func endCall() {
    readOutput()
    log.flush(plugin: call?.plugin)
    call = nil
  }

  /// Kills the host, with what plugins started and left in its process group, and reaps it.
  func killHost() {
    guard isRunning else { return }
    killDescendants()
    kill(pid, SIGKILL)
    reap()
  }

  /// Ends what plugins have started, in whatever process group: whoever loses its parent becomes the host's
  /// child. A round kills those whose parents the round before has killed.
  private func killDescendants() {
    kill(pid, SIGSTOP)
    for _ in 0..<100 {
      let children = Self.children(of: pid)
      if children.isEmpty { return }
      for child in children { kill(child, SIGKILL) }
      // The host, which is stopped, reaps nobody: zombies stay in the list.
      if children.allSatisfy(Self.hasEnded) { return }
      usleep(1000)
    }
  }

  private static func children(of pid: pid_t) -> [pid_t] {
    text("/proc/\(pid)/task/\(pid)/children").split(separator: " ").compactMap { pid_t($0) }
  }

  private static func hasEnded(_ pid: pid_t) -> Bool {
    let status = text("/proc/\(pid)/stat")
    // After the name, which is in brackets and may hold any character.
    return status.lastIndex(of: ")").map { "ZX".contains(status[$0...].dropFirst(2).first ?? "X") }
      ?? true
  }

  private static func text(_ path: String) -> String {
    guard let file = try? Descriptor.open(path, flags: O_RDONLY) else { return "" }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = read(file.number, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }

  /// How the host ended; waits for it.
  ///
  /// - Parameter endingGroup: whether what plugins started goes with it: as long as the host is not
  ///   reaped, the number of its process group is nobody else's.
  @discardableResult
  private func reap(endingGroup: Bool = true) -> CInt {
    guard isRunning else { return 0 }
    isRunning = false
    if endingGroup { kill(-pid, SIGKILL) }
    var status: CInt = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    return status
  }

  /// Waits for a host that has said its last word.
  ///
  /// - Parameter succeeded: whether what plugins started may stay: a restored mount may depend on it.
  func waitForEnd(succeeded: Bool) {
    guard isRunning else { return }
    var event = pollfd(fd: ended.number, events: Int16(POLLIN), revents: 0)
    if poll(&event, 1, 2000) == 1 { reap(endingGroup: !succeeded) } else { killHost() }
    readOutput()
    log.flush(plugin: nil)
  }

  /// The host ended without an answer.
  private func ending() -> PluginFailure {
    let call = self.call
    endCall()
    var event = pollfd(fd: ended.number, events: Int16(POLLIN), revents: 0)
    guard poll(&event, 1, 2000) == 1 else {
      killHost()
      return failure(call, PluginFailure.lostSocket)
    }
    return failure(call, PluginFailure.text(ofStatus: reap()))
  }

  private func failure(
    _ call: (plugin: String, function: String, subject: String)?, _ reason: String
  ) -> PluginFailure {
    var failure = PluginFailure(
      operation: operation, subject: "the process that hosts plugins", reason: reason)
    if let call {
      failure.plugin = call.plugin
      failure.hook = call.function
      failure.subject = call.subject.isEmpty ? nil : call.subject
    }
    end = failure
    return failure
  }

  private func deadline() -> Int? { timeout > 0 ? Self.now() + timeout * 1000 : nil }

  private static func now() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
  }

  /// The next message; `nil` where the host has ended.
  ///
  /// - Throws: `PluginFailure` at the deadline; the host has been killed then.
  private func nextMessage(until deadline: Int?) throws -> PluginMessage? {
    while true {
      var events = [socket.number, ended.number].map {
        pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
      }
      events += output.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
      let rest = deadline.map { max(0, $0 - Self.now()) } ?? -1
      // A plugin that prints for ever is one that hangs.
      if rest == 0 { throw hang() }
      let count = poll(&events, nfds_t(events.count), CInt(clamping: rest))
      if count < 0 && errno != EINTR { return nil }
      if count <= 0 { continue }
      // The socket first, looked at again after the output: it says whose output it is.
      if events[0].revents != 0 || poll(&events, 1, 0) == 1 {
        return try? PluginMessage.receive(from: socket.number)
      }
      if events[2...].contains(where: { $0.revents != 0 }) {
        readOutput()
      } else if events[1].revents != 0 {
        return nil
      }
    }
  }

  private func hang() -> PluginFailure {
    let call = self.call
    killHost()
    endCall()
    return failure(
      call, "it did not answer within \(timeout) second\(timeout == 1 ? "" : "s"), and was killed")
  }

  /// Reads what plugins have printed so far, a megabyte at most at a time.
  private func readOutput() {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1 << 16) { buffer in
      output.removeAll { descriptor, stream in
        for _ in 0..<16 {
          let count = read(descriptor, buffer.baseAddress!, buffer.count)
          if count > 0 {
            log.take(buffer[..<count], from: stream, plugin: call?.plugin)
          } else {
            if count < 0 && errno == EINTR { continue }
            let isOver = count == 0
            if isOver { close(descriptor) }
            return isOver
          }
        }
        return false
      }
    }
  }
}
