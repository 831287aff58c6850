import Glibc
import LinkTable
import LinuxKernel
import Logging
import MountTable
import RestorePlan

/// The networks of a container that is being restored: planned before the namespaces exist, then again with
/// what scripts have brought, carried out, and compared.
struct NetworkRestore {
  private(set) var networks: [SavedNetwork]
  private let options: LinkOptions
  /// Files of network namespaces that come from outside, by their keys.
  private let files: [String: String]
  private let log: Logger
  /// Of the user namespace that is made.
  private let mapping: IDMapping?
  /// What the kernel said before anything was made.
  private var kernel: KernelSettings?
  private var kernelLinks: KernelLinks?

  /// - Parameter mapping: of the user namespace that is made, if one is.
  init(
    _ networks: [SavedNetwork], _ options: LinkOptions, files: [String: String],
    mapping: IDMapping?, log: Logger
  ) {
    self.networks = networks.map { $0.leavingOut(options.leftOut) }
    self.mapping = mapping
    self.options = options
    self.files = files
    self.log = log
  }

  /// The namespaces that are made: those nested in the tree.
  var nestedCount: Int { networks.dropFirst().count { $0.externalKey == nil } }

  /// The file of the container's own namespace, where that comes from outside.
  var ownFile: String? { networks.first?.externalKey.flatMap { files[$0] } }

  /// Links are made in network namespaces that the restore makes. A container without one has those of
  /// the host, which are nobody's to restore.
  static func findings(
    _ networks: [SavedNetwork], _ namespaces: ContainerNamespaces
  ) -> [Finding] {
    if networks.isEmpty || namespaces.own[.network] != nil { return [] }
    return [
      Finding(
        "the images hold links, and say that the container has no network namespace of its own: they "
          + "would be restored into that of the host",
        cures: [
          "leave them out: --only mounts",
          "restore them alone, into a namespace that is there: --only links --netns NAME",
        ])
    ]
  }

  /// What can be known before anything is made.
  mutating func firstPlan(awaitsScript: Bool) throws -> LinkPlan {
    if networks.isEmpty { return LinkPlan() }
    // What a new namespace has: a loopback.
    let loopback = Link(
      index: 1, type: 772, flags: 8,
      [NetlinkAttribute(LinkAttribute.name.rawValue, text: Array("lo".utf8))])
    var request = LinkRestoreRequest(
      networks: networks, existing: networks.map { _ in [loopback] },
      host: try NetworkReader.links(try NetlinkSocket(), "the host"))
    request.options = options
    request.awaitsScript = awaitsScript
    KernelLook.ask(&request, mapping)
    (kernel, kernelLinks) = (request.kernel, request.kernelLinks)
    var plan = request.plan()
    for key in networks.compactMap(\.externalKey) where files[key] == nil {
      plan.findings.append(
        Finding(
          "the network namespace \(key) comes from outside",
          cures: [
            "--external 'net[\(key)]:/path' with the file of one",
            "--inherit-fd 'fd[N]:\(key)' with a descriptor of one",
          ]))
    }
    return plan
  }

  /// The namespaces of the restore, in the order of the networks.
  ///
  /// - Parameter nested: descriptors of those that were made; this takes them over.
  func places(of pid: Int32, _ nested: [CInt]) throws -> [NetworkPlace] {
    var nested = nested[...]
    defer { for descriptor in nested { close(descriptor) } }
    return try networks.enumerated().map { number, network in
      if number == 0 { return try NetworkPlace.of(process: pid) }
      if let key = network.externalKey { return try NetworkPlace.named(files[key] ?? "") }
      guard let descriptor = nested.popFirst() else {
        throw EngineFailure(.failed, "restore: the worker made too few network namespaces")
      }
      return try NetworkPlace(Descriptor(owning: descriptor), name: "nested network \(number)")
    }
  }

  /// Restores into namespaces that were made for it.
  ///
  /// - Throws: `EngineFailure`, `LinkStepFailure`.
  func run(_ places: [NetworkPlace]) throws {
    if networks.isEmpty { return }
    // Whatever the plan says: not into the namespace of the engine, but where the user named that one.
    var own = stat()
    let looked = stat("/proc/thread-self/ns/net", &own)
    try checked(looked < 0 ? -Int(errno) : 0, "stat", "the network namespace of the engine")
    for (network, place) in zip(networks, places)
    where network.externalKey == nil && place.inode == UInt64(own.st_ino) {
      throw EngineFailure(
        .failed,
        "restore: \(place.name) has the network namespace of the host; nothing was restored there")
    }
    var request = LinkRestoreRequest(
      networks: networks, existing: try places.map { try NetworkReader.links($0) },
      host: try NetworkReader.links(try NetlinkSocket(), "the host"))
    request.options = options
    (request.kernel, request.kernelLinks) = (kernel, kernelLinks)
    let plan = request.plan()
    for finding in plan.findings where finding.severity == .note { log.notice("\(finding)") }
    if !plan.problems.isEmpty {
      throw EngineFailure(
        .failed, "restore: the links cannot be restored into the namespaces as they are now",
        findings: plan.findings)
    }
    for step in plan.steps { log.debug("\(step)") }
    var executor = try LinkExecutor(places, loadFilter: PacketFilters.load)
    try executor.perform(plan.steps)
    let differences = try Verification.compare(networks, places, kernel)
    guard differences.isEmpty else {
      throw EngineFailure(
        .different,
        "restore: the restored network differs from the images:\n"
          + differences.map { "~ \($0)" }.joined(separator: "\n"))
    }
  }
}

/// What a script took from the host: it goes back where the restore fails.
struct HostLinks {
  private let before: [Link]
  private let addresses: [NetlinkRecord]
  private let routes: [NetlinkRecord]

  static func read() throws -> HostLinks {
    let socket = try NetlinkSocket()
    return HostLinks(
      before: try NetworkReader.links(socket, "the host"),
      addresses: try NetworkReader.records(.addresses, socket, "the host"),
      routes: try NetworkReader.records(.routes, socket, "the host"))
  }

  /// Takes back what scripts have done.
  ///
  /// - Parameters:
  ///   - host: `nil` where there are no scripts.
  ///   - notes: what an undo keeper heard: `script` and a process group, and what `moved(to:)` said.
  /// - Returns: what could not be taken back.
  static func undo(_ host: HostLinks?, _ namespaces: [CInt], _ notes: [String]) -> [String] {
    // What a script of an engine that was killed has started.
    if let group = notes.last(where: { $0.hasPrefix("script ") }).flatMap({
      pid_t($0.dropFirst(7))
    }), group > 0 {
      kill(-group, SIGKILL)
    }
    return host?.bringBack(
      from: namespaces, moved: notes.filter { $0.first?.isNumber ?? false }) ?? []
  }

  /// Finds the links of the host that are in one of the namespaces now and brings them back, each with its
  /// name, index, state, addresses and routes.
  ///
  /// - Parameters:
  ///   - namespaces: descriptors.
  ///   - moved: what `moved(to:)` said, before anybody changed the links.
  /// - Returns: what could not be brought back.
  func bringBack(from namespaces: [CInt], moved notes: [String]) -> [String] {
    let moved = Set(notes)
    var failures: [String] = []
    do {
      let socket = try NetlinkSocket()
      let now = Set(try NetworkReader.links(socket, "the host").map(\.index))
      var missing = before.filter { !now.contains($0.index) }
      if missing.isEmpty { return [] }
      let host = try NetworkPlace(
        try Descriptor.open("/proc/thread-self/ns/net", flags: O_RDONLY), name: "the host")
      for (slot, namespace) in namespaces.enumerated() {
        let place = try NetworkPlace(
          try Descriptor.open("/proc/thread-self/fd/\(namespace)", flags: O_RDONLY),
          name: "the container")
        for link in try NetworkReader.links(place) {
          let found =
            missing.firstIndex { moved.contains(Self.note(slot, link, $0)) }
            ?? (moved.isEmpty ? missing.firstIndex { $0.isProbably(link) } : nil)
          guard let found else { continue }
          let old = missing.remove(at: found)
          do {
            try bringBack(old, link, place, host)
          } catch {
            failures.append("\(error); \(old) was taken by a script, and is to be brought back")
          }
        }
      }
    } catch {
      failures.append("\(error)")
    }
    return failures
  }

  /// Which links of the host are in the namespaces now, and which they were: a note for each.
  func moved(to places: [NetworkPlace]) throws -> [String] {
    let now = Set(try NetworkReader.links(try NetlinkSocket(), "the host").map(\.index))
    var missing = before.filter { !now.contains($0.index) }
    if missing.isEmpty { return [] }
    var notes: [String] = []
    for (slot, place) in places.enumerated() {
      for link in try NetworkReader.links(place) {
        let found =
          missing.firstIndex { $0.isProbably(link) }
          // Its address may be another one by now; its index goes with it where that is free.
          ?? missing.firstIndex {
            $0.index == link.index && $0.kind == link.kind && $0.type == link.type
          }
        guard let found else { continue }
        notes.append(Self.note(slot, link, missing.remove(at: found)))
      }
    }
    return notes
  }

  private static func note(_ slot: Int, _ link: Link, _ old: Link) -> String {
    "\(slot) \(link.index) \(old.index)"
  }

  private func bringBack(
    _ old: Link, _ link: Link, _ place: NetworkPlace, _ host: NetworkPlace
  ) throws {
    var executor = try LinkExecutor([place])
    try executor.perform([LinkUndo.move(link, back: old)])
    var there = try LinkExecutor([host])
    let moved = try NetworkReader.links(host).first { $0.name == old.name }
    try there.perform(
      LinkUndo.steps(
        from: moved.map { [$0] } ?? [], to: [old]))
    let links: Set<Int32> = [old.index]
    for (kind, records) in [(RecordKind.addresses, addresses), (.routes, routes)] {
      let own = kind.about(links, records)
      try there.perform([
        LinkStep(.own, .settle(kind, own, links: links), "put the \(kind) of \(old) back")
      ])
    }
  }
}
