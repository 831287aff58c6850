import MountTable
import RestorePlan

/// A container of the model dumped, ended and restored, as the engine does it with live ones.
public struct RestoreTrial {
  private let container: ModelContainer
  private let newUser: Bool

  /// - Parameter newUser: whether the restore makes a user namespace.
  public init(_ container: ModelContainer, newUser: Bool = false) {
    self.container = container
    self.newUser = newUser
  }

  public enum Outcome {
    /// The tree came back as it was.
    case equal
    /// The dump has this finding, and nothing was made.
    case refused(String)
    /// What went wrong, in a sentence or a few lines.
    case failed(String)
  }

  public func outcome() -> Outcome {
    do {
      if let problem = try classify().problems.first { return .refused(problem.message) }
      return try run().map { .failed($0) } ?? .equal
    } catch {
      return .failed("\(error)")
    }
  }

  private func options() throws -> MountOptions {
    var options = MountOptions()
    options.external = [try ExternalOption(parsing: "mnt[]:ms")]
    return options
  }

  private func classify() throws -> Classification {
    try Classifier(options: try options(), host: try container.hostTable())
      .classify(try container.table())
  }

  private func run() throws -> String? {
    let table = try container.table()
    let host = try container.hostTable()
    let classification = try classify()
    let isFile = Dictionary(
      uniqueKeysWithValues: table.mounts.compactMap { mount in mount.isFile.map { (mount.id, $0) } }
    )
    let saved = classification.moored(
      isFile: isFile, unlinkedAs: try container.unlinkedAs())
    let devices = classification.savedDevices
    let contents = Dictionary(
      uniqueKeysWithValues: devices.map { ($0, container.content(of: $0)) })
    let before = try picture(container.kernel, container.process, devices: devices, host)

    var ended = container
    ended.end()
    let hostBefore = try ended.kernel.portrait(ended.host)
    var request = RestoreRequest(
      table: saved, archivedDevices: devices, options: try options(), root: "/srv/root", host: host)
    request.archivedRoots = Set(saved.mounts.compactMap(\.unlinkedAs))
    let plan = request.plan()
    if let problem = plan.problems.first { return "the plan finds: \(problem)" }
    var restore = try ModelRestore(
      ended.kernel, host: ended.host, root: "/srv/root", contents: contents, newUser: newUser)
    try restore.run(plan)
    guard restore.openSlots.isEmpty else { return "slots stay open: \(restore.openSlots)" }
    let found = try restore.kernel.table(restore.process)
    let after = try picture(
      restore.kernel, restore.process, devices: ownDevices(found, host), host)
    if before != after { return difference(before, after) }
    let comparison = MountTreeComparison(
      expected: plan.expected, found: found,
      rules: ComparisonRules(kinds: plan.kinds, of: plan.expected))
    if !comparison.isEqual { return "verify finds: \(comparison.differences)" }
    let hostAfter = try restore.kernel.portrait(restore.kernel.initProcess)
    if hostBefore != hostAfter { return "the host: " + difference(hostBefore, hostAfter) }
    return nil
  }

  /// The portrait of the tree, and the files of its own memory file systems.
  private func picture(
    _ kernel: ModelKernel, _ process: ModelKernel.Process, devices: Set<DeviceNumber>,
    _ host: MountTable
  ) throws -> [String] {
    let table = try kernel.table(process)
    var outside: [DeviceNumber: String] = [:]
    for mount in host.mounts { outside[mount.device] = "host-\(mount.device)" }
    let groups = Set(host.mounts.compactMap(\.peerGroup))
    let portrait = ModelPortrait(table, outside: outside, outsideGroups: groups)
    var lines = portrait.lines
    for (device, name) in portrait.names.sorted(by: { $0.value < $1.value })
    where devices.contains(device) {
      lines.append("\(name) holds \(kernel.content(of: device).joined(separator: " "))")
    }
    return lines
  }

  private func ownDevices(_ table: MountTable, _ host: MountTable) -> Set<DeviceNumber> {
    Set(table.mounts.filter { $0.fileSystem == "tmpfs" }.map(\.device))
      .subtracting(host.mounts.map(\.device))
  }

  private func difference(_ one: [String], _ other: [String]) -> String {
    let missing = one.filter { !other.contains($0) }.map { "- " + $0 }
    let extra = other.filter { !one.contains($0) }.map { "+ " + $0 }
    return (["not as it was:"] + missing + extra).joined(separator: "\n")
  }
}
