import MountTable

/// `MS_*` of `mount(2)`, as CRIU keeps them in an entry's `flags`.
///
/// | bit | of a mount |
/// |---|---|
/// | `MS_RDONLY`, `MS_NOSUID`, `MS_NODEV`, `MS_NOEXEC`, `MS_NODIRATIME` | a flag of the same name |
/// | `MS_NOATIME`, `MS_RELATIME`, neither | access times never, relative, strict |
/// | `MS_SHARED`, `MS_SLAVE` | also said by `shared_id` and `master_id`, which count |
/// | `MS_UNBINDABLE` | unbindable |
/// | none of the three | private |
enum MountFlags {
  static let noAccessTime: UInt32 = 1 << 10
  static let noDirectoryAccessTime: UInt32 = 1 << 11
  static let unbindable: UInt32 = 1 << 17
  static let slave: UInt32 = 1 << 19
  static let shared: UInt32 = 1 << 20
  static let relativeAccessTime: UInt32 = 1 << 21

  /// Flags of `MountAttributes` whose bit is the same in `MS_*`.
  private static let same: MountAttributes.Flags = [.readOnly, .noSUID, .noDevices, .noExecution]

  static func bits(of mount: Mount) -> UInt32 {
    var bits = mount.attributes.flags.intersection(same).rawValue
    if mount.attributes.flags.contains(.noDirectoryAccessTime) { bits |= noDirectoryAccessTime }
    switch mount.attributes.accessTime {
    case .never: bits |= noAccessTime
    case .relative: bits |= relativeAccessTime
    case .strict: break
    }
    if mount.isUnbindable { bits |= unbindable }
    if mount.peerGroup != nil { bits |= shared }
    if mount.master != nil { bits |= slave }
    return bits
  }

  /// The attributes that no bit stands for.
  static func rest(of attributes: MountAttributes) -> MountAttributes.Flags {
    attributes.flags.subtracting(same).subtracting(.noDirectoryAccessTime)
  }

  static func attributes(_ bits: UInt32, rest: MountAttributes.Flags) -> MountAttributes {
    var flags = MountAttributes.Flags(rawValue: bits).intersection(same).union(rest)
    if bits & noDirectoryAccessTime != 0 { flags.insert(.noDirectoryAccessTime) }
    let accessTime: MountAttributes.AccessTime =
      if bits & noAccessTime != 0 {
        .never
      } else if bits & relativeAccessTime != 0 {
        .relative
      } else {
        .strict
      }
    return MountAttributes(flags, accessTime: accessTime)
  }
}

/// CRIU's numbers of file-system types.
enum FileSystemType {
  static let unsupported: UInt32 = 0
  /// `fsname` holds the name.
  static let auto: UInt32 = 16

  static let names: [UInt32: KernelString] = [
    1: "proc", 2: "sysfs", 3: "devtmpfs", 4: "binfmt_misc", 5: "tmpfs", 6: "devpts", 7: "simfs",
    8: "pstore", 9: "securityfs", 10: "fusectl", 11: "debugfs", 12: "cgroup", 13: "aufs",
    14: "mqueue", 15: "fuse", 17: "overlay", 18: "autofs", 19: "tracefs", 23: "cgroup2",
  ]

  static let numbers: [KernelString: UInt32] = Dictionary(
    uniqueKeysWithValues: names.map { ($0.value, $0.key) })
}
