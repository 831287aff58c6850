import MountTable

extension ModelKernel {
  /// A new file system on a path; `mount(2)`.
  public mutating func mountNew(
    _ type: String, source: String? = nil, options: String = "", isReadOnly: Bool = false,
    attributes: MountAttributes = .init(), at path: String, _ process: Process
  ) throws(ModelFailure) {
    let place = topmost(try resolve(path, process))
    try mayMount(process)
    guard !nodes[place.node].isUnlinked else { throw .noSuchFileOrDirectory }
    guard nodes[place.node].isDirectory else { throw .notDirectory }
    let mount = create(
      type, source: source ?? type, options: options, isReadOnly: isReadOnly,
      attributes: attributes)
    try attach(mount, at: place)
  }

  /// `fsopen` to `fsmount`: a new file system, detached.
  mutating func create(
    _ type: String, source: String, options: String, isReadOnly: Bool,
    attributes: MountAttributes
  ) -> Int {
    let superblock = newSuperblock(
      type: type, source: source, options: options, isReadOnly: isReadOnly)
    let mount = newMount(superblock, root: superblocks[superblock].root)
    mounts[mount].attributes = attributes
    return mount
  }

  /// `mount --bind` and `--rbind`.
  public mutating func bind(
    _ source: String, at path: String, recursive: Bool = false, _ process: Process
  ) throws(ModelFailure) {
    let from = try resolve(source, process)
    let place = topmost(try resolve(path, process))
    try mayMount(process)
    guard !nodes[place.node].isUnlinked else { throw .noSuchFileOrDirectory }
    let top = try openTree(from, recursive: recursive, process)
    do throws(ModelFailure) { try attach(top, at: place) } catch {
      dissolve(top)
      throw error
    }
  }

  /// `open_tree(OPEN_TREE_CLONE)`: a copy of what is at a place, detached, in the same groups.
  mutating func openTree(
    _ place: Place, recursive: Bool, _ process: Process
  ) throws(ModelFailure) -> Int {
    guard !mounts[place.mount].isUnbindable else { throw .invalidArgument }
    if !recursive, hasLockedChildren(place) { throw .invalidArgument }
    let top =
      recursive
      ? copyTree(place.mount, from: place.node, .same).top
      : clone(place.mount, root: place.node, .same)
    mounts[top].isLocked = false
    return top
  }

  private func hasLockedChildren(_ place: Place) -> Bool {
    mounts[place.mount].children.contains {
      mounts[$0].isLocked && isNode(mounts[$0].point!, below: place.node)
    }
  }

  /// `mount --move`.
  public mutating func move(
    _ source: String, to path: String, _ process: Process
  ) throws(ModelFailure) {
    let from = try resolve(source, process)
    let place = topmost(try resolve(path, process))
    try mayMount(process)
    guard !nodes[place.node].isUnlinked else { throw .noSuchFileOrDirectory }
    let mount = from.mount
    guard mounts[mount].root == from.node, let parent = mounts[mount].parent,
      !mounts[mount].isLocked, mounts[parent].group == nil
    else { throw .invalidArgument }
    guard nodes[mounts[mount].root].isDirectory == nodes[place.node].isDirectory else {
      throw .invalidArgument
    }
    if mounts[place.mount].group != nil,
      subtree(mount).contains(where: { mounts[$0].isUnbindable })
    {
      throw .invalidArgument
    }
    guard !subtree(mount).contains(place.mount) else { throw .tooManySymbolicLinkLevels }
    guard !nodes[mounts[mount].root].isUnlinked else { throw .noSuchFileOrDirectory }
    unhang(mount)
    try attach(mount, at: place)
  }

  /// `umount`: of something on which nothing is mounted; what spread from it goes as well, where nothing
  /// is mounted on it, and lets down what covers it.
  public mutating func unmount(_ path: String, _ process: Process) throws(ModelFailure) {
    let place = try resolve(path, process)
    let mount = place.mount
    guard mounts[mount].root == place.node, let parent = mounts[mount].parent,
      let point = mounts[mount].point, !mounts[mount].isLocked
    else { throw .invalidArgument }
    guard mounts[mount].children.isEmpty else { throw .resourceBusy }
    let others = receivers(of: parent).compactMap { childAt[Key(mount: $0, node: point)] }
    dissolve(mount)
    for other in others where mounts[other].superblock == mounts[mount].superblock {
      let children = mounts[other].children
      let cover = childAt[Key(mount: other, node: mounts[other].root)]
      guard children.isEmpty || children == [cover].compactMap(\.self) else { continue }
      let (below, node) = (mounts[other].parent!, mounts[other].point!)
      if let cover { unhang(cover) }
      dissolve(other)
      if let cover { hang(cover, on: below, node) }
    }
  }

  /// Takes a tree out of everything: what `umount2(MNT_DETACH)` of its top does, or the last close of a
  /// detached one.
  mutating func dissolve(_ top: Int) {
    let tree = subtree(top)
    unhang(top)
    for mount in tree {
      leaveGroup(mount)
      mounts[mount].master = nil
      mounts[mount].namespace = nil
      mounts[mount].isGone = true
      if mount != top { unhang(mount) }
    }
  }
}
