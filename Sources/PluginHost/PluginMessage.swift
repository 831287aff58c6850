import LinuxKernel

/// What the engine and the plugin host say to each other: a kind, fields of bytes, and descriptors,
/// in one packet of a `SOCK_SEQPACKET` socket.
///
/// ```
/// kind (1 byte) | length (4 bytes, native order) | bytes | length | bytes | …
/// ```
/// `log` is written by C (`print_on_level`), and is a level byte and text after the kind.
struct PluginMessage {
  enum Kind: UInt8 {
    // host → engine
    /// A plugin's function is about to be called: plugin, hook, subject.
    case calling = 1
    case log
    /// The function has returned, and printed something: the host waits for `goOn`.
    case printed
    /// Something the host itself has to say: level, text.
    case remark
    /// A name for the inventory.
    case inventory
    /// The answer to a question.
    case answer
    /// The answer is no: the fields of a `PluginFailure`.
    case failure
    /// All `exit` functions have run.
    case finished

    // engine → host
    case begin = 64
    case list, dumpMount, restoreMount, dumpLink, dumpFile, restoreFile, dumpSocket, restoreSocket
    case finish, goOn
  }

  var kind: Kind
  var fields: [[UInt8]]
  var descriptors: [CInt] = []

  init(_ kind: Kind, _ fields: [[UInt8]] = [], descriptors: [CInt] = []) {
    self.kind = kind
    self.fields = fields
    self.descriptors = descriptors
  }

  init(_ kind: Kind, texts: [String], descriptors: [CInt] = []) {
    self.init(kind, texts.map { Array($0.utf8) }, descriptors: descriptors)
  }

  /// A field as text; empty where there is no such field.
  func text(_ index: Int) -> String {
    index < fields.count ? String(decoding: fields[index], as: UTF8.self) : ""
  }

  /// A field that spells a number.
  func number(_ index: Int) -> Int { Int(text(index)) ?? 0 }

  func send(over socket: CInt) throws(SystemCallFailure) {
    var bytes: [UInt8] = [kind.rawValue]
    for field in fields {
      let length = UInt32(min(field.count, PacketSocket.room / 4))
      withUnsafeBytes(of: length) { bytes.append(contentsOf: $0) }
      bytes += field.prefix(Int(length))
    }
    try PacketSocket.send(bytes, descriptors, over: socket)
  }

  /// The next message; `nil` where the other end is closed.
  static func receive(from socket: CInt) throws(SystemCallFailure) -> PluginMessage? {
    guard let packet = try PacketSocket.receive(from: socket),
      let kind = Kind(rawValue: packet.bytes[0])
    else { return nil }
    return PluginMessage(
      kind, split(kind, Array(packet.bytes.dropFirst())), descriptors: packet.descriptors)
  }

  private static func split(_ kind: Kind, _ bytes: [UInt8]) -> [[UInt8]] {
    if kind == .log { return [Array(bytes.prefix(1)), Array(bytes.dropFirst())] }
    var fields: [[UInt8]] = []
    var start = 0
    while start + 4 <= bytes.count {
      let length = bytes.withUnsafeBytes {
        Int($0.loadUnaligned(fromByteOffset: start, as: UInt32.self))
      }
      start += 4
      fields.append(Array(bytes[start..<min(start + length, bytes.count)]))
      start += length
    }
    return fields
  }
}

extension PluginFailure {
  /// The failure as a message of the host.
  var message: PluginMessage {
    PluginMessage(
      .failure,
      texts: [
        operation, plugin ?? "", hook ?? "", subject ?? "", reason, isMissingPlugin ? "1" : "",
      ])
  }

  init(_ message: PluginMessage) {
    func optional(_ index: Int) -> String? {
      message.text(index).isEmpty ? nil : message.text(index)
    }
    self.init(
      operation: message.text(0), plugin: optional(1), hook: optional(2), subject: optional(3),
      reason: message.text(4))
    isMissingPlugin = message.text(5) == "1"
  }
}
