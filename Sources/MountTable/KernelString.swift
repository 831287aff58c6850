/// Bytes as the kernel holds them: a source, a file-system name, options. Not necessarily UTF-8.
///
/// A `String` is made only when a person is to read it (`description`) or for JSON: both use the
/// octal escapes of `/proc/PID/mountinfo` for what would not survive, and `init(escaped:)` reads
/// them back.
public struct KernelString: Hashable, Sendable, Comparable {
  public var bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }
  public init(_ text: String) { self.bytes = Array(text.utf8) }

  public var isEmpty: Bool { bytes.isEmpty }

  public static func < (left: KernelString, right: KernelString) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }
}

extension KernelString: ExpressibleByStringLiteral {
  public init(stringLiteral value: String) { self.init(value) }
}

extension KernelString: CustomStringConvertible {
  /// The bytes as text; what a terminal would not show, backslashes and what
  /// is not UTF-8 as `\ooo`.
  public var description: String { escapedText(bytes) }

  /// Reads the form that `description` writes; `nil` for a backslash without three octal digits.
  public init?(escaped text: String) {
    guard let bytes = unescapedBytes(text) else { return nil }
    self.bytes = bytes
  }
}

extension KernelString: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let value = KernelString(escaped: try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "a backslash must be followed by three octal digits")
    }
    self = value
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// Text for people and JSON: UTF-8 that can be seen stays, everything else becomes `\ooo`.
func escapedText(_ bytes: [UInt8]) -> String {
  if bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != 0x5C }) {
    return String(decoding: bytes, as: UTF8.self)
  }
  var text = ""
  var rest = bytes[...]
  while let byte = rest.first {
    if byte < 0x80 {
      if byte < 0x20 || byte == 0x7F || byte == 0x5C {
        text += octal(byte)
      } else {
        text.unicodeScalars.append(Unicode.Scalar(byte))
      }
      rest = rest.dropFirst()
      continue
    }
    let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2
    if let scalar = String(validating: rest.prefix(length), as: UTF8.self) {
      if scalar.unicodeScalars.allSatisfy({ $0.isVisible }) {
        text += scalar
      } else {
        for byte in rest.prefix(length) { text += octal(byte) }
      }
      rest = rest.dropFirst(length)
    } else {
      text += octal(byte)
      rest = rest.dropFirst()
    }
  }
  return text
}

func unescapedBytes(_ text: String) -> [UInt8]? {
  let utf8 = Array(text.utf8)
  guard utf8.contains(0x5C) else { return utf8 }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(utf8.count)
  var index = 0
  while index < utf8.count {
    if utf8[index] != 0x5C {
      bytes.append(utf8[index])
      index += 1
      continue
    }
    guard index + 3 < utf8.count else { return nil }
    var value = 0
    for digit in utf8[(index + 1)...(index + 3)] {
      guard (0x30...0x37).contains(digit) else { return nil }
      value = value * 8 + Int(digit - 0x30)
    }
    guard value < 256 else { return nil }
    bytes.append(UInt8(value))
    index += 4
  }
  return bytes
}

func octal(_ byte: UInt8) -> String {
  let digits = String(byte, radix: 8)
  return "\\" + String(repeating: "0", count: 3 - digits.count) + digits
}
