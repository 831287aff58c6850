import MountTable

/// What lies at a path of the engine's mount namespace.
public enum OutsidePath: Hashable, Sendable {
  case file, directory
  /// Nothing that can be opened; what the kernel said.
  case unreachable(String)
}

/// What a restore is asked to do.
public struct RestoreRequest: Sendable {
  public var table: MountTable
  public var namespaces: ContainerNamespaces
  /// Superblocks whose content the images hold.
  public var archivedDevices: Set<DeviceNumber>
  /// Mounts whose unlinked root the images hold, as `Mount.unlinkedAs` names them.
  public var archivedRoots: Set<MountID> = []
  public var options: MountOptions
  /// The directory that becomes the root, resolved; `nil` to build the root from the images.
  public var root: MountPath?
  /// The mounts of the engine's own namespace.
  public var host: MountTable?
  /// What lies at the paths outside that mounts come from; nothing is checked for a path that is not
  /// here.
  public var outside: [MountPath: OutsidePath] = [:]
  /// How many descriptors a process may have open.
  public var descriptorLimit: Int
  /// How many mounts a namespace may have (`fs.mount-max`).
  public var mountLimit: Int?
  /// Tells names that this restore makes in its root from those of another.
  public var restoreName = ""

  public init(
    table: MountTable, namespaces: ContainerNamespaces = .init(),
    archivedDevices: Set<DeviceNumber> = [], options: MountOptions = .init(),
    root: MountPath? = nil, host: MountTable? = nil, descriptorLimit: Int = 1_000_000
  ) {
    self.table = table
    self.namespaces = namespaces
    self.archivedDevices = archivedDevices
    self.options = options
    self.root = root
    self.host = host
    self.descriptorLimit = descriptorLimit
  }

  /// Decides the whole restore; problems stand in the plan's findings. Pure, O(n log n).
  public func plan() -> RestorePlan {
    // Nobody is asked when an image is read, so nothing is thrown.
    let classification =
      (try? Classifier(options: imageOptions, namespaces: namespaces).classify(table))
      ?? Classification(table: table, kinds: [], findings: [])
    var planner = RestorePlanner(self, classification)
    return planner.plan()
  }

  /// At restore only what leaves mounts out, or lets them be made, matters to the classification.
  private var imageOptions: MountOptions {
    var kept = MountOptions()
    kept.skipped = options.skipped
    kept.enabledFileSystems = options.enabledFileSystems
    return kept
  }
}

/// Turns a classified table into steps.
///
/// | phase | steps |
/// |---|---|
/// | outside | clones of the root, of mapped paths, of what plugins mount |
/// | tree | a walk from the root down. Each superblock is made, filled and staged when it is first needed; each mount is cloned from there, given its attributes and attached while everything is private; children with deeper mount points first, what covers the mount itself last |
/// | groups | after the last child of a mount: it joins its peer group, is made slave, shared or unbindable. Nothing is mounted on it or on a peer of it any more, so nothing spreads |
/// | pivot | `pivot_root`; the old tree and the staging area go |
/// | late groups | what joins a group outside, and what hangs on such a group |
///
/// A peer group with several members, or with slaves, has an *exemplar*: a detached clone of the
/// widest root, from which every member copies the group (`MOVE_MOUNT_SET_GROUP` wants the source's
/// root to contain the target's). It goes when the last of them has joined.
struct RestorePlanner {
  let request: RestoreRequest
  /// What the restore makes: the images' mounts, with the flags that their places outside add.
  private(set) var table: MountTable
  let kinds: [MountKind]
  private let unlinkedRoots: [(index: Int, anchor: Int)]
  /// Where the mount stands, by index, that stands for the superblock of each.
  private let anchorIndices: [Int]
  let groups: PeerGroups
  var findings: [Finding]
  var outside: [RestoreStep] = []
  var steps: [RestoreStep] = []
  /// By index of their mount in `table`; of no use for those that stand for nothing.
  var anchors: [Anchor]
  var exemplars: [PeerGroupID: Exemplar] = [:]
  /// The slot that a mount is in, by its index, while there is one.
  var mountSlots: [Slot?]
  var late: [Int] = []
  /// Mounts of something unlinked that cover the root.
  private var unlinkedCovers: [Int] = []
  /// Whether a mount is attached at this point of the plan.
  var placed: [Bool]
  /// The table, for lookups of paths in it.
  private(set) lazy var tree = HostMounts(table)
  let hostMounts: HostMounts?
  let sourceOfPath: [MountPath: MountPath]
  let pathOfKey: [KernelString: MountPath]
  let pathOfDeviceKey: [KernelString: MountPath]
  private var freeSlots: [Slot] = []
  private var slotCount = 0
  private var placeholderCount = 0

  /// A superblock, or the part of it that came from outside, from which mounts are cloned.
  struct Anchor {
    var shown = MountPath.root
    /// Mounts and exemplars that are still to be cloned from it.
    var uses = 0
    /// Its only mount is the one that was made or taken: nothing is staged.
    var isDirect = false
    var slot: Slot?
    /// What stands for what was unlinked, in the order in which it is made.
    var placeholders: [Placeholder] = []
    /// Which of them stands for what a mount shows.
    var placeholderOf: [Unlinked: Int] = [:]
    /// By `Mount.unlinkedAs`.
    var firstNameOf: [MountID: KernelString] = [:]
    /// Flags that the superblock gets once nothing is written to it any more.
    var lateFlags: SuperblockFlags?
  }

  /// Something unlinked, under one of its names.
  struct Unlinked: Hashable {
    var root: MountPath
    var file: MountID?

    init(_ mount: Mount) {
      root = mount.root
      file = mount.unlinkedAs
    }
  }

  struct Placeholder {
    var name: KernelString
    /// What mountinfo calls it.
    var root: MountPath
    var isFile: Bool
    var content: PlaceholderContent
  }

  struct Exemplar {
    var slot: Slot?
    var uses: Int
  }

  init(_ request: RestoreRequest, _ classification: Classification) {
    self.request = request
    table = classification.table
    kinds = classification.kinds
    unlinkedRoots = classification.unlinkedRoots
    anchorIndices = classification.kinds.indices.map { classification.anchorIndex(of: $0) }
    anchors = Array(repeating: Anchor(), count: table.mounts.count)
    mountSlots = Array(repeating: nil, count: table.mounts.count)
    placed = Array(repeating: false, count: table.mounts.count)
    groups = PeerGroups(classification.table)
    findings = classification.findings
    hostMounts = request.host.map(HostMounts.init)
    sourceOfPath = request.options.sourceOfPath
    pathOfKey = request.options.pathOfKey
    pathOfDeviceKey = request.options.pathOfDeviceKey
  }

  mutating func plan() -> RestorePlan {
    keepFlagsOfPlaces()
    countUses()
    checkRequest()
    if !findings.contains(where: { $0.severity == .problem }) {
      buildTree()
      makeRemainingExemplars()
      if let root = mountSlots[table.rootIndex] { steps.append(.pivotRoot(root)) }
      for index in unlinkedCovers { useAnchor(anchorIndex(of: index)) }
      joinLateGroups()
      checkMountLimit()
      if slotCount + 64 > request.descriptorLimit {
        findings.append(
          Finding(
            "the restore needs \(slotCount) descriptors at a time and may open "
              + "\(request.descriptorLimit)",
            cures: ["raise the limit: ulimit -n \(slotCount + 64)"]
          ))
      }
    }
    steps.insert(contentsOf: outside, at: 0)
    return RestorePlan(
      steps: steps, slotCount: slotCount, expected: table, kinds: kinds,
      findings: findings)
  }

  /// Mounts at these indices, and those of the plan's expectation, get flags.
  mutating func addFlags(_ flags: MountAttributes.Flags, to indices: [Int]) {
    table.annotate(indices) { $0.attributes.flags.formUnion(flags) }
  }

  // MARK: Slots

  mutating func newSlot() -> Slot {
    if let slot = freeSlots.popLast() { return slot }
    return slotFromStart()
  }

  /// A slot that nothing uses before: it can be filled before the first step.
  mutating func slotFromStart() -> Slot {
    slotCount += 1
    return Slot(slotCount - 1)
  }

  mutating func release(_ slot: Slot) {
    steps.append(.release(slot))
    freeSlots.append(slot)
  }

  // MARK: Anchors

  func anchorIndex(of index: Int) -> Int { anchorIndices[index] }

  /// What a clone of the anchor's own superblock or source shows.
  private func shown(by index: Int) -> MountPath {
    let mount = table.mounts[index]
    guard kinds[index] == .newSuperblock else { return mount.root }
    if case .controlGroup = FileSystemKind(mount.fileSystem),
      request.namespaces.own[.cgroup] != nil
    {
      return mount.root
    }
    return .root
  }

  private mutating func countUses() {
    for index in table.mounts.indices {
      let anchor = anchorIndex(of: index)
      if anchors[anchor].uses == 0 { anchors[anchor].shown = shown(by: anchor) }
      anchors[anchor].uses += 1
    }
    for (index, anchor) in unlinkedRoots { addPlaceholder(index, anchor) }
    for (id, group) in groups.groups where needsExemplar(group) {
      anchors[anchorIndex(of: group.members[0])].uses += 1
      exemplars[id] = Exemplar(
        slot: nil, uses: group.members.count + group.plainSlaves.count + group.slaveGroups.count)
    }
    for index in anchors.indices where anchors[index].uses == 1 {
      anchors[index].isDirect =
        table.mounts[index].root == anchors[index].shown && anchors[index].placeholders.isEmpty
    }
  }

  /// One for each thing that was unlinked, and for each name of it that a mount shows. Images of others
  /// do not say which mounts show one file: those with the same name are taken for it.
  private mutating func addPlaceholder(_ index: Int, _ anchor: Int) {
    let mount = table.mounts[index]
    let unlinked = Unlinked(mount)
    guard anchors[anchor].placeholderOf[unlinked] == nil else { return }
    placeholderCount += 1
    let name = KernelString(".mooring-unlinked-\(request.restoreName)\(placeholderCount)")
    let isFile = mount.isFile ?? false
    let file = mount.unlinkedAs ?? mount.id
    let content: PlaceholderContent =
      if isFile, let first = anchors[anchor].firstNameOf[file] {
        .link(to: first)
      } else if request.archivedRoots.contains(file) {
        .saved(file)
      } else {
        .empty
      }
    if anchors[anchor].firstNameOf[file] == nil { anchors[anchor].firstNameOf[file] = name }
    anchors[anchor].placeholderOf[unlinked] = anchors[anchor].placeholders.count
    anchors[anchor].placeholders.append(
      Placeholder(name: name, root: mount.root, isFile: isFile, content: content))
    if content == .empty {
      findings.append(
        Finding(
          "it shows what had been unlinked, and the images do not hold it; an empty "
            + "\(isFile ? "file" : "directory") is made in its place", severity: .note, on: mount,
          cures: ["dump again with this engine"]))
    }
  }

  func needsExemplar(_ group: PeerGroups.Group) -> Bool {
    !group.isOutside
      && (group.members.count > 1 || !group.plainSlaves.isEmpty || !group.slaveGroups.isEmpty)
  }

  /// Parents before children; what hides a sibling or the mount itself comes after what it hides.
  private mutating func buildTree() {
    // Most mounts are cloned, attached and released.
    steps.reserveCapacity(table.mounts.count * 3 + 64)
    var stack: [(index: Int, children: [Int], next: Int)] = []
    func sortedChildren(_ index: Int) -> [Int] {
      let children = table.children(of: index)
      if children.count < 2 || !mayHideEachOther(children) { return children }
      return children.map { ($0, table.mounts[$0].mountPoint.depth) }
        .sorted { ($1.1, $0.0) < ($0.1, $1.0) }.map(\.0)
    }
    place(table.rootIndex)
    stack.append((table.rootIndex, sortedChildren(table.rootIndex), 0))
    while let top = stack.last {
      if top.next < top.children.count {
        stack[stack.count - 1].next += 1
        let child = top.children[top.next]
        place(child)
        stack.append((child, sortedChildren(child), 0))
      } else {
        stack.removeLast()
        finish(top.index)
      }
    }
  }

  /// Whether a mount point of these siblings lies below another. Without that the order of the table is kept.
  private func mayHideEachOther(_ children: [Int]) -> Bool {
    let depths = children.map { table.mounts[$0].mountPoint.depth }
    guard let most = depths.max() else { return false }
    let shallow = zip(children, depths).filter { $0.1 < most }
    // Of many that differ it is not asked: putting them in order costs less.
    if shallow.count > 64 { return true }
    return shallow.contains { one, depth in
      zip(children, depths).contains { other, otherDepth in
        depth < otherDepth && table.mounts[one].mountPoint.contains(table.mounts[other].mountPoint)
      }
    }
  }

  /// Gets the mount into a slot and attaches it.
  private mutating func place(_ index: Int) {
    let slot = materialise(index)
    // One that nobody knows is that of the source, outside.
    if let mapping = table.mounts[index].idMapping, !mapping.isUnknown {
      steps.append(.setIDMapping(slot, mapping))
    }
    mountSlots[index] = slot
    placed[index] = true
    guard let parent = table.parentIndex(of: index), let parentSlot = mountSlots[parent] else {
      steps.append(.stage(slot))
      return
    }
    let path =
      table.mounts[index].mountPoint.relative(to: table.mounts[parent].mountPoint) ?? []
    steps.append(
      .attach(
        slot, at: parentSlot, path: KernelString(path), mount: table.mounts[index].id,
        missing: missing(path, on: parent, parentSlot)))
  }

  private func missing(_ path: [UInt8], on parent: Int, _ slot: Slot) -> MissingMountPoint {
    let index = anchorIndex(of: parent)
    guard !table.mounts[parent].isRootDeleted, !path.isEmpty else { return .fail }
    let isRoot = index == table.rootIndex && request.root != nil
    guard isRoot || isOwnMemory(index) else { return .fail }
    if anchors[index].isDirect {
      return .make(origin: slot, path: KernelString(path), onDisk: isRoot)
    }
    guard let origin = anchors[index].slot,
      let base = table.mounts[parent].root.relative(to: anchors[index].shown)
    else { return .fail }
    let full = base.isEmpty ? path : base + [0x2F] + path
    return .make(origin: origin, path: KernelString(full), onDisk: isRoot)
  }

  /// Everything below the mount is in place: it joins its group and is let go.
  private mutating func finish(_ index: Int) {
    let slot = mountSlots[index]!
    // The root, and what is mounted over it: pivot_root wants them private.
    if table.mounts[index].mountPoint.isRoot
      || groups.isLate(table.mounts[index].peerGroup, slaveOf: table.mounts[index].master)
    {
      late.append(index)
    } else {
      setPropagation(index, slot)
      mountSlots[index] = nil
      release(slot)
    }
    // On something unlinked the kernel puts no old root: it is unlinked after the pivot.
    if table.mounts[index].mountPoint.isRoot, table.mounts[index].isRootDeleted {
      unlinkedCovers.append(index)
    } else {
      useAnchor(anchorIndex(of: index))
    }
  }

  mutating func useAnchor(_ index: Int) {
    anchors[index].uses -= 1
    if anchors[index].uses == 0, !anchors[index].isDirect, let slot = anchors[index].slot {
      anchors[index].slot = nil
      removePlaceholders(index, slot)
      release(slot)
    }
  }
}
