import MountTable

/// The engine's own mounts, indexed for the questions a classification and a plan ask of them.
struct HostMounts: Sendable {
  let table: MountTable
  private let mountsOfDevice: [DeviceNumber: [Int]]
  private let groups: Set<PeerGroupID>
  private let atPoint: [MountPath: [Int]]

  init(_ table: MountTable) {
    self.table = table
    mountsOfDevice = Dictionary(grouping: table.mounts.indices) { table.mounts[$0].device }
    groups = Set(table.mounts.compactMap(\.peerGroup))
    atPoint = Dictionary(grouping: table.mounts.indices) { table.mounts[$0].mountPoint }
  }

  func hasDevice(_ device: DeviceNumber) -> Bool { mountsOfDevice[device] != nil }
  func hasGroup(_ group: PeerGroupID) -> Bool { groups.contains(group) }

  /// The path at which the engine sees what `mount` shows; of several, one of the same peer group
  /// or of its master first, then the shortest.
  func pathShowing(_ mount: Mount) -> MountPath? {
    guard !mount.isRootDeleted else { return nil }
    var best: (rank: Int, path: MountPath)?
    for index in mountsOfDevice[mount.device] ?? [] {
      let candidate = table.mounts[index]
      guard !candidate.isRootDeleted, let rest = mount.root.relative(to: candidate.root) else {
        continue
      }
      let path = candidate.mountPoint.appending(rest)
      guard self.mount(showing: path)?.id == candidate.id else { continue }
      var rank = path.bytes.count + 10_000
      if let group = candidate.peerGroup, group == mount.peerGroup || group == mount.master {
        rank -= 10_000
      }
      if best.map({ rank < $0.rank }) ?? true { best = (rank, path) }
    }
    return best?.path
  }

  /// The mount in which a path lies: the one a lookup of the path ends in, as far as the table says
  /// (symbolic links are not followed).
  func mount(showing path: MountPath) -> Mount? {
    var prefixes: [MountPath] = [path]
    while let parent = prefixes[prefixes.count - 1].parent { prefixes.append(parent) }
    var current = table.rootIndex
    for prefix in prefixes.reversed() {
      // A mount at this place whose parent is where the lookup has come to; then what covers it.
      while let next = atPoint[prefix]?.first(where: {
        $0 != current && table.parentIndex(of: $0) == current
      }) {
        current = next
      }
    }
    return table.mounts[current]
  }
}
