import CMooring
import Glibc
import MountTable

/// Reads the mounts of a process's namespace without mountinfo: every field by `statmount`.
///
/// A second opinion on `readMountTable(of:)`, dearer by some microseconds a mount. Both say the same of
/// a table that nobody changes meanwhile.
///
/// - Throws: `ReadFailure.system` where the kernel has no `statmount` (before 6.11) or forbids it.
public func readMountTableByStatmount(of pid: Int32) throws(ReadFailure) -> MountTable {
  let folder = try ProcessFolder(pid)
  let namespace: UInt64
  switch folder.mountNamespaceID() {
  case .success(let id): namespace = id
  case .failure(let failure): throw .system(failure)
  }
  var kernel = Statmount(namespace: namespace)
  for _ in 0..<ProcessFolder.tries {
    guard let root = try folder.root().uniqueMount else { throw .rootIsElsewhere(folder.name) }
    guard let mounts = try kernel.mounts(from: root) else { continue }
    do { return try MountTable(mounts) } catch { throw .notATree(error) }
  }
  throw .changedTooOften(tries: ProcessFolder.tries)
}

extension Statmount {
  /// All mounts, or `nil` where one went away meanwhile.
  fileprivate mutating func mounts(from root: UInt64) throws(ReadFailure) -> [Mount]? {
    let ids: [UInt64]
    switch list(from: root) {
    case .success(let found): ids = found
    case .failure(let failure): throw .system(failure)
    }
    var mounts: [Mount] = []
    mounts.reserveCapacity(ids.count)
    for id in ids {
      let result = read(id, .everything)
      if result == -Int(ENOENT) { return nil }
      do {
        try checked(result, "statmount", "mount \(id)")
      } catch {
        throw .system(error)
      }
      mounts.append(mount)
    }
    guard case .success(let again) = list(from: root), again == ids else { return nil }
    return mounts
  }

  /// The answer as a value.
  private var mount: Mount {
    let (root, isDeleted) = DeletedMarker.split(text(.root, .root))
    var type = Array(text(.fileSystem, .fileSystem))
    let subtype = text(.subtype, .subtype)
    if !subtype.isEmpty { type += [0x2E] + subtype }
    var mount = Mount(
      id: MountID(number(.id)), parent: MountID(number(.parentID)),
      device: DeviceNumber(major: number(.deviceMajor), minor: number(.deviceMinor)),
      root: MountPath(Array(root)), mountPoint: MountPath(Array(text(.mountPoint, .mountPoint))),
      attributes: MountAttributes(kernel: wide(.attributes)), fileSystem: KernelString(type),
      source: KernelString(Array(text(.source, .source))),
      superblockFlags: SuperblockFlags(rawValue: number(.superblockFlags)),
      superblockOptions: KernelString(withoutEscapes(text(.options, .options))))
    mount.isRootDeleted = isDeleted
    mount.uniqueID = wide(.uniqueID)
    if wide(.attributes) & MOORING_ATTR_IDMAP != 0 {
      mount.idMapping = idMapping ?? IDMapping(users: [], groups: [])
    }
    mount.isUnbindable = wide(.propagation) & (1 << 17) != 0  // MS_UNBINDABLE
    mount.peerGroup = group(.peerGroup)
    mount.master = group(.master)
    let from = group(.propagateFrom)
    mount.propagateFrom = from == mount.master ? nil : from
    return mount
  }

  private func group(_ field: Field) -> PeerGroupID? {
    let value = wide(field)
    return value == 0 ? nil : PeerGroupID(UInt32(truncatingIfNeeded: value))
  }
}

extension MountAttributes {
  /// Reads `MOUNT_ATTR_*`.
  init(kernel bits: UInt64) {
    let known: Flags = [
      .readOnly, .noSUID, .noDevices, .noExecution, .noDirectoryAccessTime, .noSymbolicLinks,
    ]
    let accessTime: AccessTime =
      switch bits & MOORING_ATTR_ATIME_MASK {
      case 0x10: .never
      case 0x20: .strict
      default: .relative
      }
    self.init(
      Flags(rawValue: UInt32(truncatingIfNeeded: bits)).intersection(known), accessTime: accessTime)
  }
}

/// The octal escapes of mountinfo undone.
private func withoutEscapes(_ text: UnsafeRawBufferPointer) -> [UInt8] {
  guard text.contains(0x5C) else { return Array(text) }
  var bytes: [UInt8] = []
  var index = 0
  while index < text.count {
    let digits = text[min(index + 1, text.count)..<min(index + 4, text.count)]
    if text[index] == 0x5C, digits.count == 3, digits.allSatisfy({ $0 &- 0x30 < 8 }) {
      bytes.append(digits.reduce(0) { $0 &* 8 &+ ($1 &- 0x30) })
      index += 4
    } else {
      bytes.append(text[index])
      index += 1
    }
  }
  return bytes
}
