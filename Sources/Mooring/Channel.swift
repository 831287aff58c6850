import CMooring
import Glibc
import LinuxKernel
import SystemPackage

/// What engine and worker say to each other: one kind, bytes, and descriptors, over a
/// `SOCK_SEQPACKET` socket, so that a message is whole or not there.
struct Message {
  enum Kind: UInt8 {
    // worker → engine
    case mapMe = 1
    case forked, ready, willMake, joinOutside, needContent, needIDMapping, rename, built, held, failed
    // engine → worker
    case go, provide, build, answer, refusal, hold
    // engine → keeper of the journal
    case keep, undo
  }

  var kind: Kind
  var bytes: [UInt8]
  var descriptors: [CInt] = []

  init(_ kind: Kind, _ bytes: [UInt8] = [], descriptors: [CInt] = []) {
    self.kind = kind
    self.bytes = bytes
    self.descriptors = descriptors
  }

  init(_ kind: Kind, text: String) { self.init(kind, Array(text.utf8.prefix(60_000))) }

  var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The number that `bytes` spells.
  var number: Int? { Int(text) }
}

/// One end of the socket between engine and worker.
struct Channel: ~Copyable {
  let socket: Descriptor

  init(_ socket: consuming Descriptor) { self.socket = socket }

  /// Both ends of a socket.
  struct Pair: ~Copyable {
    var mine: Channel
    var theirs: Channel

    /// Keeps one end; the other is closed here.
    consuming func takeMine() -> Channel { mine }
  }

  static func pair() throws(SystemCallFailure) -> Pair {
    var ends: [CInt] = [-1, -1]
    let type = CInt(SOCK_SEQPACKET.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
    let result = socketpair(AF_UNIX, type, 0, &ends)
    try checked(result < 0 ? -Int(Glibc.errno) : 0, "socketpair", "AF_UNIX")
    return Pair(
      mine: Channel(Descriptor(owning: ends[0])), theirs: Channel(Descriptor(owning: ends[1])))
  }

  /// The socket itself; who takes it closes it.
  consuming func takeSocket() -> CInt { socket.release() }

  func send(_ message: Message) throws(SystemCallFailure) {
    try Channel.send(message, over: socket.number)
  }

  func receive() throws(SystemCallFailure) -> Message? {
    try Channel.receive(from: socket.number)
  }

  static func send(_ message: Message, over socket: CInt) throws(SystemCallFailure) {
    let bytes = [message.kind.rawValue] + message.bytes
    try checked(
      mooring_send(
        socket, bytes, bytes.count, message.descriptors, message.descriptors.count),
      "sendmsg", "the socket between engine and worker")
  }

  /// The next message; `nil` where the other end is closed.
  static func receive(from socket: CInt) throws(SystemCallFailure) -> Message? {
    var descriptors = [CInt](repeating: -1, count: 16)
    var count = descriptors.count
    return try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1 << 16) {
      buffer throws(SystemCallFailure) -> Message? in
      let got = mooring_receive(socket, buffer.baseAddress!, buffer.count, &descriptors, &count)
      if got == 0 || got == -Int(ECONNRESET) { return nil }
      try checked(got, "recvmsg", "the socket between engine and worker")
      guard let kind = Message.Kind(rawValue: buffer[0]) else { return nil }
      return Message(kind, Array(buffer[1..<got]), descriptors: Array(descriptors[..<count]))
    }
  }
}
