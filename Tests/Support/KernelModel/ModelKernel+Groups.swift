/// How a mount passes on what is mounted on it, in the words of `mount(8)`.
public enum ModelPropagation: String, Sendable, CaseIterable {
  case shared, slave, `private`, unbindable
}

extension ModelKernel {
  mutating func join(_ group: Int, _ mount: Int) {
    groups[group, default: []].append(mount)
    mounts[mount].group = group
  }

  /// Becomes the first member of a new group; its master stays.
  mutating func share(_ mount: Int) {
    guard mounts[mount].group == nil else { return }
    join(nextGroup, mount)
    nextGroup += 1
    mounts[mount].isUnbindable = false
  }

  /// Leaves its group. Slaves of a group that is gone receive from that group's master.
  mutating func leaveGroup(_ mount: Int) {
    guard let group = mounts[mount].group else { return }
    mounts[mount].group = nil
    groups[group]?.removeAll { $0 == mount }
    guard groups[group]?.isEmpty == true else { return }
    groups[group] = nil
    for slave in mounts.indices where mounts[slave].master == group {
      mounts[slave].master = mounts[mount].master
    }
  }

  mutating func setPropagation(_ mount: Int, _ propagation: ModelPropagation) {
    switch propagation {
    case .shared: share(mount)
    case .slave:
      guard let group = mounts[mount].group else { return }
      let isLast = groups[group]?.count == 1
      leaveGroup(mount)
      if !isLast { mounts[mount].master = group }
    case .private, .unbindable:
      leaveGroup(mount)
      mounts[mount].master = nil
      mounts[mount].isUnbindable = propagation == .unbindable
    }
  }

  /// `mount --make-…`: the path must be the root of a mount.
  public mutating func changePropagation(
    _ path: String, _ propagation: ModelPropagation, recursive: Bool = false, _ process: Process
  ) throws(ModelFailure) {
    let place = try resolve(path, process)
    guard mounts[place.mount].root == place.node else { throw .invalidArgument }
    for mount in recursive ? subtree(place.mount) : [place.mount] {
      setPropagation(mount, propagation)
    }
  }

  /// `move_mount(MOVE_MOUNT_SET_GROUP)`: `target` becomes a peer, and slave, of what `source` is.
  mutating func setGroup(of source: Int, _ target: Int) throws(ModelFailure) {
    guard mounts[source].superblock == mounts[target].superblock,
      isNode(mounts[target].root, below: mounts[source].root),
      mounts[target].group == nil, mounts[target].master == nil,
      mounts[source].group != nil || mounts[source].master != nil
    else { throw .invalidArgument }
    mounts[target].master = mounts[source].master
    if let group = mounts[source].group {
      mounts[target].isUnbindable = false
      join(group, target)
    }
  }
}
