import CLibarchive
import Glibc
import LinuxKernel
import MountTable
import RestorePlan
import SystemPackage

/// A member of an archive, its name checked.
struct ArchiveMember {
  /// Relative to the root of the file system, without `.` and `..`; empty for the root.
  var path: [UInt8]
  /// The member that this one is another name of, in the same form.
  var firstName: [UInt8]?
  var facts: FileFacts
}

/// Reads a tar archive from a descriptor, compressed or not.
///
/// The archive may come from another host: names that lead out, links to such names, data beyond
/// a member's size and archives that end too early are errors.
struct ArchiveReader: ~Copyable {
  private let archive: OpaquePointer
  private let leftOut: LeaveOut

  /// - Parameter leftOut: families of extended attributes that do not count.
  static func open(
    _ descriptor: CInt, leavingOut leftOut: LeaveOut = .init()
  ) throws(ContentError) -> ArchiveReader {
    guard let archive = archive_read_new() else {
      throw ContentError([], .archive("out of memory"))
    }
    let reader = ArchiveReader(archive: archive, leftOut: leftOut)
    _ = lseek(descriptor, 0, SEEK_SET)
    try reader.check(archive_read_support_filter_gzip(archive), [])
    try reader.check(archive_read_support_format_tar(archive), [])
    try reader.check(archive_read_set_options(archive, "tar:read_concatenated_archives"), [])
    try reader.check(archive_read_open_fd(archive, descriptor, 1 << 16), [])
    return reader
  }

  deinit { archive_read_free(archive) }

  /// The next member; `nil` at the end.
  func next() throws(ContentError) -> ArchiveMember? {
    var found: OpaquePointer?
    let code = archive_read_next_header(archive, &found)
    if code == ARCHIVE_EOF { return nil }
    guard let entry = found, code == ARCHIVE_OK || code == ARCHIVE_WARN && isAboutCharacters else {
      throw failure(found.flatMap(Self.name) ?? [])
    }
    guard let name = Self.name(of: entry), let path = Self.normal(name) else {
      throw ContentError(Self.name(of: entry) ?? [], .unsafeName)
    }
    var member = ArchiveMember(path: path, firstName: nil, facts: try facts(entry, path))
    if let link = archive_entry_hardlink(entry) {
      let name = Self.bytes(link)
      guard let target = Self.normal(name), !target.isEmpty else {
        throw ContentError(path, .unsafeLink(KernelString(name)))
      }
      member.firstName = target
    }
    return member
  }

  /// Passes on the data of the member that was read last, in order, holes left out.
  func data(
    of member: ArchiveMember,
    _ body: (_ offset: Int64, _ bytes: UnsafeRawBufferPointer) throws(ContentError) -> Void
  ) throws(ContentError) {
    let size = member.facts.size
    var position: Int64 = 0
    while true {
      var start: UnsafeRawPointer?
      var count = 0
      var offset: Int64 = 0
      let code = archive_read_data_block(archive, &start, &count, &offset)
      if code == ARCHIVE_EOF { return }
      guard code == ARCHIVE_OK else { throw failure(member.path) }
      if count == 0 { continue }
      guard offset >= position, offset <= size, Int64(count) <= size - offset else {
        throw ContentError(member.path, .wrongSize(UInt64(clamping: size)))
      }
      try body(offset, UnsafeRawBufferPointer(start: start, count: count))
      position = offset + Int64(count)
    }
  }

  private func facts(_ entry: OpaquePointer, _ path: [UInt8]) throws(ContentError) -> FileFacts {
    let type = archive_entry_filetype(entry)
    let isSocket =
      type == S_IFREG
      && archive_entry_uname(entry).map { strcmp($0, ArchiveWriter.socketMark) == 0 } ?? false
    guard let owner = UInt32(exactly: archive_entry_uid(entry)),
      let group = UInt32(exactly: archive_entry_gid(entry))
    else { throw ContentError(path, .unsupported("the number of its owner is too large")) }
    let size = archive_entry_size(entry)
    guard size >= 0 else { throw ContentError(path, .unsupported("its size is negative")) }
    var facts = FileFacts(
      type: isSocket ? S_IFSOCK : type, permissions: archive_entry_perm(entry) & 0o7777,
      owner: owner, group: group, size: type == S_IFREG && !isSocket ? size : 0,
      modified: ArchiveTime.real(
        .init(
          seconds: Int64(archive_entry_mtime(entry)),
          nanoseconds: Int64(archive_entry_mtime_nsec(entry)))))
    if type == S_IFCHR || type == S_IFBLK {
      facts.device = DeviceNumber(
        major: UInt32(truncatingIfNeeded: archive_entry_rdevmajor(entry)),
        minor: UInt32(truncatingIfNeeded: archive_entry_rdevminor(entry)))
    }
    if type == S_IFLNK {
      guard let target = archive_entry_symlink(entry).map(Self.bytes), !target.isEmpty else {
        throw ContentError(path, .unsupported("a symbolic link without a target"))
      }
      facts.target = target
    }
    facts.attributes = attributes(entry)
    try addLists(entry, path, to: &facts)
    return facts
  }

  private func attributes(_ entry: OpaquePointer) -> [[UInt8]: [UInt8]] {
    var found: [[UInt8]: [UInt8]] = [:]
    archive_entry_xattr_reset(entry)
    while true {
      var name: UnsafePointer<CChar>?
      var value: UnsafeRawPointer?
      var size = 0
      guard archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK, let name else {
        break
      }
      found[Self.bytes(name)] = Array(UnsafeRawBufferPointer(start: value, count: size))
    }
    // Archives with odd names have them twice, once with `%` escapes.
    for (name, value) in found where name.contains(0x25) {
      if let plain = Self.unescaped(name), plain != name, found[plain] == value {
        found[name] = nil
      }
    }
    return ExtendedAttributes.leavingOut(leftOut, of: found)
  }

  /// Adds the access control lists; the group's permissions of a file with a mask are the mask's.
  private func addLists(
    _ entry: OpaquePointer, _ path: [UInt8], to facts: inout FileFacts
  ) throws(ContentError) {
    do throws(AccessControlList.Problem) {
      if let list = try AccessControlList.bytes(of: entry, isDefault: false) {
        facts.attributes[ExtendedAttributes.accessList] = list
        facts.permissions = AccessControlList.permissions(facts.permissions, with: list)
      }
      if let list = try AccessControlList.bytes(of: entry, isDefault: true) {
        facts.attributes[ExtendedAttributes.defaultList] = list
      }
    } catch {
      switch error {
      case .unknownName(let name):
        throw ContentError(
          path, .unsupported("the access control list names \"\(name)\", not a number"))
      case .notPOSIX:
        throw ContentError(path, .unsupported("the access control list is not a POSIX one"))
      }
    }
  }

  /// A name as tar writes it, without what leads nowhere; `nil` where it leads out.
  static func normal(_ name: [UInt8]) -> [UInt8]? {
    guard name.first != 0x2F, !name.isEmpty else { return nil }
    var path: [UInt8] = []
    path.reserveCapacity(name.count)
    for part in name.split(separator: 0x2F) where !part.elementsEqual([0x2E]) {
      if part.elementsEqual([0x2E, 0x2E]) { return nil }
      if !path.isEmpty { path.append(0x2F) }
      path += part
    }
    return path
  }

  private static func unescaped(_ name: [UInt8]) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = name[...]
    while let byte = rest.popFirst() {
      guard byte == 0x25 else {
        bytes.append(byte)
        continue
      }
      guard rest.count >= 2,
        let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      else { return nil }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return bytes
  }

  private static func name(of entry: OpaquePointer) -> [UInt8]? {
    archive_entry_pathname(entry).map(bytes)
  }

  private static func bytes(_ text: UnsafePointer<CChar>) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
  }

  /// A warning that a name is not of the locale's characters; it stays as it is in the archive.
  private var isAboutCharacters: Bool {
    guard let words = archive_error_string(archive) else { return false }
    return String(cString: words).hasSuffix("to current locale.")
  }

  private func check(_ code: CInt, _ path: [UInt8]) throws(ContentError) {
    if code != ARCHIVE_OK { throw failure(path) }
  }

  private func failure(_ path: [UInt8]) -> ContentError {
    let words = archive_error_string(archive).map { String(cString: $0) }
    return ContentError(path, .archive(words ?? "cannot be read"))
  }
}
