import CMooring
import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// The engine's side of the plugin host.
final class HostProcess {
  private let socket: CInt
  private let pid: pid_t
  private(set) var isAlive = true

  static func start(
    _ folder: PluginFolder, _ stage: PluginStage, _ imageDirectory: CInt, _ inventory: [String]?,
    _ reserved: [MountPath], _ timeout: Int, logLevel: UInt32
  ) throws -> HostProcess {
    let ends = try PacketSocket.pair()
    fflush(nil)
    let child = try checked(mooring_fork(), "fork", "the plugin host")
    if child == 0 {
      var host = PluginHost(
        socket: ends.theirs.number, folder: folder, stage: stage, reserved: reserved,
        timeout: timeout)
      host.run(imageDirectory: imageDirectory, inventory: inventory, logLevel: logLevel)
    }
    return HostProcess(socket: ends.takeMine().release(), pid: pid_t(child))
  }

  private init(socket: CInt, pid: pid_t) {
    self.socket = socket
    self.pid = pid
  }

  deinit {
    end()
    close(socket)
  }

  /// Ends the process, if it is still there, and waits for it.
  private func end() {
    guard isAlive else { return }
    isAlive = false
    kill(pid, SIGKILL)
    mooring_wait(pid, nil)
  }

  /// Sends a request and waits for its answer, at most `timeout` seconds.
  ///
  /// - Parameter between: what the host says meanwhile.
  /// - Throws: `PluginFailure`: what a plugin did wrong, or that it crashed or hangs; then the process has
  ///   been ended.
  func request(
    _ message: HostMessage, during: String, _ timeout: Int, between: (HostMessage) -> Void
  ) throws -> HostMessage {
    guard isAlive else { throw PluginFailure("the plugins have ended; \(during) is not possible") }
    do { try message.send(over: socket) } catch { throw broken(during) }
    let deadline = now() + timeout * 1000
    while true {
      var question = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      let ready = poll(&question, 1, CInt(max(0, deadline - now())))
      if ready < 0 && errno == EINTR { continue }
      if ready <= 0 {
        let name = current.map { "\($0) " } ?? "a plugin "
        end()
        throw PluginFailure(
          "\(name)did not return from \(during) within \(timeout) seconds and was ended; give it more "
            + "time with --plugin-timeout, or see what it waits for")
      }
      guard let answer = try HostMessage.receive(from: socket) else { throw broken(during) }
      switch answer.kind {
      case .answer:
        current = nil
        if message.kind == .finish {
          isAlive = false
          mooring_wait(pid, nil)
        }
        return answer
      case .failure:
        current = nil
        throw PluginFailure(answer.text)
      case .calling: current = answer.text
      default: between(answer)
      }
    }
  }

  /// The plugin that is being called.
  private var current: String?

  /// The socket is closed: a plugin crashed, or ended the process.
  private func broken(_ during: String) -> PluginFailure {
    var status: CInt = 0
    kill(pid, SIGKILL)
    mooring_wait(pid, &status)
    isAlive = false
    let signal = status & 0x7F
    let how =
      signal == 0
      ? "ended the process with status \(status >> 8 & 0xFF)"
      : "was ended by \(signalName(signal))"
    return PluginFailure(
      "\(current ?? "a plugin") \(how) during \(during); mend the plugin, or take it out of the folder"
    )
  }

  private func now() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
  }
}

/// `SIGSEGV` for 11.
private func signalName(_ number: CInt) -> String {
  let names: [CInt: String] = [
    SIGSEGV: "SIGSEGV", SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGILL: "SIGILL",
    SIGKILL: "SIGKILL", SIGTERM: "SIGTERM", SIGPIPE: "SIGPIPE", SIGTRAP: "SIGTRAP",
    SIGALRM: "SIGALRM", SIGSYS: "SIGSYS",
  ]
  return names[number] ?? "signal \(number)"
}
