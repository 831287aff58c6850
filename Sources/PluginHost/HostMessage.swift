import LinuxKernel

/// What the engine and the plugin host say to each other.
///
/// ```
/// kind u8 | four numbers i32 | text                  with descriptors
/// ```
struct HostMessage {
  enum Kind: UInt8 {
    // engine → host
    case load = 1
    case list, missing, restoreInit, dumpMount, restoreMount, dumpLink, dumpFile, restoreFile
    case dumpSocket, restoreSocket, finish
    // host → engine
    case log, inventory, calling, answer, failure
  }

  var kind: Kind
  var numbers: [Int32] = [0, 0, 0, 0]
  var bytes: [UInt8] = []
  var descriptors: [CInt] = []

  init(_ kind: Kind, _ numbers: Int32..., bytes: [UInt8] = [], descriptors: [CInt] = []) {
    self.kind = kind
    for (index, number) in numbers.enumerated() { self.numbers[index] = number }
    self.bytes = bytes
    self.descriptors = descriptors
  }

  init(_ kind: Kind, text: String) { self.init(kind, bytes: Array(text.utf8)) }

  var text: String { String(decoding: bytes, as: UTF8.self) }

  func send(over socket: CInt) throws(SystemCallFailure) {
    var packet: [UInt8] = [kind.rawValue]
    for number in numbers { withUnsafeBytes(of: number) { packet += $0 } }
    packet += bytes.prefix(PacketSocket.room - packet.count)
    try PacketSocket.send(packet, descriptors, over: socket)
  }

  static func receive(from socket: CInt) throws(SystemCallFailure) -> HostMessage? {
    guard let packet = try PacketSocket.receive(from: socket), packet.bytes.count >= 17,
      let kind = Kind(rawValue: packet.bytes[0])
    else { return nil }
    var message = HostMessage(
      kind, bytes: Array(packet.bytes.dropFirst(17)), descriptors: packet.descriptors)
    message.numbers = packet.bytes.withUnsafeBytes { raw in
      (0..<4).map { raw.loadUnaligned(fromByteOffset: 1 + 4 * $0, as: Int32.self) }
    }
    return message
  }
}
