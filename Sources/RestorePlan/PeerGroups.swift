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
    let mounts = table.mounts
    for index in mounts.indices {
      guard let id = mounts[index].peerGroup else { continue }
      groups[id, default: Group()].members.append(index)
      if let master = mounts[index].master { groups[id]!.master = master }
      if mounts[index].isPeerGroupOutside { groups[id]!.isOutside = true }
    }
    for index in mounts.indices {
      if mounts[index].peerGroup == nil, let master = mounts[index].master, groups[master] != nil {
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

  /// Whether joining must wait until nothing more will be mounted, for a mount of these groups.
  func isLate(_ group: PeerGroupID?, slaveOf master: PeerGroupID?) -> Bool {
    if let group { return groups[group]?.isLate ?? false }
    guard let master else { return false }
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
