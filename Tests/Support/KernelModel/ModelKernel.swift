import MountTable

/// What a call of the model refuses with; names are those of `Errno` in swift-system.
public enum ModelFailure: String, Error, Hashable, Sendable {
  case invalidArgument = "EINVAL"
  case notPermitted = "EPERM"
  case noSuchFileOrDirectory = "ENOENT"
  case resourceBusy = "EBUSY"
  case notDirectory = "ENOTDIR"
  case readOnlyFileSystem = "EROFS"
  case fileExists = "EEXIST"
  case improperLink = "EXDEV"
  case directoryNotEmpty = "ENOTEMPTY"
  case tooManySymbolicLinkLevels = "ELOOP"
}

/// A model of the kernel's mounts: superblocks with their files, mounts, peer groups, namespaces.
///
/// It says what Linux does with mounts, and nothing else: what may be mounted where, what spreads, who is
/// whose peer and slave, what is refused. It shares no code with the planner, and is held against the
/// kernel itself by the test of the whole command that is called `model`. A value: a copy of it is another machine.
///
/// | subject | where |
/// |---|---|
/// | files and paths | `ModelKernel+Files.swift` |
/// | binds, new mounts, moves, detached trees, unmounting | `ModelKernel+Mounts.swift` |
/// | what spreads when something is mounted or unmounted | `ModelKernel+Spreading.swift` |
/// | peer groups and masters | `ModelKernel+Groups.swift` |
/// | attributes, ID mappings, locks, namespaces, pivot_root | `ModelKernel+Namespaces.swift` |
/// | mount tables read back | `ModelKernel+Table.swift` |
///
/// Not modelled: symbolic links, idle expiry, automounts, what a umount of a tree with children spreads.
public struct ModelKernel: Sendable {
  /// A file or directory of a superblock: what the kernel calls a dentry.
  struct Node: Sendable {
    var name: String
    /// `nil` for the root of a superblock.
    var parent: Int?
    var superblock: Int
    var isDirectory: Bool
    var children: [String: Int] = [:]
    var isUnlinked = false
    /// The path that mountinfo shows, where it is not that of the names: what was made anew to be unlinked.
    var formerPath: String?
  }

  struct Superblock: Sendable {
    var device: DeviceNumber
    var type: String
    var source: String
    var options: String
    var isReadOnly: Bool
    var root: Int
  }

  struct Record: Sendable {
    var id: UInt32
    var superblock: Int
    /// The node that it shows.
    var root: Int
    var parent: Int?
    /// The node of the parent's superblock that it covers.
    var point: Int?
    /// `nil`: detached, in nobody's namespace.
    var namespace: Int?
    var children: [Int] = []
    var attributes = MountAttributes()
    var group: Int?
    var master: Int?
    var isUnbindable = false
    var isLocked = false
    /// Attributes that a less privileged namespace may not take away.
    var lockedFlags: MountAttributes.Flags = []
    var idMapping: IDMapping?
    var isGone = false
  }

  struct Namespace: Sendable {
    /// The user namespace that owns it.
    var owner: Int
    var root: Int
  }

  /// A place in a mount: where a path leads.
  public struct Place: Hashable, Sendable {
    public var mount: Int
    public var node: Int

    public init(mount: Int, node: Int) {
      self.mount = mount
      self.node = node
    }
  }

  /// Who calls: a mount namespace, a root in it, a user namespace.
  public struct Process: Sendable {
    public internal(set) var namespace: Int
    public internal(set) var root: Place
    public internal(set) var user: Int
  }

  struct Key: Hashable, Sendable {
    var mount: Int
    var node: Int
  }

  var nodes: [Node] = []
  var superblocks: [Superblock] = []
  var mounts: [Record] = []
  var namespaces: [Namespace] = []
  /// The parent of each user namespace; `nil` for the first.
  var users: [Int?] = [nil]
  /// What is mounted on a node of a mount.
  var childAt: [Key: Int] = [:]
  /// The members of each peer group, in the order in which they joined.
  var groups: [Int: [Int]] = [:]
  var nextGroup = 1
  private var nextID: UInt32 = 20
  private var nextMinor: UInt32 = 30

  /// A machine with one mount namespace whose root is a file system on disk.
  public init() {
    let superblock = newSuperblock(
      type: "ext4", source: "/dev/vda", device: DeviceNumber(major: 254, minor: 0))
    let root = newMount(superblock, root: superblocks[superblock].root)
    namespaces.append(Namespace(owner: 0, root: root))
    mounts[root].namespace = 0
  }

  /// The first process, which has all rights.
  public var initProcess: Process {
    Process(namespace: 0, root: rootPlace(namespaces[0].root), user: 0)
  }

  func rootPlace(_ mount: Int) -> Place { Place(mount: mount, node: mounts[mount].root) }

  mutating func newSuperblock(
    type: String, source: String, options: String = "", device: DeviceNumber? = nil,
    isReadOnly: Bool = false
  ) -> Int {
    let number = device ?? DeviceNumber(major: 0, minor: nextMinor)
    if device == nil { nextMinor += 1 }
    nodes.append(Node(name: "", parent: nil, superblock: superblocks.count, isDirectory: true))
    superblocks.append(
      Superblock(
        device: number, type: type, source: source, options: options, isReadOnly: isReadOnly,
        root: nodes.count - 1))
    return superblocks.count - 1
  }

  mutating func newMount(_ superblock: Int, root: Int) -> Int {
    mounts.append(Record(id: nextID, superblock: superblock, root: root))
    nextID += 1
    return mounts.count - 1
  }

  /// The mount and everything mounted on it, parents first.
  func subtree(_ top: Int) -> [Int] {
    var found = [top]
    var next = 0
    while next < found.count {
      found += mounts[found[next]].children
      next += 1
    }
    return found
  }
}
