import MountTable

/// Finds out what each mount is, and collects every problem on the way.
///
/// One superblock after the other. Its *anchors* are the mounts that the restore can come by
/// without another mount: the namespace root, mounts from outside, and one that shows the root of a
/// file system which can be made anew. Every other mount of that superblock must show a part of what
/// an anchor shows; what no anchor explains is looked for in the engine's namespace, then put to the
/// plugins, and is a problem otherwise.
///
/// Pure but for `askPlugin`. O(n log n).
public struct Classifier {
  var options: MountOptions
  var namespaces: ContainerNamespaces
  var host: HostMounts?
  let places = AnchorPlaces()
  var askPlugin: (Mount) throws -> String?

  /// - Parameters:
  ///   - host: the engine's own mounts, for detection and for peer groups that reach outside.
  ///   - askPlugin: puts DUMP_EXT_MOUNT to the plugins; the name of the one that answered.
  public init(
    options: MountOptions, namespaces: ContainerNamespaces = .init(), host: MountTable? = nil,
    askPlugin: @escaping (Mount) throws -> String? = { _ in nil }
  ) {
    self.options = options
    self.namespaces = namespaces
    self.host = host.map(HostMounts.init)
    self.askPlugin = askPlugin
  }

  /// Classifies the mounts of a live container, or of an image (whose mounts know their mooring).
  ///
  /// - Throws: only what `askPlugin` throws.
  public func classify(_ whole: MountTable) throws -> Classification {
    var findings: [Finding] = []
    let table = withoutSkipped(whole, &findings)
    var kinds = [MountKind?](repeating: nil, count: table.mounts.count)
    kinds[table.rootIndex] = .namespaceRoot
    takeMoorings(table, &kinds)
    takeMappings(table, &kinds, &findings)
    let groups = Set(table.mounts.lazy.compactMap(\.peerGroup))
    for superblock in superblocks(of: table) {
      try classifySuperblock(superblock, table, groups, &kinds, &findings)
    }
    var result = Classification(
      table: table, kinds: kinds.map { $0 ?? .unsupported }, findings: findings)
    checkPropagation(&result)
    checkOwners(&result)
    checkUserNamespace(&result.findings)
    if host != nil { noteRoot(table, &result.findings) }
    return result
  }

  /// Indices of the mounts of each superblock, in the order of their first mount.
  private func superblocks(of table: MountTable) -> [[Int]] {
    var groupOfDevice: [DeviceNumber: Int] = [:]
    var groups: [[Int]] = []
    for index in table.mounts.indices {
      let device = table.mounts[index].device
      if let group = groupOfDevice[device] {
        groups[group].append(index)
      } else {
        groupOfDevice[device] = groups.count
        groups.append([index])
      }
    }
    return groups
  }

  private func classifySuperblock(
    _ group: [Int], _ table: MountTable, _ groups: Set<PeerGroupID>, _ kinds: inout [MountKind?],
    _ findings: inout [Finding]
  ) throws {
    let mounts = table.mounts
    let fileSystem = FileSystemKind(mounts[group[0]].fileSystem)
    var anchors = Anchors()
    for index in group where kinds[index] != nil { anchors.add(mounts[index].root, index) }
    // Widest first, so that what is shown as a whole explains its parts.
    let order = group.filter { kinds[$0] == nil }.map { index in
      (mounts[index].isRootDeleted ? 1 : 0, mounts[index].root.depth, mounts[index].id, index)
    }.sorted(by: <)
    var isMadeAnew = false
    for (_, _, _, index) in order {
      let isPassing = isPassing(mounts[index])
      if !isPassing, let anchor = anchors.containing(mounts[index].root) {
        if tie(mounts[index], mounts[anchor], groups) == .elsewhere,
          let detected = detect(mounts[index])
        {
          kinds[index] = .externalDetected(path: detected)
        } else {
          kinds[index] = .bind(of: mounts[anchor].id)
        }
        continue
      }
      let mount = mounts[index]
      let isWhole = mount.root.isRoot && !mount.isRootDeleted
      let canBeMade = isWhole && fileSystem.canBeMade
      let kind: MountKind
      if !canBeMade || belongsToHost(mount, groups), let detected = detect(mount) {
        kind = .externalDetected(path: detected)
      } else if case .namespaceFiles = fileSystem, let own = ownNamespace(mount) {
        kind = .namespaceFile(own)
      } else if canBeMade {
        kind = .newSuperblock
        noteIfOutside(mount, fileSystem, &findings)
      } else if case .controlGroup = fileSystem {
        kind = .newSuperblock
      } else if let plugin = try askPlugin(mount) {
        kind = .externalByPlugin(plugin)
      } else if case .memory = fileSystem, host?.hasDevice(mount.device) != true {
        kind = .newSuperblock  // Its root was unmounted; what binds show of it is all there is.
      } else if isWhole && isEnabled(mount) {
        kind = .newSuperblock
      } else {
        kinds[index] = .unsupported
        findings.append(isPassing ? gone(mount) : unexplained(mount))
        continue
      }
      kinds[index] = kind
      if kind == .newSuperblock && !isMadeAnew {
        isMadeAnew = true
        checkLengths(mount, &findings)
        anchors.add(shownByNew(mount, fileSystem), index)
      } else {
        anchors.add(mount.root, index)
      }
    }
  }

  /// What the superblock shows once it is made anew: all of it, but for a cgroup hierarchy in a
  /// cgroup namespace of its own, where it is the container's cgroup.
  private func shownByNew(_ mount: Mount, _ fileSystem: FileSystemKind) -> MountPath {
    if case .controlGroup = fileSystem, namespaces.own[.cgroup] != nil { return mount.root }
    return .root
  }

  private func isEnabled(_ mount: Mount) -> Bool {
    options.enabledFileSystems.contains(mount.fileSystem)
      || options.enabledFileSystems.contains("all")
  }

  private func ownNamespace(_ mount: Mount) -> NamespaceKind? {
    let name = mount.root.description
    return namespaces.own.first { kind, inode in
      kind != .mount && name == "\(kind.rawValue):[\(inode)]"
    }?.key
  }

  private func noteIfOutside(
    _ mount: Mount, _ fileSystem: FileSystemKind, _ findings: inout [Finding]
  ) {
    guard case .memory = fileSystem, host?.hasDevice(mount.device) == true else { return }
    findings.append(
      Finding(
        "this \(mount.fileSystem) is mounted outside the container too; the restore makes a copy "
          + "of its own", severity: .note, on: mount,
        cures: ["to keep it common, map it: \(mapping(mount))"]))
  }

  private func detect(_ mount: Mount) -> MountPath? {
    guard mount.mooring == nil, let flags = options.detection, let host,
      let path = host.pathShowing(mount)
    else { return nil }
    if let group = mount.peerGroup, host.hasGroup(group), !flags.sharing { return nil }
    if let master = mount.master, host.hasGroup(master), !flags.masters { return nil }
    return path
  }

  /// Whether a mount of a file system that can be made anew would not be the same: terminals of the host, or
  /// what the host mounts there from then on.
  private func belongsToHost(_ mount: Mount, _ groups: Set<PeerGroupID>) -> Bool {
    guard let host, host.hasDevice(mount.device) else { return false }
    return mount.fileSystem == "devpts" || groupOutside(mount, groups).map(host.hasGroup) ?? false
  }

  private func takeMoorings(_ table: MountTable, _ kinds: inout [MountKind?]) {
    for index in table.mounts.indices where kinds[index] == nil {
      switch table.mounts[index].mooring {
      case .key(let key): kinds[index] = .externalByKey(key)
      case .detected(let path): kinds[index] = .externalDetected(path: path)
      case .device(let key): kinds[index] = .device(key)
      case .plugin: kinds[index] = .externalByPlugin("")
      case nil: break
      }
    }
  }

  private func unexplained(_ mount: Mount) -> Finding {
    let what = "\(mount.fileSystem) on \(mount.source)"
    let mapped = mapping(mount)
    if mount.root.isRoot && !mount.isRootDeleted {
      var cures = ["map it: \(mapped)"]
      if mount.device.major != 0 || mount.source.bytes.starts(with: "/dev/".utf8) {
        let number = "\(mount.device.major)/\(mount.device.minor)"
        cures.append("name its device: --external 'dev[\(number)]:KEY'")
      }
      if mount.fileSystem != "autofs" {
        let condition = mount.fileSystem == "overlay" ? ", if its layers lie in the container" : ""
        cures.append("let it be mounted anew\(condition): --enable-fs \(mount.fileSystem.asWord)")
      }
      cures.append("leave it out: --skip-mnt \(mount.mountPoint.asWord)")
      return Finding("the restore cannot make its file system (\(what))", on: mount, cures: cures)
    }
    return Finding(
      "it shows \"\(mount.root)\" of a file system (\(what)) whose root no mount of the container "
        + "shows, and no mapping or plugin explains it", on: mount,
      cures: ["map it: \(mapped)"] + detection(mount)
        + ["give a plugin that answers for it: -L DIR"])
  }
}

extension Classifier {
  /// The option that finds the mount in the engine's namespace, where it is there.
  private func detection(_ mount: Mount) -> [String] {
    guard let host, host.pathShowing(mount) != nil else { return [] }
    let sharing = mount.peerGroup.map { host.hasGroup($0) } ?? false
    let masters = mount.master.map { host.hasGroup($0) } ?? false
    let letters = (masters ? "m" : "") + (sharing ? "s" : "")
    return [
      "take it from the engine's namespace: --external 'mnt[]\(letters.isEmpty ? "" : ":")\(letters)'"
    ]
  }
}

/// The option that maps a mount.
func mapping(_ mount: Mount) -> String { "--external 'mnt[\(mount.mountPoint.inOption)]:KEY'" }

/// What the anchors of one superblock show; finds the widest one that contains a root.
private struct Anchors {
  private var indexOfRoot: [MountPath: Int] = [:]

  mutating func add(_ root: MountPath, _ index: Int) {
    if indexOfRoot[root] == nil { indexOfRoot[root] = index }
  }

  func containing(_ root: MountPath) -> Int? {
    guard !indexOfRoot.isEmpty else { return nil }
    if let whole = indexOfRoot[.root], root.isAbsolute { return whole }
    if indexOfRoot.count == 1, let only = indexOfRoot.first {
      return only.key == root || only.key.contains(root) ? only.value : nil
    }
    var best: Int?
    var path: MountPath? = root
    while let current = path {
      if let index = indexOfRoot[current] { best = index }
      path = current.isAbsolute ? current.parent : nil
    }
    return best
  }
}
