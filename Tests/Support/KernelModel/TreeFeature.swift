import MountTable

/// What a mount tree can have, for counting how often generated ones do.
public enum TreeFeature: String, CaseIterable, Sendable {
  case shared
  case slave
  case slaveAndShared = "slave and shared"
  case unbindable
  case peers = "several peers"
  case chainOfMasters = "a chain of three masters"
  case peersWithoutCommonRoot = "peers without a common root"
  case masterOutside = "a master outside"
  case peerOutside = "a peer outside"
  case overmount
  case coveredRoot = "the root covered"
  case hidingSibling = "a hiding sibling"
  case deletedDirectory = "a deleted directory"
  case deletedFile = "a deleted file"
  case fileBind = "a file"
  case bindOfPart = "a bind of a part"
  case noRootMount = "no root mount"
  case external
  case nested = "four mounts deep"
  case readOnlyMount = "a read-only mount"
  case readOnlySuperblock = "a read-only superblock"
  case otherFlags = "other flags"
  case options
  case sharedRoot = "the root shared"
  case many = "fifty mounts"

  /// Those that a table has.
  public static func of(_ table: MountTable, host: MountTable) -> Set<TreeFeature> {
    var found: Set<TreeFeature> = []
    let hostGroups = Set(host.mounts.compactMap(\.peerGroup))
    let hostDevices = Set(host.mounts.map(\.device)).subtracting([table.root.device])
    var depth = [Int](repeating: 0, count: table.mounts.count)
    for index in table.preorder {
      let mount = table.mounts[index]
      note(mount, &found)
      if mount.peerGroup.map(hostGroups.contains) == true { found.insert(.peerOutside) }
      if mount.master.map(hostGroups.contains) == true { found.insert(.masterOutside) }
      if hostDevices.contains(mount.device) { found.insert(.external) }
      guard let parent = table.parentIndex(of: index) else { continue }
      depth[index] = depth[parent] + 1
      if depth[index] >= 4 { found.insert(.nested) }
      if mount.mountPoint == table.mounts[parent].mountPoint {
        found.insert(mount.mountPoint.isRoot ? .coveredRoot : .overmount)
      }
      let siblings = table.children(of: parent)
      let hides = siblings.contains {
        $0 != index && mount.mountPoint.contains(table.mounts[$0].mountPoint)
      }
      if hides, mount.mountPoint != table.mounts[parent].mountPoint {
        found.insert(.hidingSibling)
      }
    }
    if table.root.peerGroup != nil { found.insert(.sharedRoot) }
    if table.mounts.count >= 50 { found.insert(.many) }
    noteGroups(table, &found)
    return found
  }

  private static func note(_ mount: Mount, _ found: inout Set<TreeFeature>) {
    switch (mount.peerGroup, mount.master) {
    case (.some, .some): found.insert(.slaveAndShared)
    case (.some, nil): found.insert(.shared)
    case (nil, .some): found.insert(.slave)
    default: break
    }
    if mount.isUnbindable { found.insert(.unbindable) }
    if mount.isRootDeleted { found.insert(mount.isFile == true ? .deletedFile : .deletedDirectory) }
    if mount.isFile == true { found.insert(.fileBind) }
    if !mount.root.isRoot, mount.fileSystem == "tmpfs" { found.insert(.bindOfPart) }
    if mount.attributes.flags.contains(.readOnly) { found.insert(.readOnlyMount) }
    if !mount.attributes.flags.subtracting(.readOnly).isEmpty { found.insert(.otherFlags) }
    if mount.superblockFlags.contains(.readOnly) { found.insert(.readOnlySuperblock) }
    if !mount.superblockOptions.isEmpty { found.insert(.options) }
  }

  private static func noteGroups(_ table: MountTable, _ found: inout Set<TreeFeature>) {
    var roots: [PeerGroupID: [MountPath]] = [:]
    var masters: [PeerGroupID: PeerGroupID] = [:]
    for mount in table.mounts {
      guard let group = mount.peerGroup else { continue }
      roots[group, default: []].append(mount.root)
      masters[group] = mount.master
    }
    for shown in roots.values where shown.count > 1 {
      found.insert(.peers)
      if !shown.contains(where: { wide in shown.allSatisfy { wide.contains($0) } }) {
        found.insert(.peersWithoutCommonRoot)
      }
    }
    for group in masters.values {
      if let second = masters[group], masters[second] != nil { found.insert(.chainOfMasters) }
    }
    let wholes = Set(table.mounts.filter { $0.root.isRoot }.map(\.device))
    let parts = Set(table.mounts.filter { $0.fileSystem == "tmpfs" }.map(\.device))
    if !parts.isSubset(of: wholes) { found.insert(.noRootMount) }
  }
}
