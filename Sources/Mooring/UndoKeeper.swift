import CMooring
import Glibc
import LinuxKernel

/// A process that takes back what the engine changes outside the new namespaces, where the engine goes away
/// without a word; started before the first change.
struct UndoKeeper: ~Copyable {
  private var socket: CInt
  private let pid: pid_t

  /// - Parameter undo: what takes it back, with what it has been told meanwhile; gives a sentence for each
  ///   thing that it could not.
  static func start(_ undo: @escaping ([String]) -> [String]) throws -> UndoKeeper {
    let child = try PacketSocket.fork("the process that takes changes back") { socket in
      // Out of reach of the terminal, and of what is sent to the engine's group.
      _ = setsid()
      var all = sigset_t()
      sigfillset(&all)
      sigprocmask(SIG_SETMASK, &all, nil)
      var notes: [String] = []
      while let message = try? Channel.receive(from: socket.number), message.kind != .undo {
        if message.kind == .keep { mooring_exit(0) }
        notes.append(message.text)
      }
      let failures = undo(notes)
      try? Channel.send(
        Message(.answer, text: failures.joined(separator: "\n")), over: socket.number)
      mooring_exit(0)
    }
    let pid = child.pid
    return UndoKeeper(socket: child.takeSocket().release(), pid: pid)
  }

  /// Tells it something that it needs.
  func tell(_ note: String) throws {
    try Channel.send(Message(.answer, text: note), over: socket)
  }

  /// The operation succeeded.
  mutating func keep() {
    try? Channel.send(Message(.keep), over: socket)
    finish()
  }

  /// - Returns: what could not be taken back.
  mutating func undo() -> [String] {
    guard socket >= 0 else { return [] }
    try? Channel.send(Message(.undo), over: socket)
    let answer = try? Channel.receive(from: socket)
    finish()
    return answer.map { $0.text.split(separator: "\n").map(String.init) } ?? []
  }

  private mutating func finish() {
    close(socket)
    socket = -1
    mooring_wait(pid, nil)
  }

  deinit {
    if socket >= 0 {
      close(socket)
      mooring_wait(pid, nil)
    }
  }
}
