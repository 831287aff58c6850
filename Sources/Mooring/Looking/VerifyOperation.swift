import CheckpointImages
import Glibc
import LinkTable
import LinuxKernel
import MountTable
import RestorePlan

/// What a verification is asked for.
public struct VerifyOptions: Sendable {
  public enum Subject: Sendable, Hashable {
    /// A process of the container.
    case process(Int32)
    /// A network namespace alone: a name in `/run/netns`, or a path.
    case network(String)
  }

  public var images: String
  public var subject: Subject
  /// What is compared; `nil` for what the images have.
  public var parts: SavedParts?
  /// What the restore was told to leave out (`--skip-mnt`), or allowed to make (`--enable-fs`).
  public var mounts = MountOptions()
  /// What the restore was told to leave out.
  public var leftOut = LeaveOut()

  public init(images: String, _ subject: Subject) {
    self.images = images
    self.subject = subject
  }
}

/// How a container differs from what images say of it.
public struct Verification: Sendable, CustomStringConvertible {
  /// A file of a memory file system that is not as it was saved.
  public struct FileDifference: Sendable, Hashable, Codable {
    /// Where the file system is mounted.
    public var mountPoint: MountPath
    /// Path in the file system, property, and both values, as a sentence.
    public var difference: String
  }

  /// `nil` where no mounts were compared.
  public var tree: MountTreeComparison?
  public var files: [FileDifference] = []
  /// Names and mappings of namespaces, a sentence each.
  public var namespaces: [String] = []

  /// Links, addresses, routes, rules and settings, a sentence each.
  public var links: [String] = []

  public var isEqual: Bool {
    tree?.isEqual ?? true && files.isEmpty && namespaces.isEmpty && links.isEmpty
  }

  /// The differences: the tree as a diff, then files, namespaces and networks; a line each.
  public var description: String {
    ((tree?.lines ?? []) + files.map { "~ \($0.mountPoint): \($0.difference)" }
      + (namespaces + links).map { "~ \($0)" }).joined(separator: "\n")
  }

  /// Reads the mounts and namespaces of `pid` and compares; not the contents.
  ///
  /// - Parameter places: whose flags what came from outside may have beyond what is expected.
  static func compare(
    _ expected: MountTable, _ kinds: [MountKind], _ namespaces: ContainerNamespaces,
    with pid: Int32, permitting places: PlaceFlags? = nil
  ) throws(ReadFailure) -> Verification {
    var rules = ComparisonRules(kinds: kinds, of: expected)
    if let places { rules.permittedFlags = { places.flags(explaining: $0) } }
    return Verification(
      tree: try compare(expected, rules, with: pid),
      namespaces: differences(namespaces, try readNamespaces(of: pid)))
  }

  /// Equal in the eyes of the quick reader is equal; a difference is the careful one's to state. What the
  /// text does not say matters for idmapped mounts only.
  private static func compare(
    _ expected: MountTable, _ rules: ComparisonRules, with pid: Int32
  ) throws(ReadFailure) -> MountTreeComparison {
    let isPlain = expected.mounts.indices.allSatisfy { expected.mounts[$0].idMapping == nil }
    if isPlain, let found = readPlainMountTable(of: pid) {
      let comparison = MountTreeComparison(expected: expected, found: found, rules: rules)
      if comparison.isEqual { return comparison }
    }
    return MountTreeComparison(
      expected: expected, found: try readMountTable(of: pid), rules: rules)
  }

  /// Reads networks afresh and compares each with its own; nested ones in their order.
  ///
  /// - Parameter kernel: what the kernel makes of settings; where it is not known, it is asked as soon as
  ///   anything differs.
  static func compare(
    _ networks: [SavedNetwork], _ places: [NetworkPlace], _ kernel: KernelSettings? = nil
  ) throws -> [String] {
    var lines: [String] = []
    for (number, network) in networks.enumerated() where network.externalKey == nil {
      guard number < places.count else {
        lines.append("nested network \(number) is not there")
        continue
      }
      let place = places[number]
      let found = try NetworkFacts.table(place, for: network)
      let prefix = number == 0 ? "" : "nested network \(number): "
      var comparison = NetworkComparison(expected: network, found: found, kernel: kernel)
      if !comparison.isEqual, kernel == nil {
        comparison = NetworkComparison(
          expected: network, found: found, kernel: KernelLook.ask([network], beside: place))
      }
      lines += comparison.differences.map { prefix + $0 }
    }
    return lines
  }

  private static func differences(
    _ saved: ContainerNamespaces, _ found: ContainerNamespaces
  ) -> [String] {
    var list: [String] = []
    func note<Value: Equatable>(_ name: String, _ saved: Value?, _ found: Value?) {
      guard let saved, saved != found else { return }
      list.append("\(name) is \(found.map { "\($0)" } ?? "none"), expected \(saved)")
    }
    if saved.own[.uts] != nil {
      note("the host name", saved.hostName, found.hostName)
      note("the domain name", saved.domainName, found.domainName)
    }
    if saved.own[.user] != nil {
      note("the mapping of the user namespace", saved.mapping, found.mapping)
    }
    if saved.own[.time] != nil {
      note("the offset of the monotonic clock", saved.monotonicOffset, found.monotonicOffset)
      note("the offset of the boot-time clock", saved.bootTimeOffset, found.bootTimeOffset)
    }
    return list
  }
}

/// Compares a running container with images: its tree, its contents, its namespaces.
public struct VerifyOperation {
  public var options: VerifyOptions

  public init(_ options: VerifyOptions) { self.options = options }

  /// The calling process must be single-threaded.
  ///
  /// - Throws: `EngineFailure` where the images or the container cannot be read.
  public func run() throws -> Verification {
    try EngineFailure.wrapping("verify") {
      let images = try ImageDirectory.open(options.images)
      var parts = try (options.parts ?? images.parts()).subtracting(.files)
      if case .network = options.subject { parts = .links }
      let saved = try images.load(only: parts)
      var result = Verification()
      if parts.contains(.mounts), case .process(let pid) = options.subject {
        let plan = RestoreRequest(
          table: saved.mounts.leavingOut(options.leftOut), namespaces: saved.namespaces,
          archivedDevices: saved.archivedDevices, options: options.mounts
        ).plan()
        result = try Verification.compare(
          plan.expected, plan.kinds, saved.namespaces, with: pid,
          permitting: PlaceFlags(host: try readOwnMountTable()))
        if let tree = result.tree {
          result.files = try compareContents(images, plan, saved, tree, pid)
        }
      }
      if parts.contains(.links), !saved.networks.isEmpty {
        let places =
          switch options.subject {
          case .process(let pid): try NetworkPlace.ofTree(pid)
          case .network(let name): [try NetworkPlace.named(name)]
          }
        result.links = try Verification.compare(
          saved.networks.map { $0.leavingOut(options.leftOut) }, places)
      }
      return result
    }
  }

  /// Holds each archive against the file system that is mounted where it was saved.
  private func compareContents(
    _ images: borrowing ImageDirectory, _ plan: RestorePlan, _ saved: SavedContainer,
    _ tree: MountTreeComparison, _ pid: Int32
  ) throws -> [Verification.FileDifference] {
    DescriptorLimit().raise()
    var partner: [Int: Int] = [:]
    for pair in tree.pairing.pairs { partner[pair.expected] = pair.found }
    var mountsOf: [DeviceNumber: [Int]] = [:]
    for (index, mount) in plan.expected.mounts.enumerated()
    where saved.archivedDevices.contains(mount.device) && !mount.isRootDeleted
      && partner[index] != nil
    {
      mountsOf[mount.device, default: []].append(index)
    }
    var archives: [DeviceNumber: CInt] = [:]
    defer { for descriptor in archives.values { close(descriptor) } }
    var shown: [DeviceNumber: [Int]] = [:]
    var deviceOf: [Int: DeviceNumber] = [:]
    for (device, indices) in mountsOf
    where !comesFromOutside(plan, indices) || isRootInMemory(plan, indices, partner, tree.found) {
      guard let archive = try images.openContents(of: device) else { continue }
      archives[device] = archive.release()
      let roots = plan.expected.widestRoots(indices).map { partner[$0]! }
      shown[device] = roots
      for index in roots { deviceOf[index] = device }
    }
    var unlinked: [Int: CInt] = [:]
    defer { for descriptor in unlinked.values { close(descriptor) } }
    for mount in plan.expected.mounts where mount.isRootDeleted && mount.unlinkedAs == mount.id {
      guard let index = plan.expected.index(of: mount.id), let found = partner[index],
        let archive = try images.openUnlinked(mount.id)
      else { continue }
      unlinked[found] = archive.release()
    }
    // The child's own.
    var gathering = RootGathering(shown)
    let answers = try visitMounts(
      of: pid, table: tree.found,
      wanted: (Array(deviceOf.keys) + Array(unlinked.keys)).sorted()
    ) { index, descriptor in
      if let archive = unlinked[index] {
        let found = try ContentArchive.unlinkedDifferences(
          between: archive, and: descriptor, leavingOut: options.leftOut)
        return Array(found.map(\.description).joined(separator: "\0").utf8)
      }
      guard let device = deviceOf[index],
        let roots = gathering.add(index, of: device, tree.found.mounts[index].root, descriptor)
      else { return [] }
      let found = try ContentArchive.differences(
        between: archives[device]!, and: roots, inWholeSeconds: saved.hasWholeSeconds,
        leavingOut: options.leftOut)
      return Array(found.map(\.description).joined(separator: "\0").utf8)
    }
    return answers.keys.sorted().flatMap { index in
      answers[index]!.split(separator: 0).map {
        Verification.FileDifference(
          mountPoint: tree.found.mounts[index].mountPoint,
          difference: String(decoding: $0, as: UTF8.self))
      }
    }
  }

  /// Whether the root is a whole file system in memory here too, as one is that was made of the images.
  private func isRootInMemory(
    _ plan: RestorePlan, _ indices: [Int], _ partner: [Int: Int], _ found: MountTable
  ) -> Bool {
    let root = plan.expected.rootIndex
    guard indices.contains(root), let index = partner[root] else { return false }
    let mount = found.mounts[index]
    return mount.root.isRoot && !mount.isRootDeleted
      && mount.fileSystem == plan.expected.root.fileSystem
  }

  /// Whether the superblock is that of the root, which a restore may have taken from anywhere.
  private func comesFromOutside(_ plan: RestorePlan, _ indices: [Int]) -> Bool {
    indices.contains { plan.kinds[$0] == .namespaceRoot || plan.kinds[$0].isExternal }
  }
}
