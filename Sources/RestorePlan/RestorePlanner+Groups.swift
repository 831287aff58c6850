import MountTable

extension RestorePlanner {
  /// Gives the mount in the slot the propagation that the table says.
  mutating func setPropagation(_ index: Int, _ slot: Slot) {
    if table.mounts[index].isUnbindable {
      steps.append(.setPropagation(slot, .unbindable))
    } else if let id = table.mounts[index].peerGroup, let group = groups[id] {
      if group.isOutside {
        joinOutside(index, slot)
      } else if exemplars[id] != nil {
        steps.append(.joinGroup(of: ensureExemplar(id), slot))
        useExemplar(id)
      } else {
        found(group, index, slot)
      }
    } else if let master = table.mounts[index].master {
      if groups[master] != nil {
        joinAsSlave(of: master, index, slot)
      } else {
        joinOutside(index, slot)
        if hasPeersOutside(index) { steps.append(.setPropagation(slot, .slave)) }
      }
    }
  }

  /// The slot becomes the first of its group: slave of the group's master, and shared.
  private mutating func found(_ group: PeerGroups.Group, _ index: Int, _ slot: Slot) {
    if let master = group.master {
      if groups[master] != nil {
        joinAsSlave(of: master, index, slot)
      } else if hasPeersOutside(index) {
        joinOutside(index, slot)
        steps.append(.setPropagation(slot, .slave))
      }
    }
    steps.append(.setPropagation(slot, .shared))
  }

  private mutating func joinAsSlave(of master: PeerGroupID, _ index: Int, _ slot: Slot) {
    if groups[master]!.isOutside {
      guard hasPeersOutside(index) else { return }
      joinOutside(index, slot)
    } else {
      steps.append(.joinGroup(of: ensureExemplar(master), slot))
      useExemplar(master)
    }
    steps.append(.setPropagation(slot, .slave))
  }

  private mutating func joinOutside(_ index: Int, _ slot: Slot) {
    guard hasPeersOutside(index), let source = groupSource(of: index) else { return }
    if case .plugin = source { return }
    steps.append(.joinGroupOutside(source, mount: table.mounts[index].id, slot))
  }

  /// A chain of masters is made from its top down; a loop, since it may be long.
  private mutating func ensureExemplar(_ id: PeerGroupID) -> Slot {
    var chain: [PeerGroupID] = []
    var current: PeerGroupID? = id
    while let group = current, let exemplar = exemplars[group], exemplar.slot == nil {
      chain.append(group)
      current = groups[group]!.master
    }
    for group in chain.reversed() {
      let first = groups[group]!.members[0]
      let anchor = anchorIndex(of: first)
      let origin = ensureAnchor(anchor)
      let slot = newSlot()
      steps.append(.clone(of: origin, path: "", mount: table.mounts[first].id, into: slot))
      exemplars[group]!.slot = slot
      found(groups[group]!, first, slot)
      useAnchor(anchor)
    }
    return exemplars[id]!.slot!
  }

  private mutating func useExemplar(_ id: PeerGroupID) {
    exemplars[id]!.uses -= 1
    if exemplars[id]!.uses == 0, let slot = exemplars[id]!.slot {
      exemplars[id]!.slot = nil
      release(slot)
    }
  }

  /// Exemplars that late mounts will need: after the pivot there is nothing left to clone from.
  mutating func makeRemainingExemplars() {
    for id in exemplars.keys.sorted() where exemplars[id]!.uses > 0 && exemplars[id]!.slot == nil {
      _ = ensureExemplar(id)
    }
  }

  /// After the pivot: the root, and everything that hangs on a group outside.
  mutating func joinLateGroups() {
    for index in late {
      guard let slot = mountSlots[index] else { continue }
      setPropagation(index, slot)
      mountSlots[index] = nil
      release(slot)
    }
  }

  /// Whether what the restore takes from outside for this mount is in a peer group, or a slave: else
  /// there is nothing to join. (Findings have refused it already where that matters.)
  func hasPeersOutside(_ index: Int) -> Bool {
    guard let hostMounts else { return true }
    switch groupSource(of: index) {
    case .plugin: return true
    case .root: return isTied(request.root.flatMap(hostMounts.mount(showing:)))
    case .path(let path): return isTied(hostMounts.mount(showing: path))
    case nil: return false
    }
  }

  private func isTied(_ mount: Mount?) -> Bool {
    mount?.peerGroup != nil || mount?.master != nil
  }

  /// The mount here whose group this one joins: what its anchor is taken from, or the host's mount of that
  /// place of it which this one shows. `nil` where there is none.
  func groupSource(of index: Int) -> OutsideSource? {
    let anchor = anchorIndex(of: index)
    guard anchor != index, table.mounts[index].isTiedAtItsPlace else { return source(of: anchor) }
    guard let hostMounts, let path = outsidePath(of: anchor),
      let rest = table.mounts[index].root.relative(to: table.mounts[anchor].root),
      let here = hostMounts.mount(showing: path.appending(rest)),
      let whole = hostMounts.mount(showing: path), here.id != whole.id,
      here.device == whole.device
    else { return nil }
    return .path(here.mountPoint)
  }

  /// Where outside the anchor is taken from.
  func outsidePath(of anchor: Int) -> MountPath? {
    switch source(of: anchor) {
    case .root: request.root
    case .path(let path): path
    default: nil
    }
  }
}
