/// One netlink attribute (`struct nlattr`): a type and bytes, which may be attributes again.
public struct NetlinkAttribute: Hashable, Sendable {
  /// With the two flag bits of `nla_type`, as it was read.
  public var rawType: UInt16
  public var payload: [UInt8]

  /// Bytes of `struct nlattr`.
  static let headerSize = 4
  private static let nested: UInt16 = 0x8000
  private static let typeMask: UInt16 = 0x3FFF

  /// Without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
  public var type: UInt16 { rawType & Self.typeMask }

  public init(_ type: UInt16, _ payload: [UInt8]) {
    rawType = type
    self.payload = payload
  }

  /// Attributes in an attribute, marked with `NLA_F_NESTED`.
  public init(_ type: UInt16, nested: NetlinkAttributes) {
    rawType = type | Self.nested
    payload = nested.encoded
  }

  public init(_ type: UInt16, _ number: some FixedWidthInteger) {
    self.init(type, number.nativeBytes)
  }

  /// A string with its final NUL.
  public init(_ type: UInt16, text: [UInt8]) { self.init(type, text + [0]) }

  /// The number, of the size that the payload must have; `nil` where it has another.
  public func number<Number: FixedWidthInteger>(_: Number.Type = Number.self) -> Number? {
    guard payload.count == MemoryLayout<Number>.size else { return nil }
    return Number(nativeBytes: payload[...])
  }

  public var u8: UInt8? { number() }
  public var u16: UInt16? { number() }
  public var u32: UInt32? { number() }
  public var i32: Int32? { number() }
  public var u64: UInt64? { number() }

  /// Up to the first NUL: names need not be UTF-8.
  public var text: [UInt8] { Array(payload.prefix { $0 != 0 }) }

  /// - Throws: `NetlinkFormatError` where the payload is no row of attributes.
  public func attributes() throws(NetlinkFormatError) -> NetlinkAttributes {
    try NetlinkAttributes(payload[...])
  }
}

/// Attributes in the order they came.
public struct NetlinkAttributes: Hashable, Sendable {
  public var list: [NetlinkAttribute]

  public init(_ list: [NetlinkAttribute] = []) { self.list = list }

  /// Reads a row of attributes, each padded to four bytes.
  ///
  /// - Throws: `NetlinkFormatError`: a length below four or beyond the end.
  public init(_ bytes: ArraySlice<UInt8>) throws(NetlinkFormatError) {
    list = []
    var rest = bytes
    while rest.count >= NetlinkAttribute.headerSize {
      let length = Int(UInt16(nativeBytes: rest.prefix(2)))
      guard length >= NetlinkAttribute.headerSize, length <= rest.count else {
        throw .attributeLength(length, available: rest.count)
      }
      let type = UInt16(nativeBytes: rest.dropFirst(2).prefix(2))
      let payload = rest.dropFirst(NetlinkAttribute.headerSize).prefix(length - 4)
      list.append(NetlinkAttribute(type, Array(payload)))
      rest = rest.dropFirst(padded(length))
    }
    // The kernel, too, overlooks fewer bytes than a header.
  }

  /// The last of this type, which is the one the kernel takes.
  public subscript(type: UInt16) -> NetlinkAttribute? {
    list.last { $0.type == type }
  }

  public func all(_ type: UInt16) -> [NetlinkAttribute] { list.filter { $0.type == type } }

  /// Puts `attribute` in the place of all of its type, or at the end.
  public mutating func set(_ attribute: NetlinkAttribute) {
    remove(attribute.type)
    list.append(attribute)
  }

  public mutating func remove(_ type: UInt16) { list.removeAll { $0.type == type } }

  /// As they stand in a message.
  public var encoded: [UInt8] {
    var bytes: [UInt8] = []
    for attribute in list {
      bytes += UInt16(truncatingIfNeeded: 4 + attribute.payload.count).nativeBytes
      bytes += attribute.rawType.nativeBytes
      bytes += attribute.payload
      bytes += [UInt8](
        repeating: 0, count: padded(attribute.payload.count) - attribute.payload.count)
    }
    return bytes
  }
}

/// What is wrong with netlink bytes.
public enum NetlinkFormatError: Error, Hashable, CustomStringConvertible {
  case attributeLength(Int, available: Int)
  case messageLength(Int, available: Int)
  /// A message too short for the fixed part of its type.
  case shortHeader(type: UInt16, count: Int)
  case unknownType(UInt16)
  /// A value that its field cannot have.
  case badValue(String)

  public var description: String {
    switch self {
    case .attributeLength(let length, let available):
      "a netlink attribute says it has \(length) bytes where \(available) are left"
    case .messageLength(let length, let available):
      "a netlink message says it has \(length) bytes where \(available) are left"
    case .shortHeader(let type, let count):
      "a netlink message of type \(type) has \(count) bytes, too few for its fixed part"
    case .unknownType(let type):
      "a netlink message has the type \(type), which does not belong here"
    case .badValue(let what): what
    }
  }
}

/// `NLA_ALIGN`, `NLMSG_ALIGN`.
func padded(_ length: Int) -> Int { (length + 3) & ~3 }

extension FixedWidthInteger {
  /// In the byte order of the machine, which netlink uses.
  public var nativeBytes: [UInt8] { withUnsafeBytes(of: self) { Array($0) } }

  /// From as many bytes as the number has, or fewer: what is missing at its end is zero.
  public init(nativeBytes bytes: ArraySlice<UInt8>) {
    var number: Self = 0
    withUnsafeMutableBytes(of: &number) { $0.copyBytes(from: bytes.prefix($0.count)) }
    self = number
  }
}
