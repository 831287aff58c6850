import CheckpointImages
import Glibc
import LinkTable
import LinuxKernel
import Logging
import RestorePlan

/// What a restore of links into a network namespace that exists is asked for.
public struct LinkRestoreOptions: Sendable {
  public var images: String
  /// A name in `/run/netns`, or a path.
  public var namespace: String
  public var links = LinkOptions()
  /// Called as for a container; `CRTOOLS_INIT_PID` is a process of the engine in the namespace.
  public var scripts = ActionScripts()

  public init(images: String, namespace: String) {
    self.images = images
    self.namespace = namespace
  }
}

/// Restores the links of images into a network namespace that exists: links, addresses, routes, rules,
/// settings.
///
/// What clashes there is found before anything is changed. Where anything fails, the namespace is as it was:
/// a process of its own takes the changes back, even where the engine is killed.
public struct LinkRestoreOperation {
  public var options: LinkRestoreOptions
  public var log: Logger

  public init(_ options: LinkRestoreOptions, log: Logger) {
    self.options = options
    self.log = log
  }

  private struct Prepared {
    var network: SavedNetwork
    var place: NetworkPlace
    var before: NetworkTable
    var plan: LinkPlan
    var request: LinkRestoreRequest
  }

  private func prepare() throws -> Prepared {
    let networks = try ImageDirectory.open(options.images).load(only: .links).networks
    guard let network = networks.first?.leavingOut(options.links.leftOut),
      network.externalKey == nil
    else {
      throw EngineFailure(
        .refused,
        "restore: \(options.images) has no network; dump one with mooring dump --only links")
    }
    if networks.count > 1 {
      log.notice(
        "\(networks.count - 1) nested networks are left out: restore the container for them")
    }
    let place = try NetworkPlace.named(options.namespace)
    let before = try NetworkReader.table(place)
    var request = LinkRestoreRequest(
      networks: [network], existing: [before.links],
      host: try NetworkReader.links(try NetlinkSocket(), "the host"))
    request.options = options.links
    request.isFresh = before.isPristine
    request.awaitsScript = !options.scripts.commands.isEmpty
    KernelLook.ask(&request, beside: place)
    var plan = request.plan()
    plan.findings += PacketFilters.findings([network])
    plan.findings += try PacketFilters.clashes(network, place)
    return Prepared(
      network: network, place: place, before: before, plan: plan, request: request)
  }

  /// The steps for the namespace as scripts have left it.
  private func planAfterScripts(_ prepared: Prepared) throws -> LinkPlan {
    if options.scripts.commands.isEmpty { return prepared.plan }
    var request = prepared.request
    request.awaitsScript = false
    request.existing = [try NetworkReader.links(prepared.place)]
    request.host = try NetworkReader.links(try NetlinkSocket(), "the host")
    let plan = request.plan()
    if plan.problems.isEmpty { return plan }
    throw EngineFailure(
      .failed, "restore: the links cannot be restored into the namespace as it is now",
      findings: plan.findings)
  }

  /// Reads and decides; changes nothing.
  public func plan() throws -> LinkPlan {
    try EngineFailure.wrapping("plan") { try prepare().plan }
  }

  /// - Throws: `EngineFailure`; then nothing is changed.
  public func run() throws {
    try EngineFailure.wrapping("restore") {
      let prepared = try prepare()
      for finding in prepared.plan.findings where finding.severity == .note {
        log.notice("\(finding)")
      }
      if let refusal = EngineFailure.refusal("restore", prepared.plan.findings) { throw refusal }
      log.info("\(prepared.network.table.links.count) links, \(prepared.plan.steps.count) steps")
      for step in prepared.plan.steps { log.debug("\(step)") }
      let images = try ImageDirectory.open(options.images)
      let scripts = options.scripts
      let host = scripts.commands.isEmpty ? nil : try HostLinks.read()
      let namespace = options.namespace
      let before = prepared.before
      let filters = prepared.network.table.packetFilters
      var notes: [String] = []
      func undo() -> [String] {
        do {
          let place = try NetworkPlace.named(namespace)
          return HostLinks.undo(host, [place.namespace.number], notes)
            + NetworkUndo(before, loading: filters).run(place)
        } catch {
          return ["\(error); look at the network namespace \(namespace)"]
        }
      }
      var keeper = try UndoKeeper.start(hear: { notes.append($0.text) }, undo: undo)
      do {
        func run(_ action: ScriptAction) throws {
          try scripts.run(action, "restore", images: images.descriptor, process: prepared.place.pid)
          {
            try keeper.tell("script \($0)")
          }
        }
        try run(.preRestore)
        try run(.setupNamespaces)
        for note in try host?.moved(to: [prepared.place]) ?? [] { try keeper.tell(note) }
        var executor = try LinkExecutor([prepared.place], loadFilter: PacketFilters.load)
        try executor.perform(try planAfterScripts(prepared).steps)
        try run(.postSetupNamespaces)
        try verify(prepared)
        try run(.postRestore)
        try run(.networkUnlock)
      } catch {
        var failure = EngineFailure(error, "restore")
        failure.attached += keeper.undo()
        throw failure
      }
      keeper.keep()
    }
  }

  private func verify(_ prepared: Prepared) throws {
    let comparison = NetworkComparison(
      expected: prepared.network,
      found: try NetworkFacts.table(prepared.place, for: prepared.network),
      isPartial: !prepared.before.isPristine, kernel: prepared.request.kernel)
    guard !comparison.isEqual else { return }
    throw EngineFailure(
      .different,
      "restore: the restored network differs from the images:\n"
        + comparison.differences.map { "~ \($0)" }.joined(separator: "\n"))
  }
}

/// Brings a network namespace back to what it was.
struct NetworkUndo {
  private let before: NetworkTable
  private let filters: [PacketFilter: [UInt8]]

  /// - Parameter loading: rules that are loaded where there were none of their filter.
  init(_ before: NetworkTable, loading filters: [PacketFilter: [UInt8]]) {
    self.before = before
    self.filters = filters
  }

  /// - Returns: what could not be undone.
  func run(_ place: NetworkPlace) -> [String] {
    var failures: [String] = []
    func attempt(_ body: () throws -> Void) {
      do { try body() } catch { failures.append("\(error)") }
    }
    attempt {
      let now = try NetworkReader.links(place)
      var executor = try LinkExecutor([place])
      try executor.perform(LinkUndo.steps(from: now, to: before.links))
    }
    for (filter, rules) in filters { attempt { try PacketFilters.clear(filter, rules, place) } }
    attempt { try place.write(before.sysctls) }
    for kind in RecordKind.allCases {
      attempt {
        var executor = try LinkExecutor([place])
        try executor.perform([
          LinkStep(
            .own, .settle(kind, kind.records(of: before), links: nil), "put back each \(kind.noun)")
        ])
      }
    }
    return failures
  }
}
