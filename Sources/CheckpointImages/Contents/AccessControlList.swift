import CLibarchive
import Glibc

/// A POSIX access control list between the kernel's bytes and an archive's entry.
///
/// The kernel's bytes (`include/uapi/linux/posix_acl_xattr.h`), little-endian:
///
///     u32 version = 2 | { u16 tag | u16 permissions | u32 ID } ...
enum AccessControlList {
  private static let version: UInt32 = 2
  private static let noID = UInt32.max

  private static let tags: [(kernel: UInt16, archive: CInt)] = [
    (0x01, ARCHIVE_ENTRY_ACL_USER_OBJ), (0x02, ARCHIVE_ENTRY_ACL_USER),
    (0x04, ARCHIVE_ENTRY_ACL_GROUP_OBJ), (0x08, ARCHIVE_ENTRY_ACL_GROUP),
    (0x10, ARCHIVE_ENTRY_ACL_MASK), (0x20, ARCHIVE_ENTRY_ACL_OTHER),
  ]

  /// Adds the list to an entry; false where the bytes are not a list.
  static func add(_ bytes: [UInt8], isDefault: Bool, to entry: OpaquePointer) -> Bool {
    let type = isDefault ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : ARCHIVE_ENTRY_ACL_TYPE_ACCESS
    guard bytes.count % 8 == 4, number(bytes, 0, 4) == version else { return false }
    for start in stride(from: 4, to: bytes.count, by: 8) {
      let tag = UInt16(number(bytes, start, 2))
      guard let known = tags.first(where: { $0.kernel == tag }) else { return false }
      let hasID = tag == 0x02 || tag == 0x08
      let id = CInt(bitPattern: number(bytes, start + 4, 4))
      let added = archive_entry_acl_add_entry(
        entry, type, CInt(number(bytes, start + 2, 2) & 7), known.archive, hasID ? id : -1, nil)
      if added != ARCHIVE_OK { return false }
    }
    return true
  }

  /// Why an entry's list cannot be used.
  enum Problem: Error {
    case unknownName(String)
    case notPOSIX
  }

  /// The kernel's bytes of an entry's list; `nil` where the entry has none.
  static func bytes(
    of entry: OpaquePointer, isDefault: Bool
  ) throws(Problem) -> [UInt8]? {
    let wanted = isDefault ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : ARCHIVE_ENTRY_ACL_TYPE_ACCESS
    guard archive_entry_acl_types(entry) & wanted != 0,
      archive_entry_acl_reset(entry, wanted) > 0
    else { return nil }
    var lines: [(tag: UInt16, permissions: UInt16, id: UInt32)] = []
    while true {
      var type: CInt = 0
      var permissions: CInt = 0
      var tag: CInt = 0
      var id: CInt = 0
      var name: UnsafePointer<CChar>?
      let next = archive_entry_acl_next(entry, wanted, &type, &permissions, &tag, &id, &name)
      if next == ARCHIVE_EOF { break }
      guard next == ARCHIVE_OK, let known = tags.first(where: { $0.archive == tag }) else {
        throw .notPOSIX
      }
      let hasID = known.kernel == 0x02 || known.kernel == 0x08
      if hasID && UInt32(bitPattern: id) == noID {
        // GNU tar writes names where its host knows them; the host that reads has the last word.
        let isUser = known.kernel == 0x02
        guard let name, let number = isUser ? user(name) : group(name) else {
          throw .unknownName(name.map { String(cString: $0) } ?? "")
        }
        id = CInt(bitPattern: number)
      }
      lines.append(
        (known.kernel, UInt16(permissions & 7), hasID ? UInt32(bitPattern: id) : noID))
    }
    if lines.isEmpty { return nil }
    lines.sort { ($0.tag, $0.id) < ($1.tag, $1.id) }
    var bytes: [UInt8] = []
    append(version, 4, to: &bytes)
    for line in lines {
      append(UInt32(line.tag), 2, to: &bytes)
      append(UInt32(line.permissions), 2, to: &bytes)
      append(line.id, 4, to: &bytes)
    }
    return bytes
  }

  /// What `chmod` shows of a file with this list: the mask in the place of the group.
  static func permissions(_ permissions: mode_t, with list: [UInt8]) -> mode_t {
    var result = permissions
    for start in stride(from: 4, to: list.count - 7, by: 8) {
      let bits = mode_t(number(list, start + 2, 2) & 7)
      switch number(list, start, 2) {
      case 0x01: result = result & ~0o700 | bits << 6
      case 0x10: result = result & ~0o070 | bits << 3
      case 0x20: result = result & ~0o007 | bits
      default: break
      }
    }
    return result
  }

  // The files themselves and not `getpwnam`, which would load whatever libraries the file system
  // that is the root just now, perhaps a container's, has for it.

  private static func user(_ name: UnsafePointer<CChar>) -> UInt32? {
    guard let file = fopen("/etc/passwd", "re") else { return nil }
    defer { fclose(file) }
    while let line = fgetpwent(file) {
      if strcmp(line.pointee.pw_name, name) == 0 { return line.pointee.pw_uid }
    }
    return nil
  }

  private static func group(_ name: UnsafePointer<CChar>) -> UInt32? {
    guard let file = fopen("/etc/group", "re") else { return nil }
    defer { fclose(file) }
    while let line = fgetgrent(file) {
      if strcmp(line.pointee.gr_name, name) == 0 { return line.pointee.gr_gid }
    }
    return nil
  }

  private static func number(_ bytes: [UInt8], _ start: Int, _ count: Int) -> UInt32 {
    (0..<count).reduce(0) { $0 | UInt32(bytes[start + $1]) << (8 * UInt32($1)) }
  }

  private static func append(_ number: UInt32, _ count: Int, to bytes: inout [UInt8]) {
    for index in 0..<count {
      bytes.append(UInt8(truncatingIfNeeded: number >> (8 * UInt32(index))))
    }
  }
}
