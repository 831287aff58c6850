/// One object as rtnetlink speaks of it: the fixed part of its message and the attributes. Whatever the
/// kernel says is kept, so that what a later kernel adds is saved too.
public struct NetlinkRecord: Hashable, Sendable {
  /// `RTM_NEW…`.
  public var type: UInt16
  /// `struct ifinfomsg`, `ifaddrmsg`, `rtmsg`, …: as many bytes as `MessageType.headerSize` says.
  public var header: [UInt8]
  public var attributes: NetlinkAttributes

  public init(type: UInt16, header: [UInt8], attributes: NetlinkAttributes = .init()) {
    self.type = type
    self.header = header
    self.attributes = attributes
  }

  /// - Parameter payload: what follows `struct nlmsghdr`.
  /// - Throws: `NetlinkFormatError`.
  public init(type: UInt16, payload: ArraySlice<UInt8>) throws(NetlinkFormatError) {
    guard let size = MessageType.headerSize(type) else { throw .unknownType(type) }
    guard payload.count >= size else { throw .shortHeader(type: type, count: payload.count) }
    self.init(
      type: type, header: Array(payload.prefix(size)),
      attributes: try NetlinkAttributes(payload.dropFirst(padded(size))))
  }

  /// What follows `struct nlmsghdr`.
  public var payload: [UInt8] {
    header + [UInt8](repeating: 0, count: padded(header.count) - header.count)
      + attributes.encoded
  }

  /// The whole message, `struct nlmsghdr` included.
  public func message(flags: UInt16 = 0, sequence: UInt32 = 0) -> [UInt8] {
    let payload = payload
    return UInt32(16 + payload.count).nativeBytes + type.nativeBytes + flags.nativeBytes
      + sequence.nativeBytes + UInt32(0).nativeBytes + payload
  }

  /// Reads messages that follow each other, as `ip addr save` writes them after its magic number.
  ///
  /// - Parameters:
  ///   - types: those that may be among them; `nil` for any that has a place here.
  ///   - position: where in `bytes` reading is; after an error, where the message begins that is wrong.
  /// - Throws: `NetlinkFormatError`: lengths that lie, a type that does not belong here.
  public static func stream(
    _ bytes: ArraySlice<UInt8>, types: Set<UInt16>? = nil, position: inout Int
  ) throws(NetlinkFormatError) -> [NetlinkRecord] {
    var records: [NetlinkRecord] = []
    while position < bytes.endIndex {
      let rest = bytes[position...]
      guard rest.count >= headerSize else {
        throw .messageLength(headerSize, available: rest.count)
      }
      let length = Int(UInt32(nativeBytes: rest.prefix(4)))
      guard length >= headerSize, length <= rest.count else {
        throw .messageLength(length, available: rest.count)
      }
      let type = UInt16(nativeBytes: rest.dropFirst(4).prefix(2))
      // NLMSG_DONE ends a dump.
      if type == MessageType.done { break }
      if let types, !types.contains(type) { throw .unknownType(type) }
      records.append(
        try NetlinkRecord(type: type, payload: rest.prefix(length).dropFirst(headerSize)))
      position += padded(length)
    }
    return records
  }

  /// `struct nlmsghdr`.
  private static let headerSize = 16

  func number<Number: FixedWidthInteger>(at offset: Int, _: Number.Type = Number.self) -> Number {
    Number(nativeBytes: header.dropFirst(offset).prefix(MemoryLayout<Number>.size))
  }

  mutating func setNumber(_ number: some FixedWidthInteger, at offset: Int) {
    header.replaceSubrange(offset..<offset + number.nativeBytes.count, with: number.nativeBytes)
  }
}

/// Message types of `linux/rtnetlink.h`, and how long the fixed part of each is.
public enum MessageType {
  public static let done: UInt16 = 3
  public static let newLink: UInt16 = 16
  public static let deleteLink: UInt16 = 17
  public static let setLink: UInt16 = 19
  public static let newAddress: UInt16 = 20
  public static let deleteAddress: UInt16 = 21
  public static let newRoute: UInt16 = 24
  public static let deleteRoute: UInt16 = 25
  public static let newNeighbour: UInt16 = 28
  public static let deleteNeighbour: UInt16 = 29
  public static let newRule: UInt16 = 32
  public static let deleteRule: UInt16 = 33
  public static let newQueueing: UInt16 = 36
  public static let newNeighbourTable: UInt16 = 64
  public static let newMulticastEntry: UInt16 = 84
  public static let newNamespaceID: UInt16 = 88
  public static let newNextHop: UInt16 = 104
  public static let deleteNextHop: UInt16 = 105
  public static let newLinkProperty: UInt16 = 108
  public static let newVLAN: UInt16 = 112

  /// `nil` for a type that has no place here.
  public static func headerSize(_ type: UInt16) -> Int? {
    switch type {
    case 16...19, 108...110: 16  // struct ifinfomsg
    case 20...22: 8  // struct ifaddrmsg
    case 24...26: 12  // struct rtmsg
    case 28...30: 12  // struct ndmsg
    case 32...34: 12  // struct fib_rule_hdr
    case 36...47: 20  // struct tcmsg
    case 64...67: 4  // struct ndtmsg
    case 84...86: 8  // struct br_port_msg
    case 88...90: 1  // struct rtgenmsg
    case 104...106: 8  // struct nhmsg
    case 112...114: 8  // struct br_vlan_msg
    default: nil
    }
  }
}
