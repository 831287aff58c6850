import CMooring
import Glibc
import LinuxKernel

/// A process that takes back what the engine changes outside the new namespaces, where the engine goes away
/// without a word; started before the first change.
struct UndoKeeper: ~Copyable {
  private var socket: CInt
  private let pid: pid_t

  /// - Parameters:
  ///   - closingOthers: whether the process needs none of the engine's descriptors.
  ///   - hear: takes what it is told meanwhile; whatever it keeps, it keeps for `undo`.
  ///   - undo: takes back; gives a sentence for each thing that it could not.
  static func start(
    closingOthers: Bool = false, hear: @escaping (Message) -> Void,
    undo: @escaping () -> [String]
  ) throws -> UndoKeeper {
    let engine = getpid()
    let child = try PacketSocket.fork("the process that takes changes back") { socket in
      // Out of reach of the terminal, and of what is sent to the engine's group.
      _ = setsid()
      var all = sigset_t()
      sigfillset(&all)
      sigprocmask(SIG_SETMASK, &all, nil)
      let number = socket.release()
      let engineEnd = CInt(mooring_pidfd_open(engine, 0))
      if closingOthers { closeAll(but: [number, engineEnd]) }
      while hasMessage(number, engineEnd),
        let message = Self.receive(number), message.kind != .undo
      {
        if message.kind == .keep { mooring_exit(0) }
        hear(message)
      }
      let failures = undo()
      try? Channel.send(
        Message(.answer, text: failures.joined(separator: "\n")), over: number)
      mooring_exit(0)
    }
    let pid = child.pid
    return UndoKeeper(socket: child.takeSocket().release(), pid: pid)
  }

  private static func closeAll(but kept: [CInt]) {
    var first: UInt32 = 0
    for number in kept.sorted() where number >= 0 {
      if number > first { _ = mooring_close_range(first, UInt32(number) - 1, 0) }
      first = UInt32(number) + 1
    }
    _ = mooring_close_range(first, UInt32.max, 0)
  }

  /// Waits for the next message; `false` where none will come.
  ///
  /// A child of the engine that a file system holds fast keeps the engine's end of the socket open: then it
  /// is the engine's end that counts. A worker gets a moment to end first.
  private static func hasMessage(_ socket: CInt, _ engineEnd: CInt) -> Bool {
    var events = [socket, engineEnd].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    while events[0].revents == 0 {
      let count = poll(&events, 2, -1)
      if count < 0 { return errno == EINTR ? hasMessage(socket, engineEnd) : true }
      if events[1].revents != 0, events[0].revents == 0 { return poll(&events, 1, 2000) > 0 }
    }
    return true
  }

  func tell(_ message: Message) throws { try Channel.send(message, over: socket) }

  func tell(_ note: String) throws { try tell(Message(.answer, text: note)) }

  /// The operation succeeded: what it made is to stay.
  mutating func keep() {
    // Unheard, it would take everything back.
    for _ in 0..<3 where socket >= 0 {
      if (try? Channel.send(Message(.keep), over: socket)) != nil { break }
    }
    finish()
  }

  /// The next message; `nil` where none will come. A call that fails once is made again: who has not heard
  /// that all is well takes everything back.
  private static func receive(_ socket: CInt) -> Message? {
    for _ in 0..<3 {
      do { return try Channel.receive(from: socket) } catch { continue }
    }
    return nil
  }

  /// - Returns: what could not be taken back.
  mutating func undo() -> [String] {
    guard socket >= 0 else { return [] }
    do {
      try Channel.send(Message(.undo), over: socket)
    } catch {
      // The end of what it hears means the same.
      shutdown(socket, CInt(SHUT_WR))
    }
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
    // Closed without a word: the process takes back.
    if socket >= 0 {
      close(socket)
      mooring_wait(pid, nil)
    }
  }
}
