extension ModelKernel {
  /// How a copy is related to what it is a copy of.
  enum Relation {
    /// Peer of a shared mount, slave beside a slave: what a bind is.
    case same
    case slave, slaveAndShared
    /// What another user namespace gets: a slave of what is shared.
    case sharedBecomesSlave
  }

  /// A copy of one mount, detached, that shows `root`.
  mutating func clone(_ mount: Int, root: Int, _ relation: Relation) -> Int {
    let copy = newMount(mounts[mount].superblock, root: root)
    mounts[copy].attributes = mounts[mount].attributes
    mounts[copy].lockedFlags = mounts[mount].lockedFlags
    mounts[copy].idMapping = mounts[mount].idMapping
    mounts[copy].isUnbindable = mounts[mount].isUnbindable
    mounts[copy].isLocked = mounts[mount].isLocked
    let group = mounts[mount].group
    switch relation {
    case .same:
      mounts[copy].master = mounts[mount].master
      if let group { join(group, copy) }
    case .sharedBecomesSlave: mounts[copy].master = group ?? mounts[mount].master
    case .slave: mounts[copy].master = group
    case .slaveAndShared:
      mounts[copy].master = group
      share(copy)
    }
    return copy
  }

  /// A copy of a mount from a node on, with what is mounted below that node.
  mutating func copyTree(
    _ mount: Int, from node: Int, _ relation: Relation, keepingUnbindable: Bool = false
  ) -> (top: Int, copies: [Int: Int]) {
    let top = clone(mount, root: node, relation)
    var copies = [mount: top]
    var pending = [mount]
    while let original = pending.popLast() {
      for child in mounts[original].children {
        guard let point = mounts[child].point,
          original != mount || isNode(point, below: node)
        else { continue }
        if mounts[child].isUnbindable && !keepingUnbindable { continue }
        let copy = clone(child, root: mounts[child].root, relation)
        hang(copy, on: copies[original]!, point)
        copies[child] = copy
        pending.append(child)
      }
    }
    return (top, copies)
  }

  /// Makes a mount the child of another at a node, without anything spreading.
  mutating func hang(_ mount: Int, on parent: Int, _ node: Int) {
    mounts[mount].parent = parent
    mounts[mount].point = node
    mounts[parent].children.append(mount)
    childAt[Key(mount: parent, node: node)] = mount
  }

  mutating func unhang(_ mount: Int) {
    guard let parent = mounts[mount].parent, let point = mounts[mount].point else { return }
    mounts[parent].children.removeAll { $0 == mount }
    childAt[Key(mount: parent, node: point)] = nil
    mounts[mount].parent = nil
    mounts[mount].point = nil
  }

  mutating func settle(_ top: Int, in namespace: Int?) {
    for mount in subtree(top) { mounts[mount].namespace = namespace }
  }

  /// Attaches a detached tree at a place that nothing covers; what is shared passes it on.
  mutating func attach(_ top: Int, at place: Place) throws(ModelFailure) {
    guard !nodes[place.node].isUnlinked else { throw .noSuchFileOrDirectory }
    guard nodes[mounts[top].root].isDirectory == nodes[place.node].isDirectory else {
      throw .notDirectory
    }
    // A mount point of something unlinked is made nowhere, not even for what might have to be mounted on it.
    guard !nodes[mounts[top].root].isUnlinked else { throw .noSuchFileOrDirectory }
    let tree = subtree(top)
    let isShared = mounts[place.mount].group != nil
    if isShared, tree.contains(where: { mounts[$0].isUnbindable }) { throw .invalidArgument }
    var copies: [(top: Int, parent: Int)] = []
    if isShared {
      let new = Set(tree.filter { mounts[$0].group == nil })
      for mount in tree { share(mount) }
      if mounts[place.mount].namespace != nil { copies = spread(top, from: place, new) }
    }
    hang(top, on: place.mount, place.node)
    settle(top, in: mounts[place.mount].namespace)
    mounts[top].isLocked = false
    for copy in copies { tuck(copy.top, under: copy.parent, place) }
  }

  /// Hangs a copy that spread on its parent. What was mounted there is mounted on the copy then.
  private mutating func tuck(_ copy: Int, under parent: Int, _ source: Place) {
    let former = childAt[Key(mount: parent, node: source.node)]
    if let former { unhang(former) }
    hang(copy, on: parent, source.node)
    let namespace = mounts[parent].namespace
    settle(copy, in: namespace)
    if owner(of: namespace) != owner(of: mounts[source.mount].namespace) { lockTree(copy) }
    mounts[copy].isLocked = false
    if let former {
      let top = topmost(rootPlace(copy))
      hang(former, on: top.mount, top.node)
    }
  }

  /// Copies for every mount that receives what is mounted at `place`: its peers, and all their slaves.
  ///
  /// What is moved may be a slave of that group itself. It counts as shared only if it was before: `new`
  /// are those that were not.
  private mutating func spread(
    _ top: Int, from place: Place, _ new: Set<Int>
  ) -> [(top: Int, parent: Int)] {
    var made: [(top: Int, parent: Int)] = []
    func receives(_ mount: Int) -> Bool {
      mount != place.mount && mounts[mount].namespace != nil && !mounts[mount].isGone
        && isNode(place.node, below: mounts[mount].root)
    }
    // Each group with the copy that the ones of its slaves are made from.
    var pending: [(group: Int, source: Int)] = [(mounts[place.mount].group!, top)]
    let first = groups[pending[0].group]!.filter(receives)
    for peer in first {
      made.append((copyTree(top, from: mounts[top].root, .same).top, peer))
    }
    while let (group, source) = pending.popLast() {
      // What this spreading has made itself is in no namespace yet, and receives nothing.
      let slaves = mounts.indices.filter {
        mounts[$0].master == group && mounts[$0].namespace != nil
      }
      var slaveGroups: [Int] = []
      for slave in slaves {
        if let own = mounts[slave].group, !new.contains(slave) {
          if !slaveGroups.contains(own) { slaveGroups.append(own) }
        } else if receives(slave) {
          made.append((copyTree(source, from: mounts[source].root, .slave).top, slave))
        }
      }
      for own in slaveGroups {
        var nearest = source
        for member in groups[own]!.filter(receives) {
          let isFirst = nearest == source
          let copy = copyTree(
            nearest, from: mounts[nearest].root, isFirst ? .slaveAndShared : .same
          ).top
          if isFirst { nearest = copy }
          made.append((copy, member))
        }
        pending.append((own, nearest))
      }
    }
    return made
  }

  /// The mounts that receive what is mounted on this one, and what is unmounted from it.
  func receivers(of mount: Int) -> [Int] {
    guard let group = mounts[mount].group else { return [] }
    var found: [Int] = []
    var pending = [group]
    while let here = pending.popLast() {
      found += groups[here] ?? []
      for slave in mounts.indices where mounts[slave].master == here && !mounts[slave].isGone {
        if let own = mounts[slave].group {
          if !pending.contains(own), !found.contains(slave) { pending.append(own) }
        } else {
          found.append(slave)
        }
      }
    }
    return found.filter { $0 != mount }
  }
}
