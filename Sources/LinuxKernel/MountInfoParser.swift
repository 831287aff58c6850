import CLibmount
import Glibc
import MountTable
import SystemPackage

/// Reads the text of `/proc/PID/mountinfo` through libmount.
///
/// ```
/// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
/// ID parent device root point attributes fields - type source superblock options
/// ```
///
/// libmount undoes the kernel's octal escapes and skips a line it cannot read; a line that is lost
/// that way is an error here.
enum MountInfoParser {
  /// - Throws: `ReadFailure.malformed` with the number of the first line that cannot be read.
  static func parse(_ text: [UInt8]) throws(ReadFailure) -> [Mount] {
    let lineCount = text.reduce(into: 0) { if $1 == 0x0A { $0 += 1 } } + (text.last == 0x0A ? 0 : 1)
    if text.isEmpty { return [] }
    guard let mounts = parseAll(text) else { throw .malformed(line: 1, "libmount cannot read it") }
    if mounts.count != lineCount { throw firstBadLine(text) }
    for (index, mount) in mounts.enumerated() where !mount.mountPoint.isAbsolute {
      throw .malformed(line: index + 1, "the mount point is not an absolute path")
    }
    return mounts
  }

  private static func firstBadLine(_ text: [UInt8]) -> ReadFailure {
    for (index, line) in text.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
    {
      if line.isEmpty { return .malformed(line: index + 1, "the line is empty") }
      guard parseAll(Array(line) + [0x0A])?.count == 1 else {
        return .malformed(
          line: index + 1, "it does not have the form of proc(5), /proc/PID/mountinfo")
      }
    }
    return .malformed(line: 1, "libmount left lines out")
  }

  private static func parseAll(_ text: [UInt8]) -> [Mount]? {
    guard let table = mnt_new_table() else { return nil }
    defer { mnt_unref_table(table) }
    mnt_table_set_parser_errcb(table) { _, _, _ in 1 }
    let status = text.withUnsafeBytes { bytes -> CInt in
      guard
        let stream = fmemopen(
          UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count, "r")
      else { return -1 }
      defer { fclose(stream) }
      setvbuf(stream, nil, _IOFBF, 1 << 16)
      return mnt_table_parse_stream(table, stream, "mountinfo")
    }
    guard status == 0, let iterator = mnt_new_iter(CInt(MNT_ITER_FORWARD)) else { return nil }
    defer { mnt_free_iter(iterator) }
    var mounts: [Mount] = []
    mounts.reserveCapacity(Int(mnt_table_get_nents(table)))
    var types: [KernelString: KernelString] = [:]
    var entry: OpaquePointer?
    while mnt_table_next_fs(table, iterator, &entry) == 0, let fs = entry {
      guard var mount = mount(fs) else { return mounts }
      if let known = types[mount.fileSystem] {
        mount.fileSystem = known
      } else {
        types[mount.fileSystem] = mount.fileSystem
      }
      mounts.append(mount)
    }
    return mounts
  }

  private static func mount(_ fs: OpaquePointer) -> Mount? {
    guard let root = mnt_fs_get_root(fs), let target = mnt_fs_get_target(fs),
      let type = mnt_fs_get_fstype(fs)
    else { return nil }
    let device = mnt_fs_get_devno(fs)
    var rootBytes = bytes(root)
    var isDeleted = false
    if rootBytes.count > deletedMarker.count, rootBytes.suffix(9).elementsEqual(deletedMarker) {
      rootBytes.removeLast(deletedMarker.count)
      isDeleted = true
      if rootBytes.isEmpty { rootBytes = [0x2F] }
    }
    var mount = Mount(
      id: MountID(UInt32(bitPattern: mnt_fs_get_id(fs))),
      parent: MountID(UInt32(bitPattern: mnt_fs_get_parent_id(fs))),
      device: DeviceNumber(deviceID: UInt64(device)),
      root: MountPath(rootBytes), mountPoint: MountPath(bytes(target)),
      fileSystem: KernelString(bytes(type)),
      source: KernelString(mnt_fs_get_source(fs).map(bytes) ?? []))
    mount.isRootDeleted = isDeleted
    if let options = mnt_fs_get_vfs_options(fs) { mount.attributes = attributes(options) }
    if let options = mnt_fs_get_fs_options(fs) { readSuperblock(options, into: &mount) }
    if let fields = mnt_fs_get_optional_fields(fs) { readFields(fields, into: &mount) }
    return mount
  }

  private static let deletedMarker = Array("//deleted".utf8)

  @inline(__always)
  private static func bytes(_ text: UnsafePointer<CChar>) -> [UInt8] {
    let count = strlen(text)
    return text.withMemoryRebound(to: UInt8.self, capacity: count) {
      Array(UnsafeBufferPointer(start: $0, count: count))
    }
  }

  /// Calls `body` with each part of a text that `separator` divides.
  @inline(__always)
  private static func forEachPart(
    of text: UnsafePointer<CChar>, separator: CChar, _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) {
    var start = UnsafeRawPointer(text)
    while true {
      let here = start.assumingMemoryBound(to: CChar.self)
      let end = UnsafePointer(strchr(here, CInt(separator)) ?? strchr(here, 0)!)
      let count = UnsafeRawPointer(end) - start
      body(
        UnsafeBufferPointer(start: start.assumingMemoryBound(to: UInt8.self), count: count))
      if end.pointee == 0 { return }
      start = UnsafeRawPointer(end + 1)
    }
  }

  @inline(__always)
  private static func equals(_ part: UnsafeBufferPointer<UInt8>, _ word: StaticString) -> Bool {
    part.count == word.utf8CodeUnitCount
      && memcmp(part.baseAddress!, word.utf8Start, part.count) == 0
  }

  private static func attributes(_ options: UnsafePointer<CChar>) -> MountAttributes {
    var result = MountAttributes(accessTime: .strict)
    forEachPart(of: options, separator: 0x2C) { part in
      if equals(part, "rw") {
      } else if equals(part, "relatime") {
        result.accessTime = .relative
      } else if equals(part, "ro") {
        result.flags.insert(.readOnly)
      } else if equals(part, "nosuid") {
        result.flags.insert(.noSUID)
      } else if equals(part, "nodev") {
        result.flags.insert(.noDevices)
      } else if equals(part, "noexec") {
        result.flags.insert(.noExecution)
      } else if equals(part, "noatime") {
        result.accessTime = .never
      } else if equals(part, "nodiratime") {
        result.flags.insert(.noDirectoryAccessTime)
      } else if equals(part, "nosymfollow") {
        result.flags.insert(.noSymbolicLinks)
      }
    }
    return result
  }

  /// Flags that every file system has are told apart from what the file system itself says.
  private static func readSuperblock(_ options: UnsafePointer<CChar>, into mount: inout Mount) {
    var flags: SuperblockFlags = []
    var rest: [UInt8] = []
    forEachPart(of: options, separator: 0x2C) { part in
      if equals(part, "rw") {
      } else if equals(part, "ro") {
        flags.insert(.readOnly)
      } else if equals(part, "sync") {
        flags.insert(.synchronous)
      } else if equals(part, "dirsync") {
        flags.insert(.synchronousDirectories)
      } else if equals(part, "mand") {
        flags.insert(.mandatoryLocks)
      } else if equals(part, "lazytime") {
        flags.insert(.lazyTime)
      } else if !part.isEmpty {
        if !rest.isEmpty { rest.append(0x2C) }
        rest.append(contentsOf: part)
      }
    }
    mount.superblockFlags = flags
    mount.superblockOptions = KernelString(rest)
  }

  private static func readFields(_ fields: UnsafePointer<CChar>, into mount: inout Mount) {
    forEachPart(of: fields, separator: 0x20) { part in
      func number(after prefix: StaticString) -> PeerGroupID? {
        let count = prefix.utf8CodeUnitCount
        guard part.count > count, memcmp(part.baseAddress!, prefix.utf8Start, count) == 0 else {
          return nil
        }
        var value: UInt32 = 0
        for digit in part[count...] {
          guard (0x30...0x39).contains(digit) else { return nil }
          value = value &* 10 &+ UInt32(digit - 0x30)
        }
        return PeerGroupID(value)
      }
      if let id = number(after: "shared:") {
        mount.peerGroup = id
      } else if let id = number(after: "master:") {
        mount.master = id
      } else if let id = number(after: "propagate_from:") {
        mount.propagateFrom = id
      } else if equals(part, "unbindable") {
        mount.isUnbindable = true
      }
    }
  }
}
