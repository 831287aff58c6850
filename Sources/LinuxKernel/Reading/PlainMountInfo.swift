import Glibc
import MountTable

/// Reads mountinfo text that holds nothing unusual, without libmount: a second reader, for checking what
/// the first one would say.
///
/// ```
/// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
/// ID parent device root point attributes fields - type source superblock options
/// ```
///
/// Whatever is not as plain as that (an escape, an idmapped mount, a word that is not known) it leaves to
/// `MountInfoReader`. Takes about half the time of it.
struct PlainMountInfo {
  private var mounts: [Mount] = []
  private var lastRoot = SharedBytes()
  private var lastFileSystem = SharedBytes()
  private var lastSource = SharedBytes()
  private var lastOptions = SharedBytes()

  /// - Parameter text: is cut into pieces: nothing else can read it afterwards.
  static func mounts(in text: UnsafeMutableRawBufferPointer) -> [Mount]? {
    guard let start = text.baseAddress, memchr(start, 0x5C, text.count) == nil,
      memchr(start, 0, text.count) == nil
    else { return nil }
    var reader = PlainMountInfo()
    reader.mounts.reserveCapacity(text.count { $0 == 0x0A })
    var rest = text
    while !rest.isEmpty {
      guard let end = memchr(rest.baseAddress!, 0x0A, rest.count) else { return nil }
      let length = end - rest.baseAddress!
      rest[length] = 0
      guard reader.add(rest.baseAddress!.assumingMemoryBound(to: CChar.self)) else { return nil }
      rest = UnsafeMutableRawBufferPointer(rebasing: rest[(length + 1)...])
    }
    return reader.mounts
  }

  private mutating func add(_ line: UnsafeMutablePointer<CChar>) -> Bool {
    var rest = line
    guard let id = number(&rest, until: 0x20), let parent = number(&rest, until: 0x20),
      let major = number(&rest, until: 0x3A), let minor = number(&rest, until: 0x20),
      let root = field(&rest), let mountPoint = field(&rest), let options = field(&rest),
      let dash = strstr(rest, "- "), dash == rest || dash[-1] == 0x20
    else { return false }
    // Between the options and the dash: fields, each with a space behind it.
    let fields = rest
    if dash > fields { dash[-1] = 0 }
    rest = dash + 2
    guard let fileSystem = field(&rest), let source = field(&rest), root.pointee != 0,
      mountPoint.pointee == 0x2F, fileSystem.pointee != 0,
      let attributes = try? MountInfoOptions.attributes(options), !attributes.isIDMapped,
      let superblock = try? MountInfoOptions.superblock(rest)
    else { return false }
    let (shown, isDeleted) = DeletedMarker.split(
      UnsafeRawBufferPointer(start: root, count: strlen(root)))
    var mount = Mount(
      id: MountID(id), parent: MountID(parent), device: DeviceNumber(major: major, minor: minor),
      root: MountPath(lastRoot.array(shown)),
      mountPoint: MountPath(
        Array(UnsafeRawBufferPointer(start: mountPoint, count: strlen(mountPoint)))),
      attributes: attributes.0, fileSystem: KernelString(lastFileSystem.array(fileSystem)),
      source: KernelString(lastSource.array(source)), superblockFlags: superblock.0,
      superblockOptions: KernelString(lastOptions.array(superblock.options)))
    mount.isRootDeleted = isDeleted
    if dash > fields {
      guard (try? MountInfoOptions.propagation(fields, into: &mount)) != nil else { return false }
    }
    mounts.append(mount)
    return true
  }

  /// The next field, which a space ends.
  private func field(_ rest: inout UnsafeMutablePointer<CChar>) -> UnsafeMutablePointer<CChar>? {
    guard let end = strchr(rest, 0x20) else { return nil }
    let start = rest
    end.pointee = 0
    rest = end + 1
    return start
  }

  private func number(
    _ rest: inout UnsafeMutablePointer<CChar>, until end: CChar
  ) -> UInt32? {
    var value: UInt64 = 0
    var isEmpty = true
    while rest.pointee >= 0x30, rest.pointee <= 0x39, value <= UInt32.max {
      value = value * 10 + UInt64(rest.pointee - 0x30)
      rest += 1
      isEmpty = false
    }
    guard !isEmpty, rest.pointee == end else { return nil }
    rest += 1
    return UInt32(exactly: value)
  }
}

/// Reads the mount table of a process from mountinfo alone, without libmount and `statmount`.
///
/// For holding it against another table: where the two differ, or the text is unusual (`nil`),
/// `readMountTable(of:)` has the last word.
public func readPlainMountTable(of pid: Int32) -> MountTable? {
  guard let root = try? ProcessFolder(pid).root(), root.isMountRoot,
    let watch = try? MountTableWatch(pid), let text = try? watch.text()
  else { return nil }
  guard let mounts = text.plainMounts(), !watch.hasChanged(), let table = try? MountTable(mounts),
    table.root.id == root.mount
  else { return nil }
  return table
}
