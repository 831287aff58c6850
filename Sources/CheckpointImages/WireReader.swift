/// Reads the values of a protobuf message, one after the other, as far as they are plain.
struct WireReader {
  private let bytes: [UInt8]
  private var position: Int
  private let end: Int

  /// - Parameter message: where in `bytes` it stands.
  init(_ bytes: [UInt8], _ message: Range<Int>) {
    self.bytes = bytes
    position = message.lowerBound
    end = message.upperBound
  }

  var isAtEnd: Bool { position == end }

  /// A number of at most 63 bits; `nil` for a larger one, and where the message ends in it.
  mutating func varint() -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < end, shift < 63 {
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }

  /// Reads into `value`, and says whether a number of 32 bits is there.
  mutating func read(_ value: inout UInt32) -> Bool {
    guard let number = varint().flatMap({ UInt32(exactly: $0) }) else { return false }
    value = number
    return true
  }

  mutating func read(_ value: inout UInt32?) -> Bool {
    var number: UInt32 = 0
    guard read(&number) else { return false }
    value = number
    return true
  }

  mutating func read(_ value: inout Bool) -> Bool {
    guard let number = varint() else { return false }
    value = number != 0
    return true
  }

  mutating func read(_ value: inout Bool?) -> Bool {
    guard let number = varint() else { return false }
    value = number != 0
    return true
  }

  /// Reads where a text without NUL stands; the kernel has no other.
  mutating func read(_ text: inout Range<Int>?) -> Bool {
    guard let length = varint(), length <= UInt64(end - position) else { return false }
    let found = position..<position + Int(length)
    guard !bytes[found].contains(0) else { return false }
    text = found
    position = found.upperBound
    return true
  }
}
