import MountTable

extension ModelKernel {
  func owner(of namespace: Int?) -> Int { namespace.map { namespaces[$0].owner } ?? 0 }

  /// Whether the process has its rights over the namespace's owner.
  private func mayMount(in namespace: Int, _ process: Process) -> Bool {
    var current: Int? = owner(of: namespace)
    while let user = current {
      if user == process.user { return true }
      current = users[user]
    }
    return false
  }

  func mayMount(_ process: Process) throws(ModelFailure) {
    guard mayMount(in: process.namespace, process) else { throw .notPermitted }
  }

  /// What came from a more privileged namespace cannot be taken apart, nor get back what it lost.
  mutating func lockTree(_ top: Int) {
    for mount in subtree(top) {
      mounts[mount].isLocked = true
      mounts[mount].lockedFlags.formUnion(mounts[mount].attributes.flags)
    }
  }

  /// `unshare(CLONE_NEWNS)`, with `newUser` also `CLONE_NEWUSER`: copies of all mounts.
  public mutating func unshare(_ process: Process, newUser: Bool = false) -> Process {
    var copy = process
    if newUser {
      users.append(process.user)
      copy.user = users.count - 1
    }
    let isOther = copy.user != owner(of: process.namespace)
    let (top, copies) = copyTree(
      namespaces[process.namespace].root, from: mounts[namespaces[process.namespace].root].root,
      isOther ? .sharedBecomesSlave : .same, keepingUnbindable: true)
    namespaces.append(Namespace(owner: copy.user, root: top))
    copy.namespace = namespaces.count - 1
    settle(top, in: copy.namespace)
    if isOther { lockTree(top) }
    if let root = copies[process.root.mount] {
      copy.root = Place(mount: root, node: process.root.node)
    }
    return copy
  }

  /// `mount_setattr` of one mount: sets, takes away nothing that is locked.
  mutating func setAttributes(
    _ mount: Int, _ attributes: MountAttributes
  ) throws(ModelFailure) {
    guard attributes.flags.isSuperset(of: mounts[mount].lockedFlags) else { throw .notPermitted }
    mounts[mount].attributes = attributes
  }

  /// Adds flags to the mount at a path.
  public mutating func addFlags(
    _ path: String, _ flags: MountAttributes.Flags, _ process: Process
  ) throws(ModelFailure) {
    let place = try resolve(path, process)
    guard mounts[place.mount].root == place.node else { throw .invalidArgument }
    mounts[place.mount].attributes.flags.formUnion(flags)
  }

  /// `mount -o remount,ro`: of the superblock, and in place of the flags of the mount.
  public mutating func makeReadOnly(_ path: String, _ process: Process) throws(ModelFailure) {
    let place = try resolve(path, process)
    guard mounts[place.mount].root == place.node else { throw .invalidArgument }
    // What was unlinked and is held would have to be removed from it some day.
    let superblock = mounts[place.mount].superblock
    guard
      !mounts.contains(where: {
        !$0.isGone && $0.superblock == superblock && nodes[$0.root].isUnlinked
      })
    else { throw .resourceBusy }
    try setAttributes(place.mount, MountAttributes(.readOnly))
    superblocks[superblock].isReadOnly = true
  }

  /// `MOUNT_ATTR_IDMAP`: of a detached mount, once.
  mutating func setIDMapping(_ mount: Int, _ mapping: IDMapping) throws(ModelFailure) {
    guard mounts[mount].namespace == nil else { throw .invalidArgument }
    guard mounts[mount].idMapping == nil else { throw .notPermitted }
    mounts[mount].idMapping = mapping
  }

  /// `chdir` into a mount, `pivot_root(".", ".")`: the process's root changes places with it. Gives back
  /// the mount that was the root, which lies over the new one.
  mutating func pivot(into mount: Int, _ process: inout Process) throws(ModelFailure) -> Int {
    let old = process.root.mount
    guard let parent = mounts[mount].parent, let point = mounts[mount].point,
      mounts[mount].namespace == process.namespace, mounts[old].root == process.root.node,
      mount != old
    else { throw mount == old ? .resourceBusy : .invalidArgument }
    let aboveOld = mounts[old].parent
    guard mounts[mount].group == nil, mounts[parent].group == nil,
      aboveOld.map({ mounts[$0].group == nil }) ?? true, !mounts[mount].isLocked
    else { throw .invalidArgument }
    guard !nodes[mounts[mount].root].isUnlinked else { throw .noSuchFileOrDirectory }
    _ = point
    let oldPoint = mounts[old].point
    unhang(mount)
    unhang(old)
    if let aboveOld, let oldPoint {
      hang(mount, on: aboveOld, oldPoint)
    } else {
      namespaces[process.namespace].root = mount
    }
    let cover = topmost(rootPlace(mount))
    hang(old, on: cover.mount, cover.node)
    process.root = rootPlace(mount)
    return old
  }
}
