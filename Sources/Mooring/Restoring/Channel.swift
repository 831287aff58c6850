import CMooring
import Glibc
import LinuxKernel
import SystemPackage

/// What engine and worker say to each other: one kind, bytes, and descriptors.
struct Message {
  enum Kind: UInt8 {
    // worker → engine
    case mapMe = 1
    case forked, network, ready, willMake, joinOutside, needContent, needUnlinked, needIDMapping,
      rename,
      willExchange,
      built, held,
      failed
    // engine → worker
    case go, provide, provideRoot, build, answer, refusal, file, hold
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

  /// Two names, with a zero between, each in the directory of its descriptor.
  func names(_ bytes: ArraySlice<UInt8>) -> (ExecutorServices.Name, ExecutorServices.Name)? {
    let names = bytes.split(separator: 0, omittingEmptySubsequences: false).map { Array($0) }
    guard descriptors.count == 2, names.count == 2 else { return nil }
    return ((descriptors[0], names[0]), (descriptors[1], names[1]))
  }

  /// The number that `bytes` spells.
  var number: Int? { Int(text) }
}

/// One end of the socket between engine and worker.
struct Channel: ~Copyable {
  let socket: PacketSocket

  init(_ socket: consuming PacketSocket) { self.socket = socket }

  func send(_ message: Message) throws(SystemCallFailure) {
    try Channel.send(message, over: socket.number)
  }

  func receive() throws(SystemCallFailure) -> Message? {
    try Channel.receive(from: socket.number)
  }

  static func send(_ message: Message, over socket: CInt) throws(SystemCallFailure) {
    try PacketSocket.send(
      [message.kind.rawValue] + message.bytes, message.descriptors, over: socket)
  }

  /// The next message; `nil` where the other end is closed.
  static func receive(from socket: CInt) throws(SystemCallFailure) -> Message? {
    guard let packet = try PacketSocket.receive(from: socket),
      let kind = Message.Kind(rawValue: packet.bytes[0])
    else { return nil }
    return Message(kind, Array(packet.bytes.dropFirst()), descriptors: packet.descriptors)
  }
}
