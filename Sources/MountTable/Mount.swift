/// One mount: a line of `/proc/PID/mountinfo`, with what `statmount` adds to it.
public struct Mount: Hashable, Sendable, Codable {
  public var id: MountID
  public var parent: MountID
  public var device: DeviceNumber
  /// The directory or file of the file system that this mount shows, relative to the superblock.
  /// The kernel's marker `//deleted` is taken off: see `isRootDeleted`.
  public var root: MountPath
  /// Whether the directory or file that this mount shows has been unlinked.
  public var isRootDeleted = false
  public var mountPoint: MountPath
  public var attributes: MountAttributes
  /// `shared:N`: the peer group this mount belongs to.
  public var peerGroup: PeerGroupID?
  /// `master:N`: the peer group this mount receives from.
  public var master: PeerGroupID?
  /// `propagate_from:N`: the nearest dominating group below the reader's root.
  public var propagateFrom: PeerGroupID?
  public var isUnbindable = false
  public var fileSystem: KernelString
  public var source: KernelString
  public var superblockFlags: SuperblockFlags
  /// What the file system itself says, without the flags in `superblockFlags`; commas between.
  public var superblockOptions: KernelString
  /// The 64-bit ID that is never reused (`statmount`); `nil` where text was the only source.
  public var uniqueID: UInt64?
  /// The mapping of an idmapped mount (`statmount`, Linux 6.15); `nil` where there is none.
  public var idMapping: IDMapping?
  /// Whether the peer group has members outside the container (seen in the dumping engine's
  /// namespace); a restore joins it there.
  public var isPeerGroupOutside = false
  /// Whether the group outside that it belongs to, or receives from, is that of another mount of the host than
  /// the one its file system was taken from: of the mount at the very place that it shows.
  public var isTiedAtItsPlace = false
  /// Whether the mount shows a file rather than a directory; `nil` where nobody looked.
  public var isFile: Bool?
  /// For a root that has been unlinked: the first mount of the table that shows the same file or
  /// directory, itself perhaps (looked up by a dump); `nil` where nobody looked.
  public var unlinkedAs: MountID?
  /// What an image says about the mount's origin outside; `nil` for facts of a kernel.
  public var mooring: SavedMooring?

  public init(
    id: MountID, parent: MountID, device: DeviceNumber, root: MountPath, mountPoint: MountPath,
    attributes: MountAttributes = .init(), fileSystem: KernelString, source: KernelString = "none",
    superblockFlags: SuperblockFlags = [], superblockOptions: KernelString = ""
  ) {
    self.id = id
    self.parent = parent
    self.device = device
    self.root = root
    self.mountPoint = mountPoint
    self.attributes = attributes
    self.fileSystem = fileSystem
    self.source = source
    self.superblockFlags = superblockFlags
    self.superblockOptions = superblockOptions
  }
}

/// How a mount was tied to the outside when it was dumped.
public enum SavedMooring: Hashable, Sendable, Codable {
  /// By a key the user gave (`ext_key`); the restore maps the key to a path.
  case key(KernelString)
  /// Found in the dumping engine's own namespace; `source` holds the path there.
  case detected(path: MountPath)
  /// A device the user gave a key for.
  case device(KernelString)
  /// A plugin answered for it; `isFile` says what it mounts where the image knows.
  case plugin(isFile: Bool?)
}

/// Attributes of a mount (not of its superblock): `MOUNT_ATTR_*` of `mount_setattr(2)`.
public struct MountAttributes: Hashable, Sendable, Codable {
  public struct Flags: OptionSet, Hashable, Sendable, Codable {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let readOnly = Flags(rawValue: 1)  // MOUNT_ATTR_RDONLY
    public static let noSUID = Flags(rawValue: 2)
    public static let noDevices = Flags(rawValue: 4)
    public static let noExecution = Flags(rawValue: 8)
    public static let noDirectoryAccessTime = Flags(rawValue: 0x80)
    public static let noSymbolicLinks = Flags(rawValue: 0x20_0000)
  }

  /// When reading updates access times.
  public enum AccessTime: String, Hashable, Sendable, Codable {
    case relative, never, strict
  }

  public var flags: Flags
  public var accessTime: AccessTime

  public init(_ flags: Flags = [], accessTime: AccessTime = .relative) {
    self.flags = flags
    self.accessTime = accessTime
  }
}

/// Flags of a superblock: `MS_*` of `mount(2)`.
public struct SuperblockFlags: OptionSet, Hashable, Sendable, Codable {
  public var rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static let readOnly = SuperblockFlags(rawValue: 1)
  public static let synchronous = SuperblockFlags(rawValue: 0x10)
  public static let mandatoryLocks = SuperblockFlags(rawValue: 0x40)
  public static let synchronousDirectories = SuperblockFlags(rawValue: 0x80)
  public static let lazyTime = SuperblockFlags(rawValue: 1 << 25)
}

/// The user and group mapping of an idmapped mount, or of a user namespace.
public struct IDMapping: Hashable, Sendable, Codable {
  /// `count` IDs from `inside` on stand for those from `outside` on (a line of `/proc/PID/uid_map`).
  public struct Range: Hashable, Sendable, Codable {
    public var inside: UInt32
    public var outside: UInt32
    public var count: UInt32
    public init(inside: UInt32, outside: UInt32, count: UInt32) {
      self.inside = inside
      self.outside = outside
      self.count = count
    }
  }

  public var users: [Range]
  public var groups: [Range]

  public init(users: [Range], groups: [Range]) {
    self.users = users
    self.groups = groups
  }
}
