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
/// binds: type, source, superblock flags and options, and flags that their place gives them
/// (`ComparisonRules.permittedFlags`); roots of cgroup mounts, but relative to each other.
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
  /// Indices of mounts that belong together.
  private typealias Pair = (expected: Int, found: Int)

  let expected: MountTable
  let found: MountTable
  let pairing: MountPairing
  private let isExternal: [Bool]
  private let permittedFlags: @Sendable (Mount) -> MountAttributes.Flags
  /// The mounts that others of their superblock are relative to, by device and root.
  private var references: [DeviceNumber: [MountPath: Pair]] = [:]
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
    permittedFlags = rules.permittedFlags
    isExternal = expected.mounts.indices.map {
      $0 == expected.rootIndex || rules.isExternal(expected.mounts[$0])
    }
    let (ours, theirs) = (expected.mounts, found.mounts)
    for pair in pairing.pairs {
      let (index, other) = pair
      if isExternal[index] || ours[index].fileSystem.isCgroup {
        let (device, root) = (ours[index].device, ours[index].root)
        if isExternal[index] ? references[device]?[root] == nil : references[device] == nil {
          references[device, default: [:]][root] = pair
        }
      }
      groups.note(ours[index].peerGroup, theirs[other].peerGroup)
    }
  }

  mutating func differences() -> [MountDifference] {
    let (ours, theirs) = (expected.mounts, found.mounts)
    for pair in pairing.pairs { compare(pair, ours, theirs) }
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

  private mutating func compare(_ pair: Pair, _ ours: [Mount], _ theirs: [Mount]) {
    let (index, other) = pair
    var check = Changes(path: ours[index].mountPoint)
    let reference = isExternal[index] ? nil : self.reference(of: index, ours)
    if !isExternal[index] { compareOrigin(pair, reference, ours, theirs, &check) }
    if ours[index].isRootDeleted != theirs[other].isRootDeleted {
      check(.deletedRoot, "\(ours[index].isRootDeleted)", "\(theirs[other].isRootDeleted)")
    }
    let mayBeStricter = isExternal[index] || reference.map { isExternal[$0.expected] } ?? false
    if ours[index].attributes != theirs[other].attributes,
      !mayBeStricter || !agree(ours[index].attributes, theirs[other])
    {
      check(.attributes, "\(ours[index].attributes)", "\(theirs[other].attributes)")
    }
    if let kind = ours[index].isFile, let otherKind = theirs[other].isFile, kind != otherKind {
      check(.kind, kind ? "a file" : "a directory", otherKind ? "a file" : "a directory")
    }
    if !IDMapping.agree(ours[index].idMapping, theirs[other].idMapping) {
      check(
        .idMapping, IDMapping.text(ours[index].idMapping), IDMapping.text(theirs[other].idMapping))
    }
    if ours[index].isUnbindable != theirs[other].isUnbindable {
      check(.unbindable, "\(ours[index].isUnbindable)", "\(theirs[other].isUnbindable)")
    }
    // The namespace root, or a part of what the root shows.
    let isOfRoot = index == expected.rootIndex || reference?.expected == expected.rootIndex
    // What the root shared with the outside, or received from there, it has where its new source has it.
    let (group, otherGroup) = (ours[index].peerGroup, theirs[other].peerGroup)
    let lacksOutside = isOfRoot && ours[index].isPeerGroupOutside && otherGroup == nil
    if !lacksOutside, !groups.match(group, otherGroup) {
      check(.peerGroup, text(group), text(otherGroup))
    }
    let (master, otherMaster) = (ours[index].master, theirs[other].master)
    let isOutside = master.map { !groups.knowsExpected($0) } ?? false
    if !(isOfRoot && isOutside && otherMaster == nil) { compare(master, otherMaster, &check) }
    guard !check.list.isEmpty else { return }
    list += check.list
    places += Array(repeating: index, count: check.list.count)
  }

  /// Whether what is found has no flags but the expected and those that its place outside gives.
  private func agree(_ expected: MountAttributes, _ found: Mount) -> Bool {
    var permitted = expected
    permitted.flags.formUnion(found.attributes.flags.intersection(permittedFlags(found)))
    return permitted == found.attributes
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
    _ pair: Pair, _ reference: Pair?, _ ours: [Mount], _ theirs: [Mount], _ check: inout Changes
  ) {
    let (index, other) = pair
    let (device, otherDevice) = (ours[index].device, theirs[other].device)
    if let reference {
      let root = theirs[reference.found].root
      if otherDevice != theirs[reference.found].device {
        check(
          .superblock, "that of \(ours[reference.expected].mountPoint)",
          "device \(otherDevice), not \(theirs[reference.found].device)")
      }
      let relative = theirs[other].root.relative(to: root)
      if relative == nil
        || relative != ours[index].root.relative(to: ours[reference.expected].root)
      {
        check(.root, "\(ours[index].root)", "\(theirs[other].root)")
      }
      if !ours[index].fileSystem.isCgroup { return }
    } else {
      if !devices.pair(device, otherDevice) {
        check(.superblock, devices.partner(of: device), "device \(otherDevice)")
      }
      if ours[index].root != theirs[other].root {
        check(.root, "\(ours[index].root)", "\(theirs[other].root)")
      }
    }
    if ours[index].fileSystem != theirs[other].fileSystem {
      check(.fileSystem, "\(ours[index].fileSystem)", "\(theirs[other].fileSystem)")
    }
    if ours[index].source != theirs[other].source {
      check(.source, "\"\(ours[index].source)\"", "\"\(theirs[other].source)\"")
    }
    if ours[index].superblockFlags != theirs[other].superblockFlags {
      check(
        .superblockFlags, "\(ours[index].superblockFlags)", "\(theirs[other].superblockFlags)")
    }
    let (options, otherOptions) = (ours[index].superblockOptions, theirs[other].superblockOptions)
    if options != otherOptions,
      normalisedOptions(options, of: ours[index].fileSystem)
        != normalisedOptions(otherOptions, of: theirs[other].fileSystem)
    {
      check(.superblockOptions, "\"\(options)\"", "\"\(otherOptions)\"")
    }
  }

  /// The external mount with the nearest root above; `nil` for a superblock of the container's own.
  private func reference(of index: Int, _ ours: [Mount]) -> Pair? {
    guard let known = references[ours[index].device] else { return nil }
    var path: MountPath? = ours[index].root
    while let root = path {
      if let reference = known[root] { return reference }
      path = root.parent
    }
    return nil
  }

  private func compare(
    _ master: PeerGroupID?, _ other: PeerGroupID?, _ check: inout Changes
  ) {
    if master == nil && other == nil { return }
    let isInside = master.map { groups.knowsExpected($0) } ?? false
    let otherIsInside = other.map { groups.knowsFound($0) } ?? false
    if let master, let other, isInside == otherIsInside, !isInside || groups.match(master, other) {
      return
    }
    check(.master, text(master, isOutside: !isInside), text(other, isOutside: !otherIsInside))
  }

  private func text(_ group: PeerGroupID?, isOutside: Bool = false) -> String {
    guard let group else { return "none" }
    return isOutside ? "group \(group), outside" : "group \(group)"
  }
}

extension KernelString {
  private static let cgroup: KernelString = "cgroup"
  private static let cgroup2: KernelString = "cgroup2"

  fileprivate var isCgroup: Bool { self == .cgroup || self == .cgroup2 }
}
