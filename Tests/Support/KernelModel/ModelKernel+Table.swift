import MountTable

extension ModelKernel {
  /// What `/proc/PID/mountinfo` says to the process: the mounts that its root reaches.
  public func table(_ process: Process) throws -> MountTable {
    var found: [Mount] = []
    var pending = [(process.root.mount, "/", process.root.node)]
    while let (mount, point, from) = pending.popLast() {
      found.append(value(of: mount, at: point, root: mount == process.root.mount ? from : nil))
      for child in mounts[mount].children {
        guard let node = mounts[child].point, isNode(node, below: from) else { continue }
        let rest = path(of: node, below: from)
        let place = rest.isEmpty ? point : (point == "/" ? "" : point) + "/" + rest
        pending.append((child, place, mounts[child].root))
      }
    }
    return try MountTable(found.sorted { $0.id < $1.id })
  }

  private func value(of index: Int, at point: String, root: Int?) -> Mount {
    let record = mounts[index]
    let superblock = superblocks[record.superblock]
    var mount = Mount(
      id: MountID(record.id), parent: MountID(record.parent.map { mounts[$0].id } ?? 1),
      device: superblock.device, root: MountPath(rootPath(of: record.root)),
      mountPoint: MountPath(point), attributes: record.attributes,
      fileSystem: KernelString(superblock.type), source: KernelString(superblock.source),
      superblockFlags: superblock.isReadOnly ? .readOnly : [],
      superblockOptions: KernelString(superblock.options))
    mount.isRootDeleted = nodes[record.root].isUnlinked
    mount.isFile = !nodes[record.root].isDirectory
    mount.isUnbindable = record.isUnbindable
    mount.peerGroup = record.group.map { PeerGroupID(UInt32($0)) }
    mount.master = record.master.map { PeerGroupID(UInt32($0)) }
    mount.idMapping = record.idMapping
    return mount
  }

  /// A description of what the process sees in which nothing is a number of the machine's: two are equal
  /// exactly if the trees are the same.
  public func portrait(_ process: Process) throws -> [String] {
    ModelPortrait(try table(process)).lines
  }

  func content(of device: DeviceNumber) -> [String] {
    superblocks.indices.first { superblocks[$0].device == device }.map { content(of: $0) } ?? []
  }
}

/// A mount tree without the machine's numbers. Written for comparing, independently of
/// `MountTreeComparison`.
public struct ModelPortrait {
  public private(set) var lines: [String] = []
  /// What each superblock is called in them.
  public private(set) var names: [DeviceNumber: String]

  /// - Parameters:
  ///   - outside: superblocks of the host's, by what they are called.
  ///   - outsideGroups: peer groups of the host's, whose numbers stay.
  ///   - isRootOfHost: leaves out what the root's file system is, and where in it the root lies.
  public init(
    _ table: MountTable, outside: [DeviceNumber: String] = [:],
    outsideGroups: Set<PeerGroupID> = [], isRootOfHost: Bool = false
  ) {
    var order: [(index: Int, path: String)] = []
    var stack = [(table.rootIndex, "")]
    while let (index, path) = stack.popLast() {
      order.append((index, path))
      for child in table.children(of: index) {
        let mount = table.mounts[child]
        let own = path + "|" + mount.mountPoint.description
        stack.append((child, own))
      }
    }
    order.sort { $0.path < $1.path }
    var groupNames: [PeerGroupID: String] = [:]
    for group in outsideGroups { groupNames[group] = "host-\(group)" }
    names = outside
    for (index, _) in order {
      let mount = table.mounts[index]
      if let group = mount.peerGroup, groupNames[group] == nil {
        groupNames[group] = "G\(groupNames.count)"
      }
      if names[mount.device] == nil {
        names[mount.device] = "S\(names.count - outside.count)"
      }
    }
    for (index, path) in order {
      let mount = table.mounts[index]
      var root = mount.root
      var fileSystem = "\(mount.fileSystem) \(mount.source) \(mount.superblockFlags)"
      if isRootOfHost, mount.device == table.root.device {
        root = MountPath.root.appending(root.relative(to: table.root.root) ?? [])
        fileSystem = "root"
      } else {
        // What tmpfs adds by itself on machines of 64 bits.
        let words = mount.superblockOptions.description.split(separator: ",")
          .filter { $0 != "inode64" }.sorted()
        fileSystem += " " + words.joined(separator: ",")
      }
      let group = mount.peerGroup.flatMap { groupNames[$0] }.map { " shared:\($0)" } ?? ""
      let master = mount.master.map { " master:\(groupNames[$0] ?? "unknown")" } ?? ""
      lines.append(
        "\(path.isEmpty ? "/" : path) \(names[mount.device]!):\(root)"
          + (mount.isRootDeleted ? "//deleted" : "") + " \(mount.attributes)" + group + master
          + (mount.isUnbindable ? " unbindable" : "")
          + (mount.idMapping == nil ? "" : " mapped")
          + " - " + fileSystem)
    }
  }
}
