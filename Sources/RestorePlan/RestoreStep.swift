import MountTable

/// A place for the descriptor of a mount while the plan runs. Used again once it is released.
public struct Slot: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
  /// Of 32 bits: steps are many.
  private var rawValue: Int32
  public var number: Int { Int(rawValue) }
  public init(_ number: Int) { rawValue = Int32(number) }
  public init(from decoder: any Decoder) throws { rawValue = try Int32(from: decoder) }
  public func encode(to encoder: any Encoder) throws { try number.encode(to: encoder) }
  public static func < (left: Slot, right: Slot) -> Bool { left.number < right.number }
  public var description: String { "#\(number)" }
}

/// How a mount passes on what is mounted on it.
public enum Propagation: String, Hashable, Sendable, Codable {
  case `private`, shared, slave, unbindable
}

/// Where a mount from outside comes from.
public enum OutsideSource: Hashable, Sendable, Codable {
  /// The directory given with `--root`.
  case root
  /// A path in the engine's mount namespace.
  case path(MountPath)
  /// RESTORE_EXT_MOUNT of the plugins.
  case plugin(expectsFile: Bool?)
}

/// A new superblock: what `fsopen` is to make.
public struct NewFileSystem: Hashable, Sendable, Codable {
  public var type: KernelString
  public var source: KernelString
  /// `key=value` and `flag`, as the file system names them.
  public var parameters: [KernelString]
  public var flags: SuperblockFlags
  /// For an overlay: the slot of the tree in which its layers lie, as far as that is built.
  public var layersIn: Slot?

  public init(
    type: KernelString, source: KernelString, parameters: [KernelString], flags: SuperblockFlags
  ) {
    self.type = type
    self.source = source
    self.parameters = parameters
    self.flags = flags
  }
}

extension NewFileSystem {
  /// The directories that an overlay is put together from.
  public var layers: [MountPath] {
    parameters.flatMap { parameter -> [MountPath] in
      let parts = parameter.bytes.split(separator: 0x3D, maxSplits: 1)
      guard parts.count == 2 else { return [] }
      switch String(decoding: parts[0], as: UTF8.self) {
      case "lowerdir": return parts[1].split(separator: 0x3A).map { MountPath(Array($0)) }
      case "lowerdir+", "datadir+", "upperdir", "workdir": return [MountPath(Array(parts[1]))]
      default: return []
      }
    }
  }
}

/// What to do where a mount point is missing.
public enum MissingMountPoint: Hashable, Sendable, Codable {
  case fail
  /// Make it below `root`, a relative path in the clean mount in `origin`.
  case make(origin: Slot, path: KernelString, onDisk: Bool)
}

/// What a file or directory is made from that stands for one that was unlinked.
public enum PlaceholderContent: Hashable, Sendable, Codable {
  case empty
  /// The archive that belongs to this mount.
  case saved(MountID)
  /// Another name of the placeholder that was made before.
  case link(to: KernelString)
}

extension PlaceholderContent: CustomStringConvertible {
  public var description: String {
    switch self {
    case .empty: ""
    case .saved(let id): " as saved for mount \(id)"
    case .link(let name): ", another name of \(name),"
    }
  }
}

/// One step of a restore. A step names slots; the executor owns the descriptors.
public enum RestoreStep: Hashable, Sendable, Codable {
  /// Take a clone of what lies outside; done by the engine, before the build.
  case takeFromOutside(OutsideSource, mount: MountID, into: Slot)
  /// `fsopen`, `fsconfig`, `fsmount`.
  case createFileSystem(NewFileSystem, attributes: MountAttributes, mount: MountID, into: Slot)
  /// Open a namespace file of the new container and clone its mount.
  case cloneNamespaceFile(NamespaceKind, mount: MountID, into: Slot)
  /// Attach at a place of its own in the staging area, with nothing mounted on it ever.
  case stage(Slot)
  /// Extract the saved content of a superblock.
  case unpack(DeviceNumber, into: Slot)
  /// Change the flags of a superblock (`fspick`, `FSCONFIG_CMD_RECONFIGURE`).
  case setSuperblockFlags(Slot, SuperblockFlags)
  /// Make a file or directory that stands for one that was unlinked, under a name of its own at the
  /// root of the file system. (What is unlinked already can be mounted nowhere.)
  case makePlaceholder(
    in: Slot, name: KernelString, isFile: Bool, content: PlaceholderContent)
  /// Give it the name that the unlinked one had, and unlink it.
  case removePlaceholder(in: Slot, name: KernelString, path: KernelString)
  /// Make a cgroup where it is missing.
  case makeControlGroup(in: Slot, path: KernelString)
  /// `open_tree(OPEN_TREE_CLONE)` of a path below the root of a staged mount.
  case clone(of: Slot, path: KernelString, mount: MountID, into: Slot)
  case setAttributes(Slot, MountAttributes)
  case setIDMapping(Slot, IDMapping)
  /// `move_mount` onto a path below the root of the mount in `at`; an empty path is that root.
  case attach(Slot, at: Slot, path: KernelString, mount: MountID, missing: MissingMountPoint)
  /// Become a peer (and slave) of what `of` is (`MOVE_MOUNT_SET_GROUP`).
  case joinGroup(of: Slot, Slot)
  /// The same with a mount outside; done by the engine on the worker's behalf.
  case joinGroupOutside(OutsideSource, mount: MountID, Slot)
  case setPropagation(Slot, Propagation)
  case release(Slot)
  /// `pivot_root` into the mount in the slot; the old tree, staging area included, goes.
  case pivotRoot(Slot)
}

extension RestoreStep: CustomStringConvertible {
  public var description: String {
    switch self {
    case .takeFromOutside(.root, _, let into): "clone --root into \(into)"
    case .takeFromOutside(.path(let path), let id, let into):
      "clone \(path) of the host for mount \(id) into \(into)"
    case .takeFromOutside(.plugin, let id, let into):
      "ask the plugins for mount \(id) into \(into)"
    case .createFileSystem(let new, _, let id, let into):
      "create \(new.type) \(new.source) for mount \(id) into \(into)"
        + (new.parameters.isEmpty
          ? "" : " with " + new.parameters.map(\.description).joined(separator: ","))
    case .cloneNamespaceFile(let kind, let id, let into):
      "clone the \(kind.rawValue) namespace file for mount \(id) into \(into)"
    case .stage(let slot): "stage \(slot)"
    case .unpack(let device, let slot): "unpack the content of \(device) into \(slot)"
    case .setSuperblockFlags(let slot, _): "set the superblock flags of \(slot)"
    case .makePlaceholder(let slot, let name, let isFile, let content):
      "make \(isFile ? "file" : "directory") \(name)\(content) in \(slot), to be unlinked"
    case .removePlaceholder(let slot, let name, let path):
      "unlink \(name) as /\(path) in \(slot)"
    case .makeControlGroup(let slot, let path): "make cgroup \(path) in \(slot) if it is missing"
    case .clone(let origin, let path, let id, let into):
      "clone /\(path) of \(origin) for mount \(id) into \(into)"
    case .setAttributes(let slot, let attributes): "set \(attributes) on \(slot)"
    case .setIDMapping(let slot, _): "map the IDs of \(slot)"
    case .attach(let slot, let at, let path, let id, let missing):
      "attach \(slot) (mount \(id)) at /\(path) of \(at)"
        + (missing == .fail ? "" : ", making the mount point if it is missing")
    case .joinGroup(let from, let slot): "let \(slot) join the peer group of \(from)"
    case .joinGroupOutside(let source, let id, let slot):
      switch source {
      case .root: "let \(slot) (mount \(id)) join the peer group of --root"
      case .path(let path): "let \(slot) (mount \(id)) join the peer group of \(path) of the host"
      case .plugin: "let \(slot) (mount \(id)) join the peer group of its plugin's mount"
      }
    case .setPropagation(let slot, let propagation): "make \(slot) \(propagation.rawValue)"
    case .release(let slot): "release \(slot)"
    case .pivotRoot(let slot): "pivot_root into \(slot) and drop the old tree"
    }
  }
}

/// A restore, decided before the first system call that changes anything.
public struct RestorePlan: Hashable, Sendable, Codable {
  public var steps: [RestoreStep]
  /// The most slots that are open at a time: descriptors the worker needs.
  public var slotCount: Int
  /// What the restored namespace must look like: the table without what was skipped.
  public var expected: MountTable
  /// The kind of each mount of `expected`.
  public var kinds: [MountKind]
  public var findings: [Finding]

  public var problems: [Finding] { findings.filter { $0.severity == .problem } }
}
