import LinkTable

// ifaddr-NSID.img, route-NSID.img, route6-NSID.img, rule-NSID.img, in the byte order of the machine:
//
//   u32 magic | u32 length, u16 type, u16 flags, u32 sequence, u32 port, payload | ...
//
// The length counts itself and all that belongs to the message; messages begin at multiples of four.

/// Netlink messages that follow each other, as `ip addr save`, `ip route save` and `ip rule save`
/// write them, and `restore` reads.
enum NetlinkImage {
  static let addresses: UInt32 = 0x4736_1222
  static let routes: UInt32 = 0x4531_1224
  static let rules: UInt32 = 0x7170_6986

  /// Some two million routes. As values they take several times the room.
  static let mostBytes = 128 << 20

  /// `NLM_F_MULTI`, which all messages of the kernel's dumps have.
  private static let partOfDump: UInt16 = 2

  static func bytes(of records: some Sequence<NetlinkRecord>, magic: UInt32? = nil) -> [UInt8] {
    var bytes = magic?.nativeBytes ?? []
    for record in records { bytes += record.message(flags: partOfDump) }
    return bytes
  }

  /// - Parameter what: what the messages are about, for the error.
  /// - Throws: `ImageError` where lengths lie, or messages are not of `types`.
  static func records(
    _ bytes: [UInt8], magic: UInt32? = nil, types: Set<UInt16>, what: String, file: String
  ) throws(ImageError) -> [NetlinkRecord] {
    var rest = bytes[...]
    if let magic {
      guard rest.count >= 4 else { throw ImageError(file, .noHeader, at: 0) }
      let found = UInt32(nativeBytes: rest.prefix(4))
      guard found == magic else {
        throw ImageError(file, .wrongMagic(found: found, expected: magic), at: 0)
      }
      rest = rest.dropFirst(4)
    }
    var position = rest.startIndex
    do {
      return try NetlinkRecord.stream(rest, types: types, position: &position)
    } catch {
      throw ImageError(file, .netlink(error, in: what), at: magic == nil ? nil : position)
    }
  }
}
