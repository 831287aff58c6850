import MountTable

/// The peer groups of a table as a forest: who belongs to which, who receives from whom.
struct PeerGroups {
  struct Group {
    var members: [Int] = []
    /// Slaves that belong to no group themselves.
    var plainSlaves: [Int] = []
    /// Groups that receive from this one.
    var slaveGroups: [PeerGroupID] = []
    var master: PeerGroupID?
    /// Has members outside, which the restore joins.
    var isOutside = false
    /// Depends on a group outside, itself or through its masters: joined at the very end.
    var isLate = false
  }

  private(set) var groups: [PeerGroupID: Group] = [:]

  init(_ table: MountTable) {
    for (index, mount) in table.mounts.enumerated() {
      guard let id = mount.peerGroup else { continue }
      groups[id, default: Group()].members.append(index)
      if let master = mount.master { groups[id]!.master = master }
      if mount.isPeerGroupOutside { groups[id]!.isOutside = true }
    }
    for (index, mount) in table.mounts.enumerated() {
      if mount.peerGroup == nil, let master = mount.master, groups[master] != nil {
        groups[master]!.plainSlaves.append(index)
      }
    }
    for (id, group) in groups.sorted(by: { $0.key < $1.key }) {
      if let master = group.master, groups[master] != nil, master != id {
        groups[master]!.slaveGroups.append(id)
      }
    }
    markLate()
  }

  subscript(id: PeerGroupID) -> Group? { groups[id] }

  /// Whether joining must wait until nothing more will be mounted.
  func isLate(_ mount: Mount) -> Bool {
    if let id = mount.peerGroup { return groups[id]?.isLate ?? false }
    guard let master = mount.master else { return false }
    return groups[master]?.isLate ?? true
  }

  private mutating func markLate() {
    var pending = groups.filter { _, group in
      group.isOutside || group.master.map { groups[$0] == nil } ?? false
    }.map(\.key)
    while let id = pending.popLast() {
      guard groups[id]?.isLate == false else { continue }
      groups[id]!.isLate = true
      pending.append(contentsOf: groups[id]!.slaveGroups)
    }
  }

  /// Whether the masters run in a circle, which no kernel allows.
  var circularGroup: PeerGroupID? {
    var state: [PeerGroupID: Int] = [:]
    for start in groups.keys.sorted() {
      var path: [PeerGroupID] = []
      var current: PeerGroupID? = start
      while let id = current, groups[id] != nil, state[id] != 2 {
        if state[id] == 1 { return id }
        state[id] = 1
        path.append(id)
        current = groups[id]!.master
      }
      for id in path { state[id] = 2 }
    }
    return nil
  }
}
