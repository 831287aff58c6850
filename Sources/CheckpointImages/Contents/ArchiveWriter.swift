import CLibarchive
import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// Writes members of a gzip-compressed tar archive (pax headers) to a descriptor.
///
/// Names stand in it as bytes (`hdrcharset=BINARY` where they are not ASCII), owners as numbers, times in nanoseconds,
/// attributes as `SCHILY.xattr.*`, lists as `SCHILY.acl.*`: what GNU tar reads and writes.
struct ArchiveWriter: ~Copyable {
  /// The owner's name by which a member is known to stand for a socket.
  static let socketMark = "mooring-socket"

  private let archive: OpaquePointer
  private let entry: OpaquePointer
  private static let zeroCount = 1 << 30

  /// - Parameter keepsOddNames: whether attributes are written in libarchive's way too, which
  ///   holds names that the other cannot; GNU tar warns of it.
  static func open(
    _ descriptor: CInt, keepsOddNames: Bool
  ) throws(ContentError) -> ArchiveWriter {
    guard let archive = archive_write_new(), let entry = archive_entry_new() else {
      throw ContentError([], .archive("out of memory"))
    }
    let writer = ArchiveWriter(archive: archive, entry: entry)
    try writer.configure(descriptor, keepsOddNames: keepsOddNames)
    return writer
  }

  private func configure(_ descriptor: CInt, keepsOddNames: Bool) throws(ContentError) {
    try check(archive_write_set_format_pax(archive), [])
    try check(archive_write_add_filter_gzip(archive), [])
    try check(
      archive_write_set_options(
        archive,
        "pax:xattrheader=\(keepsOddNames ? "ALL" : "SCHILY"),"
          + "gzip:compression-level=1,gzip:!timestamp"), [])
    try check(archive_write_set_bytes_per_block(archive, 1 << 16), [])
    try check(archive_write_set_bytes_in_last_block(archive, 1), [])
    try check(archive_write_open_fd(archive, descriptor), [])
  }

  deinit {
    archive_entry_free(entry)
    archive_write_free(archive)
  }

  /// Whether GNU tar's form of an attribute can hold this name.
  static func isPlain(attribute name: [UInt8]) -> Bool {
    name.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x25 && $0 != 0x3D }
  }

  /// Writes the header of a member.
  ///
  /// - Parameters:
  ///   - path: relative to the root of the file system; empty for the root.
  ///   - firstName: the member that this one is another name of.
  ///   - data: where a file with holes has data, in bytes; `nil` for all of it.
  func begin(
    _ path: [UInt8], _ facts: FileFacts, firstName: [UInt8]? = nil, data: [Range<Int64>]? = nil
  ) throws(ContentError) {
    archive_entry_clear(entry)
    Self.withMemberName(path) { archive_entry_copy_pathname(entry, $0) }
    let isSocket = facts.type == S_IFSOCK
    archive_entry_set_filetype(entry, isSocket ? S_IFREG : facts.type)
    archive_entry_set_perm(entry, facts.permissions)
    archive_entry_set_uid(entry, Int64(facts.owner))
    archive_entry_set_gid(entry, Int64(facts.group))
    if isSocket { archive_entry_set_uname(entry, Self.socketMark) }
    let time = ArchiveTime.archived(facts.modified)
    archive_entry_set_mtime(entry, Int(time.seconds), Int(time.nanoseconds))
    if let firstName {
      Self.withMemberName(firstName) { archive_entry_copy_hardlink(entry, $0) }
    } else {
      archive_entry_set_size(entry, facts.size)
      if let device = facts.device {
        archive_entry_set_rdevmajor(entry, dev_t(device.major))
        archive_entry_set_rdevminor(entry, dev_t(device.minor))
      }
      if facts.type == S_IFLNK {
        withPath(facts.target) { archive_entry_copy_symlink(entry, $0) }
      }
      try addAttributes(facts, path)
      if let data {
        for range in data {
          archive_entry_sparse_add_entry(
            entry, range.lowerBound, range.upperBound - range.lowerBound)
        }
        if data.isEmpty { archive_entry_sparse_add_entry(entry, 0, 0) }
      }
    }
    let code = archive_write_header(archive, entry)
    if code == ARCHIVE_WARN && isAboutCharacters { return }
    try check(code, path)
  }

  /// Writes data of the member that was begun last.
  func write(_ bytes: UnsafeRawBufferPointer, _ path: [UInt8]) throws(ContentError) {
    var written = 0
    while written < bytes.count {
      let put = archive_write_data(archive, bytes.baseAddress! + written, bytes.count - written)
      guard put > 0 else { throw failure(path) }
      written += put
    }
  }

  /// Passes over a hole of the member that was begun last; costs no room, and hardly time.
  func skip(_ count: Int64, _ path: [UInt8]) throws(ContentError) {
    guard count > 0 else { return }
    let zeros = mmap(
      nil, Self.zeroCount, PROT_READ, MAP_PRIVATE | CInt(MAP_ANONYMOUS) | CInt(MAP_NORESERVE), -1,
      0)
    guard let zeros, zeros != MAP_FAILED else {
      throw ContentError(path, .archive("out of memory"))
    }
    defer { munmap(zeros, Self.zeroCount) }
    var rest = count
    while rest > 0 {
      let part = min(rest, Int64(Self.zeroCount))
      try write(UnsafeRawBufferPointer(start: zeros, count: Int(part)), path)
      rest -= part
    }
  }

  /// Writes what is still held back, and the mark of the end.
  func finish() throws(ContentError) { try check(archive_write_close(archive), []) }

  /// Makes sure that freeing the writer writes nothing more.
  func abandon() { archive_write_fail(archive) }

  private func addAttributes(_ facts: FileFacts, _ path: [UInt8]) throws(ContentError) {
    for (name, value) in facts.attributes {
      if name == ExtendedAttributes.accessList || name == ExtendedAttributes.defaultList {
        let isDefault = name == ExtendedAttributes.defaultList
        guard AccessControlList.add(value, isDefault: isDefault, to: entry) else {
          throw ContentError(path, .unsupported("the access control list is of a kind not known"))
        }
      } else {
        withPath(name) { name in
          value.withUnsafeBytes {
            archive_entry_xattr_add_entry(entry, name, $0.baseAddress, $0.count)
          }
        }
      }
    }
  }

  private static func withMemberName<Result>(
    _ path: [UInt8], _ body: (UnsafePointer<CChar>) -> Result
  ) -> Result { withPath([0x2E, 0x2F] + path, body) }

  /// A warning that a name is not of the locale's characters; the header says then that it is bytes.
  private var isAboutCharacters: Bool {
    guard let words = archive_error_string(archive) else { return false }
    return String(cString: words).hasPrefix("Can't translate ")
  }

  private func check(_ code: CInt, _ path: [UInt8]) throws(ContentError) {
    if code != ARCHIVE_OK { throw failure(path) }
  }

  private func failure(_ path: [UInt8]) -> ContentError {
    let words = archive_error_string(archive).map { String(cString: $0) } ?? "cannot be written"
    let number = archive_errno(archive)
    guard number > 0 else { return ContentError(path, .archive(words)) }
    let errno = Errno(rawValue: number)
    return ContentError(path, .archive("\(words): \(errno.symbol) (\(errno.text))"))
  }
}
