import MountTable

/// What a mount is to a dump: how the restore will come by it.
public enum MountKind: Hashable, Sendable, Codable {
  /// The root of the namespace: a clone of `--root`.
  case namespaceRoot
  /// Shows a file system that the restore makes anew.
  case newSuperblock
  /// Shows a part of a file system that another mount of the table stands for.
  case bind(of: MountID)
  /// A device the user gave a key for.
  case device(KernelString)
  /// From outside, under a key of the user's.
  case externalByKey(KernelString)
  /// From outside: seen in the engine's own namespace at `path`.
  case externalDetected(path: MountPath)
  /// From outside: a plugin answered for it.
  case externalByPlugin(String)
  /// A file of one of the container's own namespaces (nsfs).
  case namespaceFile(NamespaceKind)
  case unsupported

  public var isExternal: Bool {
    switch self {
    case .device, .externalByKey, .externalDetected, .externalByPlugin: true
    default: false
    }
  }
}

extension MountKind: CustomStringConvertible {
  public var description: String {
    switch self {
    case .namespaceRoot: "root"
    case .newSuperblock: "new"
    case .bind(let id): "bind of \(id)"
    case .device(let key): "device \(key)"
    case .externalByKey(let key): "external \(key)"
    case .externalDetected(let path): "external from \(path)"
    case .externalByPlugin(let name): "external by plugin \(name)"
    case .namespaceFile(let kind): "namespace file (\(kind.rawValue))"
    case .unsupported: "unsupported"
    }
  }
}

/// A table with the kind of each of its mounts, and all problems at once.
public struct Classification: Sendable {
  public var table: MountTable
  /// One kind a mount, in table order.
  public var kinds: [MountKind]
  public var findings: [Finding]

  public var problems: [Finding] { findings.filter { $0.severity == .problem } }

  /// The superblocks whose content the dump saves: memory file systems that are made anew, that of the root
  /// among them if the root shows all of it.
  public var savedDevices: Set<DeviceNumber> {
    var devices: Set<DeviceNumber> = []
    for (index, kind) in kinds.enumerated() {
      let mount = table.mounts[index]
      let isWholeRoot = kind == .namespaceRoot && mount.root.isRoot && !mount.isRootDeleted
      guard kind == .newSuperblock || isWholeRoot else { continue }
      if case .memory = FileSystemKind(mount.fileSystem) { devices.insert(mount.device) }
    }
    return devices
  }

  /// Where the mount stands that stands for the superblock of the one at `index`.
  public func anchorIndex(of index: Int) -> Int {
    if case .bind(let id) = kinds[index], let anchor = table.index(of: id) { return anchor }
    return index
  }

  /// Mounts of something unlinked that the restore has to make again: on what it makes itself, and on the
  /// container's root. By index, with the index of the mount that stands for their file system.
  public var unlinkedRoots: [(index: Int, anchor: Int)] {
    table.mounts.indices.compactMap { index in
      guard table.mounts[index].isRootDeleted, index != table.rootIndex else { return nil }
      let anchor = anchorIndex(of: index)
      switch kinds[anchor] {
      case .newSuperblock, .namespaceRoot: return (index, anchor)
      default: return nil
      }
    }
  }

  /// The table as an image holds it: each external mount with its mooring.
  ///
  /// - Parameters:
  ///   - isFile: whether a mount shows a file, for those that somebody looked at.
  ///   - unlinkedAs: `Mount.unlinkedAs` of those whose root has been unlinked.
  public func moored(
    isFile: [MountID: Bool], unlinkedAs: [MountID: MountID] = [:]
  ) -> MountTable {
    var saved = table
    saved.annotate(unlinkedAs.keys.compactMap { table.index(of: $0) }) {
      $0.unlinkedAs = unlinkedAs[$0.id]
    }
    saved.annotate(isFile.keys.compactMap { table.index(of: $0) }) { $0.isFile = isFile[$0.id] }
    for (index, kind) in kinds.enumerated() where kind.isExternal {
      saved.annotate(CollectionOfOne(index)) { mount in
        switch kind {
        case .device(let key): mount.mooring = .device(key)
        case .externalByKey(let key): mount.mooring = .key(key)
        case .externalDetected(let path): mount.mooring = .detected(path: path)
        case .externalByPlugin: mount.mooring = .plugin(isFile: mount.isFile)
        default: break
        }
      }
    }
    return saved
  }
}
