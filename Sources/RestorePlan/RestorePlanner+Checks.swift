import MountTable

extension RestorePlanner {
  /// Everything that can be known to fail before anything is changed.
  mutating func checkRequest() {
    checkContents()
    checkArchives()
    checkSuperblocks()
    checkParameters()
    checkRoot()
    checkSources()
    checkGroups()
    let explained = Set(findings.filter { $0.severity == .problem }.compactMap(\.mount))
    for (index, kind) in kinds.enumerated() where kind == .unsupported {
      let mount = table.mounts[index]
      if !explained.contains(mount.id) {
        findings.append(Finding("nothing explains this mount", on: mount))
      }
    }
    for index in table.mounts.indices { checkBasis(index) }
    if hostMounts != nil { checkGroupsOutside() }
  }

  /// Whether the mount's root is a path below what stands for its file system.
  private mutating func checkBasis(_ index: Int) {
    if table.mounts[index].isRootDeleted, !table.mounts[index].root.isNormal,
      !table.mounts[index].root.isRoot
    {
      let mount = table.mounts[index]
      findings.append(Finding("its root \"\(mount.root)\" is not a normal path", on: mount))
    }
    let anchor = anchorIndex(of: index)
    guard anchor != index || kinds[index] == .newSuperblock else { return }
    guard anchors[anchor].shown.contains(table.mounts[index].root) else {
      let mount = table.mounts[index]
      findings.append(
        Finding(
          "its root \"\(mount.root)\" is not below that of mount \(table.mounts[anchor].id), which "
            + "stands for its file system: the images are wrong", on: mount))
      return
    }
    if !table.mounts[index].root.isNormal(below: anchors[anchor].shown) {
      let mount = table.mounts[index]
      findings.append(Finding("its root \"\(mount.root)\" is not a normal path", on: mount))
    }
  }

  /// A dump saves every memory file system, if it is empty too; but for one whose mounts show only what
  /// has been unlinked.
  private mutating func checkContents() {
    var isFound: Set<DeviceNumber> = request.archivedDevices
    for index in table.mounts.indices
    where kinds[anchorIndex(of: index)] == .newSuperblock && !table.mounts[index].isRootDeleted {
      guard !isFound.contains(table.mounts[index].device) else { continue }
      let mount = table.mounts[index]
      guard case .memory = FileSystemKind(mount.fileSystem) else { continue }
      isFound.insert(mount.device)
      findings.append(
        Finding(
          "the images hold no content for its file system (\(mount.device))", on: mount,
          cures: ["dump again", "leave it out: --skip-mnt \(mount.mountPoint.asWord)"]))
    }
  }

  private mutating func checkRoot() {
    let mount = table.root
    if request.root == nil {
      let isSaved = request.archivedDevices.contains(mount.device)
      guard case .memory = FileSystemKind(mount.fileSystem), isSaved else {
        findings.append(
          Finding(
            "the images hold no content for the root of the container", on: mount,
            cures: ["name the directory that becomes the root: -r DIR"]))
        return
      }
      if !mount.root.isRoot {
        findings.append(
          Finding(
            "the root shows only \"\(mount.root)\" of its file system", on: mount,
            cures: ["name the directory that becomes the root: -r DIR"]))
      }
      return
    }
    if let host = hostMounts, let root = request.root {
      for below in host.table.mounts
      where below.mountPoint != root && root.contains(below.mountPoint) {
        findings.append(
          Finding(
            "on the host, something is mounted at \(below.mountPoint), below --root; the restore "
              + "would not show it", severity: .note,
            cures: ["unmount it, or bind --root elsewhere without it"]))
      }
      let receives = mount.master.map { groups[$0] == nil } ?? false
      if receives || mount.peerGroup.map({ groups[$0]?.isOutside ?? false }) ?? false {
        noteIfPrivate(root, mount, severity: .note)
      }
    }
  }

  /// The new namespace begins as a copy of the engine's, which goes only at the end.
  mutating func checkMountLimit() {
    guard let limit = request.mountLimit else { return }
    let staged = steps.count { if case .stage = $0 { true } else { false } }
    let needed = (hostMounts?.table.mounts.count ?? 0) + table.mounts.count + staged + 1
    guard needed > limit else { return }
    findings.append(
      Finding(
        "the restore needs \(needed) mounts in a namespace, the host's own among them, and the kernel "
          + "allows \(limit)", cures: ["raise the limit: sysctl fs.mount-max=\(needed + 1000)"]))
  }

  private mutating func checkSources() {
    var usedKeys: Set<KernelString> = []
    var usedPlaces: Set<MountPath> = []
    for (index, kind) in kinds.enumerated() where kind.isExternal {
      let mount = table.mounts[index]
      usedPlaces.insert(mount.mountPoint)
      switch kind {
      case .externalByKey(let key):
        usedKeys.insert(key)
        usedPlaces.insert(MountPath(key.bytes))
        if source(of: index) == nil {
          findings.append(
            Finding(
              "it came from outside under the key \(key), and nothing says what that is here",
              on: mount, cures: ["name it: --external 'mnt[\(key.inOption)]:/host/path'"]))
        }
      case .device(let key):
        usedKeys.insert(key)
        if pathOfDeviceKey[key] == nil {
          findings.append(
            Finding(
              "its device has the key \(key), and nothing says which that is here", on: mount,
              cures: ["name it: --external 'dev[\(key)]:/dev/…'"]))
        }
      case .externalDetected(let path)
      where request.options.detection == nil && sourceOfPath[mount.mountPoint] == nil:
        // Images may come from anywhere: they alone do not say what of this host a container sees.
        findings.append(
          Finding(
            "the images say that it comes from \(path) of the host, which nobody here has allowed",
            on: mount,
            cures: [
              "allow what was detected: --external 'mnt[]'",
              "name its place: --external 'mnt[\(mount.mountPoint.inOption)]:\(path.inOption)'",
            ]))
      case .externalDetected(let path) where sourceOfPath[mount.mountPoint] == nil:
        checkFileSystem(mount, path)
      default: break
      }
      if case .path(let path) = source(of: index) {
        checkOutsideGroup(index, path)
        checkReachable(mount, path)
      }
    }
    for key in Set(pathOfKey.keys).union(pathOfDeviceKey.keys).sorted()
    where !usedKeys.contains(key) {
      findings.append(
        Finding(
          "no external mount of the images has the key \(key)",
          cures: ["leave the option out, or correct the key"]))
    }
    for place in sourceOfPath.keys.sorted() where !usedPlaces.contains(place) {
      findings.append(
        Finding(
          "nothing that came from outside is mounted at \(place) in the images",
          cures: ["leave the option out, or correct the path"]))
    }
  }

  /// What was found on one host may be another thing, or nothing but a directory, on the next.
  private mutating func checkFileSystem(_ mount: Mount, _ path: MountPath) {
    guard let here = hostMounts?.mount(showing: path), here.fileSystem != mount.fileSystem else {
      return
    }
    findings.append(
      Finding(
        "it comes from \(path) of the host, a \(mount.fileSystem), and what is there now is a "
          + "\(here.fileSystem)", on: mount,
        cures: [
          "mount at \(path) what was there",
          "take what is there: --external 'mnt[\(mount.mountPoint.inOption)]:\(path.inOption)'",
        ]))
  }

  /// Mounts that are tied to another group outside than what they are made from: the restore joins the mount
  /// that this host has at the place they show.
  mutating func checkGroupsOutside() {
    for index in table.mounts.indices
    where table.mounts[index].isTiedAtItsPlace && !hasPeersOutside(index) {
      let mount = table.mounts[index]
      let anchor = table.mounts[anchorIndex(of: index)]
      var place = "the host's directory that it shows"
      var cures: [String] = []
      if let path = outsidePath(of: anchorIndex(of: index)),
        let rest = mount.root.relative(to: anchor.root)
      {
        let word = path.appending(rest).asWord
        place = word
        cures.append(
          "make it a shared mount first: mount --bind \(word) \(word) && mount --make-shared \(word)"
        )
      }
      findings.append(
        Finding(
          "it received mounts from outside the container, and \(place) is no mount here from which it could",
          on: mount, cures: cures + ["leave it out: --skip-mnt \(mount.mountPoint.asWord)"]))
    }
  }

  private mutating func checkReachable(_ mount: Mount, _ path: MountPath) {
    let elsewhere =
      "take it from elsewhere: --external 'mnt[\(mount.mountPoint.inOption)]:/host/path'"
    switch request.outside[path] {
    case .unreachable(let reason):
      findings.append(
        Finding(
          "it comes from \(path), which cannot be opened here: \(reason)", on: mount,
          cures: ["make it", elsewhere]))
    case .file where mount.isFile == false:
      findings.append(
        Finding(
          "it is a directory, and \(path), which it comes from, is a file", on: mount,
          cures: [elsewhere]))
    case .directory where mount.isFile == true:
      findings.append(
        Finding(
          "it is a file, and \(path), which it comes from, is a directory", on: mount,
          cures: [elsewhere]))
    default: break
    }
  }

  private mutating func checkOutsideGroup(_ index: Int, _ path: MountPath) {
    let mount = table.mounts[index]
    let needsPeer = mount.peerGroup.map { groups[$0]?.isOutside ?? false } ?? false
    let needsMaster = mount.master.map { groups[$0] == nil } ?? false
    if needsPeer || needsMaster { noteIfPrivate(path, mount, severity: .problem) }
  }

  private mutating func noteIfPrivate(_ path: MountPath, _ mount: Mount, severity: Finding.Severity)
  {
    guard let here = hostMounts?.mount(showing: path), here.peerGroup == nil, here.master == nil
    else { return }
    findings.append(
      Finding(
        "it received mounts from outside, and what it is taken from here, \(path), is private",
        severity: severity, on: mount,
        cures: ["share it on the host first: mount --make-shared \(here.mountPoint)"]))
  }

  private mutating func checkGroups() {
    if let group = groups.circularGroup {
      findings.append(
        Finding("the images are wrong: peer group \(group) is among its own masters"))
    }
    for (id, group) in groups.groups.sorted(by: { $0.key < $1.key }) where !group.isOutside {
      var mounts = group.members + group.plainSlaves
      for slave in group.slaveGroups { mounts += groups[slave]?.members ?? [] }
      let anchor = anchorIndex(of: mounts[0])
      for index in mounts where anchorIndex(of: index) != anchor {
        let mount = table.mounts[index]
        let isSameSuperblock = mount.device == table.mounts[mounts[0]].device
        findings.append(
          Finding(
            isSameSuperblock
              ? "peer group \(id) joins it with mount \(table.mounts[mounts[0]].id), and both come "
                + "from outside separately; no mount of the container shows a root wide enough"
              : "the images are wrong: peer group \(id) has mounts of several file systems",
            on: mount))
        break
      }
    }
  }
}
