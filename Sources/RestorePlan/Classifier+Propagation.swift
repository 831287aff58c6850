import MountTable

// Peer groups and masters that lie outside the container.
extension Classifier {
  /// Masters and peers that lie outside the table: allowed where the mount comes from outside itself.
  func checkPropagation(_ result: inout Classification) {
    let table = result.table
    let groups = Set(table.mounts.indices.compactMap { table.mounts[$0].peerGroup })
    for index in table.mounts.indices
    where table.mounts[index].master != nil || table.mounts[index].peerGroup != nil {
      let mount = table.mounts[index]
      let origin = result.anchorIndex(of: index)
      let comesFromOutside =
        (result.kinds[origin].isExternal || origin == table.rootIndex)
        && (origin == index || tie(mount, table.mounts[origin], groups) != .elsewhere)
      if let master = mount.master, !groups.contains(master), !comesFromOutside,
        result.kinds[origin] != .unsupported
      {
        result.findings.append(
          Finding(
            "it receives mounts from peer group \(master), of which the container has no mount",
            on: mount,
            cures: [
              "look for its master outside: --external 'mnt[]:m'", "map it: \(mapping(mount))",
            ]))
      }
      if let group = mount.peerGroup, host?.hasGroup(group) == true, mount.mooring == nil,
        !comesFromOutside, result.kinds[origin] != .unsupported
      {
        result.findings.append(
          Finding(
            "it shares mounts with peer group \(group), which has members outside the container",
            on: mount,
            cures: [
              "look for its peers outside: --external 'mnt[]:s'", "map it: \(mapping(mount))",
            ]))
      }
    }
    for index in table.mounts.indices where table.mounts[index].isRootDeleted {
      let mount = table.mounts[index]
      let origin = result.anchorIndex(of: index)
      if origin != index, result.kinds[origin].isExternal {
        result.findings.append(
          Finding(
            "it shows what has been unlinked in a file system from outside (that of mount "
              + "\(table.mounts[origin].id)), which the restore does not write to", on: mount,
            cures: [
              "leave it out: --skip-mnt \(mount.mountPoint.asWord)", "map it: \(mapping(mount))",
            ]))
      }
      guard result.kinds[origin] == .newSuperblock else { continue }
      // Of what is made, whatever the images call this mount of it.
      if case .memory = FileSystemKind(table.mounts[origin].fileSystem) { continue }
      result.findings.append(
        Finding(
          "it shows what has been unlinked in a \(mount.fileSystem), where nobody can make it again",
          on: mount,
          cures: [
            "leave it out: --skip-mnt \(mount.mountPoint.asWord)", "map it: \(mapping(mount))",
          ]))
    }
    guard let host else { return }
    let outside = table.mounts.indices.filter { index in
      table.mounts[index].peerGroup.map { host.hasGroup($0) } ?? false
    }
    result.table.annotate(outside) { $0.isPeerGroupOutside = true }
    let atTheirPlace = table.mounts.indices.filter { index in
      let origin = result.anchorIndex(of: index)
      guard origin != index, result.kinds[origin].isExternal || origin == table.rootIndex else {
        return false
      }
      return tie(table.mounts[index], table.mounts[origin], groups) == .atItsPlace
    }
    result.table.annotate(atTheirPlace) { $0.isTiedAtItsPlace = true }
  }

  /// The peer group with members outside of which the mount is a peer, or a slave; `nil` if the container has
  /// its master.
  func groupOutside(_ mount: Mount, _ groups: Set<PeerGroupID>) -> PeerGroupID? {
    if let group = mount.peerGroup, host?.hasGroup(group) == true { return group }
    guard let master = mount.master, !groups.contains(master) else { return nil }
    return master
  }

  /// Where the host has the group outside of a mount that shows a part of what the anchor shows.
  enum Tie {
    /// It has none, or that of the mount which the anchor is taken from.
    case asAnchor
    /// It is that of the host's mount at the place shown.
    case atItsPlace
    /// A restore would not find it.
    case elsewhere
  }

  func tie(_ mount: Mount, _ anchor: Mount, _ groups: Set<PeerGroupID>) -> Tie {
    guard let host, let group = groupOutside(mount, groups) else { return .asAnchor }
    if group == anchor.peerGroup || group == anchor.master { return .asAnchor }
    guard let (place, whole) = places.place(of: anchor, in: host),
      let rest = mount.root.relative(to: anchor.root),
      let here = host.mount(showing: place.appending(rest)),
      here.peerGroup == group || here.master == group
    else { return .elsewhere }
    return here.id == whole.id ? .asAnchor : .atItsPlace
  }
}

/// Where the host shows what anchors show, each looked for once.
final class AnchorPlaces {
  private var known: [MountID: (path: MountPath, mount: Mount)?] = [:]

  func place(of anchor: Mount, in host: HostMounts) -> (path: MountPath, mount: Mount)? {
    if let found = known[anchor.id] { return found }
    let place = host.pathShowing(anchor).flatMap { path in
      host.mount(showing: path).map { (path: path, mount: $0) }
    }
    known[anchor.id] = .some(place)
    return place
  }
}
