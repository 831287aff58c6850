import MountTable
import SwiftProtobuf

/// A message of the image files.
typealias ImageEntry = SwiftProtobuf.Message

// An image file, all integers little-endian:
//
//   u32 0x54564319 | u32 magic of its kind | u32 length, message | u32 length, message | ...
//
// The inventory lacks the first of them.

/// Takes image files apart and puts them together, in memory.
enum ImageFraming {
  /// No image of the kinds read here comes near: a mount takes some hundred bytes.
  static let mostBytes = 512 << 20

  /// The entries of an image.
  ///
  /// Fields that are not known stay in the messages and are written again with them.
  static func entries<Entry: ImageEntry>(
    of type: Entry.Type, kind: ImageKind, file: String, bytes: [UInt8]
  ) throws(ImageError) -> [(entry: Entry, offset: Int)] {
    var found: [(entry: Entry, offset: Int)] = []
    try forEachEntry(of: type, kind: kind, file: file, bytes: bytes) { entry, offset in
      found.append((entry, offset))
    }
    return found
  }

  /// Calls `body` with one entry after the other, and where in the file it begins.
  static func forEachEntry<Entry: ImageEntry>(
    of type: Entry.Type, kind: ImageKind, file: String, bytes: [UInt8],
    _ body: (Entry, _ offset: Int) throws(ImageError) -> Void
  ) throws(ImageError) {
    for message in try messages(kind: kind, file: file, bytes: bytes) {
      try body(try entry(of: type, bytes, message, file: file), message.lowerBound - 4)
    }
  }

  /// Where in the file the message of each entry stands; nothing of them is read.
  static func messages(
    kind: ImageKind, file: String, bytes: [UInt8]
  ) throws(ImageError) -> [Range<Int>] {
    var found: [Range<Int>] = []
    var position = 0
    if kind.hasCommonMagic {
      try expect(ImageKind.commonMagic, in: bytes, at: &position, file: file)
    }
    try expect(kind.magic, in: bytes, at: &position, file: file)
    while position < bytes.count {
      let start = position
      guard let length = littleEndian(bytes, at: position) else {
        throw ImageError(file, .truncated(entry: 4, rest: bytes.count - start), at: start)
      }
      guard length <= kind.mostEntryBytes else {
        throw ImageError(file, .entryTooLarge(length), at: start)
      }
      position += 4
      guard Int(length) <= bytes.count - position else {
        throw ImageError(
          file, .truncated(entry: length, rest: bytes.count - position), at: start)
      }
      found.append(position..<position + Int(length))
      position += Int(length)
    }
    return found
  }

  /// The entry whose message stands at `message`.
  static func entry<Entry: ImageEntry>(
    of type: Entry.Type, _ bytes: [UInt8], _ message: Range<Int>, file: String
  ) throws(ImageError) -> Entry {
    do {
      return try Entry(serializedBytes: Array(bytes[message]))
    } catch let error as BinaryDecodingError where error == .missingRequiredFields {
      throw ImageError(file, .missingField, at: message.lowerBound - 4)
    } catch {
      throw ImageError(file, .malformed, at: message.lowerBound - 4)
    }
  }

  /// The only entry of an image that has one.
  static func onlyEntry<Entry: ImageEntry>(
    of type: Entry.Type, kind: ImageKind, file: String, bytes: [UInt8]
  ) throws(ImageError) -> Entry {
    let found = try entries(of: type, kind: kind, file: file, bytes: bytes)
    guard found.count == 1 else { throw ImageError(file, .entryCount(found.count)) }
    return found[0].entry
  }

  /// The bytes of an image with these entries.
  static func bytes<Entries: Sequence>(
    of entries: Entries, kind: ImageKind, file: String
  ) throws(ImageError) -> [UInt8] where Entries.Element: ImageEntry {
    var bytes: [UInt8] = []
    if kind.hasCommonMagic { append(ImageKind.commonMagic, to: &bytes) }
    append(kind.magic, to: &bytes)
    for entry in entries {
      let message: [UInt8]
      do { message = try entry.serializedBytes() } catch {
        throw ImageError(file, .missingField, at: bytes.count)
      }
      guard message.count <= Int(kind.mostEntryBytes) else {
        throw ImageError(
          file, .entryTooLarge(UInt32(clamping: message.count)), at: bytes.count)
      }
      append(UInt32(message.count), to: &bytes)
      bytes += message
    }
    return bytes
  }

  private static func expect(
    _ magic: UInt32, in bytes: [UInt8], at position: inout Int, file: String
  ) throws(ImageError) {
    guard let found = littleEndian(bytes, at: position) else {
      throw ImageError(file, .noHeader, at: position)
    }
    guard found == magic else {
      throw ImageError(file, .wrongMagic(found: found, expected: magic), at: position)
    }
    position += 4
  }

  private static func littleEndian(_ bytes: [UInt8], at position: Int) -> UInt32? {
    guard bytes.count - position >= 4 else { return nil }
    return (0..<4).reduce(0) { $0 | UInt32(bytes[position + $1]) << (8 * UInt32($1)) }
  }

  private static func append(_ number: UInt32, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
  }
}
