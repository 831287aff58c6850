/// Two mount trees held against each other, up to the renumbering of IDs and devices.
///
/// | compared | how |
/// |---|---|
/// | the tree | children by mount point below the matched parent; the order of siblings does not count |
/// | superblocks | one device number of the one table for one of the other |
/// | root | relative to the nearest external mount (or the namespace root) of the same superblock |
/// | options | as `normalisedOptions` has them |
/// | peer groups | who is in one group with whom |
/// | master | the matching group; one outside of the table equals any other outside, and for the root and its binds none |
///
/// Not compared: IDs, device numbers, `propagateFrom`; of external mounts, the namespace root and its
/// binds: type, source, superblock flags and options; roots of cgroup mounts, but relative to each other.
public struct MountTreeComparison: Sendable {
  public let expected: MountTable
  public let found: MountTable
  public let pairing: MountPairing
  /// In the order of the expected tree; mounts that are not expected come last.
  public let differences: [MountDifference]

  /// For each difference that is a change, where the mount stands in the expected table.
  let places: [Int]

  public var isEqual: Bool { differences.isEmpty }

  public init(
    expected: MountTable, found: MountTable, rules: ComparisonRules = ComparisonRules()
  ) {
    self.expected = expected
    self.found = found
    pairing = MountPairing(expected, found)
    var walk = MountComparer(expected, found, pairing, rules)
    differences = walk.differences()
    places = walk.places
  }
}

/// The state of one comparison.
struct MountComparer {
  let expected: MountTable
  let found: MountTable
  let pairing: MountPairing
  private let isExternal: [Bool]
  /// The mounts that others of their superblock are relative to, by device and root.
  private var references: [DeviceNumber: [MountPath: (expected: Mount, found: Mount)]] = [:]
  private var devices = Renumbering<DeviceNumber>()
  private var groups = Renumbering<PeerGroupID>()
  private var list: [MountDifference] = []
  private(set) var places: [Int] = []

  init(
    _ expected: MountTable, _ found: MountTable, _ pairing: MountPairing, _ rules: ComparisonRules
  ) {
    self.expected = expected
    self.found = found
    self.pairing = pairing
    isExternal = expected.mounts.indices.map {
      $0 == expected.rootIndex || rules.isExternal(expected.mounts[$0])
    }
    for pair in pairing.pairs {
      let (one, other) = (expected.mounts[pair.expected], found.mounts[pair.found])
      let isFirstCgroup = one.isCgroup && references[one.device] == nil
      if isExternal[pair.expected] || isFirstCgroup {
        let known = references[one.device]?[one.root]
        if known == nil { references[one.device, default: [:]][one.root] = (one, other) }
      }
      groups.note(one.peerGroup, other.peerGroup)
    }
  }

  mutating func differences() -> [MountDifference] {
    for pair in pairing.pairs { compare(pair.expected, pair.found) }
    for index in pairing.missing {
      let mount = expected.mounts[index]
      list.append(.missing(path: mount.mountPoint, fileSystem: mount.fileSystem))
    }
    for index in pairing.extra {
      let mount = found.mounts[index]
      list.append(.extra(path: mount.mountPoint, fileSystem: mount.fileSystem))
    }
    return list
  }

  private mutating func compare(_ index: Int, _ other: Int) {
    let (one, two) = (expected.mounts[index], found.mounts[other])
    var check = Changes(path: one.mountPoint)
    compareOrigin(index, one, two, &check)
    if one.isRootDeleted != two.isRootDeleted {
      check(.deletedRoot, "\(one.isRootDeleted)", "\(two.isRootDeleted)")
    }
    if one.attributes != two.attributes {
      check(.attributes, "\(one.attributes)", "\(two.attributes)")
    }
    if let kind = one.isFile, let otherKind = two.isFile, kind != otherKind {
      check(.kind, kind ? "a file" : "a directory", otherKind ? "a file" : "a directory")
    }
    if !IDMapping.agree(one.idMapping, two.idMapping) {
      check(.idMapping, IDMapping.text(one.idMapping), IDMapping.text(two.idMapping))
    }
    if one.isUnbindable != two.isUnbindable {
      check(.unbindable, "\(one.isUnbindable)", "\(two.isUnbindable)")
    }
    let isOfRoot = isOfRoot(index, one)
    // What the root shared with the outside, or received from there, it has where its new source has it.
    let lacksOutside = isOfRoot && one.isPeerGroupOutside && two.peerGroup == nil
    if !lacksOutside, !groups.match(one.peerGroup, two.peerGroup) {
      check(.peerGroup, text(one.peerGroup), text(two.peerGroup))
    }
    let isOutside = one.master.map { !groups.knowsExpected($0) } ?? false
    if !(isOfRoot && isOutside && two.master == nil) { compareMasters(one, two, &check) }
    list += check.list
    places += Array(repeating: index, count: check.list.count)
  }

  private struct Changes {
    let path: MountPath
    var list: [MountDifference] = []

    init(path: MountPath) { self.path = path }

    mutating func callAsFunction(
      _ property: MountDifference.Property, _ expected: String, _ found: String
    ) {
      list.append(.changed(path: path, property: property, expected: expected, found: found))
    }
  }

  /// Where the mount comes from: superblock and root.
  private mutating func compareOrigin(
    _ index: Int, _ one: Mount, _ two: Mount, _ check: inout Changes
  ) {
    if isExternal[index] { return }
    if let reference = reference(of: one) {
      if two.device != reference.found.device {
        check(
          .superblock, "that of \(reference.expected.mountPoint)",
          "device \(two.device), not \(reference.found.device)")
      }
      let relative = two.root.relative(to: reference.found.root)
      if relative == nil || relative != one.root.relative(to: reference.expected.root) {
        check(.root, "\(one.root)", "\(two.root)")
      }
      if !one.isCgroup { return }
    } else {
      if !devices.pair(one.device, two.device) {
        check(.superblock, devices.partner(of: one.device), "device \(two.device)")
      }
      if one.root != two.root { check(.root, "\(one.root)", "\(two.root)") }
    }
    if one.fileSystem != two.fileSystem {
      check(.fileSystem, "\(one.fileSystem)", "\(two.fileSystem)")
    }
    if one.source != two.source { check(.source, "\"\(one.source)\"", "\"\(two.source)\"") }
    if one.superblockFlags != two.superblockFlags {
      check(.superblockFlags, "\(one.superblockFlags)", "\(two.superblockFlags)")
    }
    if one.superblockOptions != two.superblockOptions,
      normalisedOptions(one.superblockOptions, of: one.fileSystem)
        != normalisedOptions(two.superblockOptions, of: two.fileSystem)
    {
      check(.superblockOptions, "\"\(one.superblockOptions)\"", "\"\(two.superblockOptions)\"")
    }
  }

  /// The external mount with the nearest root above; `nil` for a superblock of the container's own.
  private func reference(of mount: Mount) -> (expected: Mount, found: Mount)? {
    guard let known = references[mount.device] else { return nil }
    var path: MountPath? = mount.root
    while let root = path {
      if let reference = known[root] { return reference }
      path = root.parent
    }
    return nil
  }

  /// Whether the mount is the namespace root, or shows a part of what the root shows.
  private func isOfRoot(_ index: Int, _ mount: Mount) -> Bool {
    index == expected.rootIndex
      || !isExternal[index] && reference(of: mount)?.expected.id == expected.root.id
  }

  private func compareMasters(_ one: Mount, _ two: Mount, _ check: inout Changes) {
    let isInside = one.master.map { groups.knowsExpected($0) } ?? false
    let otherIsInside = two.master.map { groups.knowsFound($0) } ?? false
    let same =
      switch (one.master, two.master) {
      case (nil, nil): true
      case (let master?, let other?):
        isInside == otherIsInside && (!isInside || groups.match(master, other))
      default: false
      }
    if same { return }
    check(
      .master, text(one.master, isOutside: !isInside), text(two.master, isOutside: !otherIsInside))
  }

  private func text(_ group: PeerGroupID?, isOutside: Bool = false) -> String {
    guard let group else { return "none" }
    return isOutside ? "group \(group), outside" : "group \(group)"
  }
}

extension Mount {
  fileprivate var isCgroup: Bool { fileSystem == "cgroup" || fileSystem == "cgroup2" }
}
