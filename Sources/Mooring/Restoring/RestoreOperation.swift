import CMooring
import CheckpointImages
import FileTable
import Glibc
import LinkTable
import LinuxKernel
import Logging
import MountTable
import PluginHost
import RestorePlan
import SystemPackage

/// What a restore is asked for.
public struct RestoreOptions: Sendable {
  public var images: String
  public var root: String?
  public var mounts = MountOptions()
  public var links = LinkOptions()
  public var files = FileOptions()
  /// The descriptors that `files.inherited` names, where they have been set apart already; else `plan` and
  /// `run` do so as the first thing.
  public var inherited: InheritedFiles?
  /// Files of network namespaces that come from outside, by their keys.
  public var networkFiles: [String: String] = [:]
  /// What is restored; `nil` for what the images have.
  public var parts: SavedParts?
  public var scripts = ActionScripts()
  public var plugins: PluginOptions
  public var command: HolderCommand
  /// Where the PID of the process that holds the namespaces is written.
  public var pidFile: String?
  /// Files that shall keep the namespaces.
  public var pins: NamespacePins?
  /// Return once the namespaces are verified, and leave their holder.
  public var isDetached = false

  public init(
    images: String, root: String?, plugins: PluginOptions = .init(),
    command: HolderCommand = .none
  ) {
    self.images = images
    self.root = root
    self.plugins = plugins
    self.command = command
  }
}

/// Restores a container's namespaces: plan, plugins, worker, verification, and the holder.
///
/// Whatever fails, what was made is gone when `run` throws: the worker is dead and its namespaces
/// with it, the journal has undone what lay outside, the plugins' `exit` has been told.
public struct RestoreOperation {
  public var options: RestoreOptions
  public var log: Logger

  public init(_ options: RestoreOptions, log: Logger) {
    self.options = options
    self.log = log
  }

  /// Reads the images and decides; changes nothing and loads no plugin.
  ///
  /// - Throws: `EngineFailure` where the images cannot be read.
  public func plan() throws -> (mounts: RestorePlan, links: LinkPlan, files: FilePlan) {
    try EngineFailure.wrapping("plan") {
      let prepared = try prepare(inheritedFiles(), forCommand: true)
      var links = prepared.linkPlan
      // There are no pins and no pid file: they are about networks.
      links.findings += prepared.otherFindings
      return (prepared.plan, links, prepared.filePlan)
    }
  }

  struct Prepared {
    var saved: SavedContainer
    var plan: RestorePlan
    var root: MountPath?
    /// The engine's own mounts.
    var host: MountTable
    var networks: NetworkRestore
    var linkPlan: LinkPlan
    var filePlan: FilePlan
    /// Of pins, and of tools that are missing.
    var otherFindings: [Finding] = []
    var findings: [Finding] {
      plan.findings + linkPlan.findings + filePlan.findings + otherFindings
    }
  }

  /// - Parameters:
  ///   - inherited: what the caller gives by descriptors.
  ///   - forCommand: whether there is, or will be, a COMMAND that takes open files.
  ///   - name: what temporary names begin with.
  func prepare(
    _ inherited: InheritedFiles, forCommand: Bool, named name: String = ""
  ) throws -> Prepared {
    let images = try ImageDirectory.open(options.images)
    let available = try images.parts()
    var saved = try images.load(only: (options.parts ?? available).union(.mounts))
    saved.mountTable = saved.mountTable?.leavingOut(options.mounts.leftOut)
    let outside = OutsidePaths.look(at: options.mounts, saved.mounts)
    let root = try options.root.map { try resolvedRoot($0) }
    try MountPointKinds.complete(&saved.mounts, images, saved.archivedDevices, root: root)
    let host = try readOwnMountTable()
    var request = RestoreRequest(
      table: saved.mounts, namespaces: saved.namespaces, archivedDevices: saved.archivedDevices,
      options: outside.options, root: root, host: host,
      descriptorLimit: Int(clamping: DescriptorLimit().most))
    request.outside = outside.found
    request.archivedRoots = saved.archivedRoots
    request.mountLimit = mountLimit()
    request.restoreName = name
    var networkFiles = options.networkFiles
    for option in options.files.inherited {
      guard let path = inherited.path(of: option.number) else { continue }
      networkFiles[String(decoding: option.key.bytes, as: UTF8.self)] = path
    }
    var networks = NetworkRestore(
      saved.networks, options.links, files: networkFiles, mapping: saved.namespaces.mapping,
      log: log)
    let linkPlan = try networks.firstPlan(awaitsScript: !options.scripts.commands.isEmpty)
    var plan = request.plan()
    let kernel = FileSystemTrial.ask(plan) {
      try UserNamespaceMaker.make(
        IDMapping(
          users: [.init(inside: 0, outside: 0, count: 1)],
          groups: [.init(inside: 0, outside: 0, count: 1)]))
    }
    plan.findings += kernel.findings(for: plan, saved.namespaces)
    if !options.mounts.leftOut.contains(.attribute, "user") {
      plan.findings += try kernel.findings(for: plan) { device in
        guard let archive = try images.openContents(of: device) else { return nil }
        return try ContentArchive.path(withAttributeOf: "user", in: archive.number)
      }
    }
    return Prepared(
      saved: saved, plan: plan, root: root, host: host, networks: networks,
      linkPlan: linkPlan,
      filePlan: OpenFiles.plan(
        saved.files, options.files, inherited, networks: saved.networks, forCommand: forCommand),
      otherFindings: pidFileFindings() + (options.pins?.findings() ?? [])
        + NetworkRestore.findings(saved.networks, saved.namespaces)
        + PacketFilters.findings(saved.networks))
  }

  private func pidFileFindings() -> [Finding] {
    guard let path = options.pidFile, let pid = PIDFile.livingHolder(path) else { return [] }
    return [
      Finding(
        "--pidfile \(path): process \(pid), which it names, still lives",
        cures: ["end it first: kill \(pid)", "name another file"])
    ]
  }

  private func resolvedRoot(_ text: String) throws -> MountPath {
    switch OutsidePaths.resolve(MountPath(text)) {
    case .success(let path):
      if OutsidePaths.look(at: path) == .directory { return path }
      throw EngineFailure(.refused, "restore: --root \(text) is not a directory")
    case .failure(let failure):
      throw EngineFailure(.refused, "restore: --root: \(failure); name a directory that is there")
    }
  }

  /// Restores, and gives the exit status of COMMAND; 0 where there is none.
  ///
  /// The calling process must be single-threaded.
  ///
  /// - Throws: `EngineFailure`; then nothing is left behind.
  public func run() throws -> CInt {
    let inherited = inheritedFiles()
    let name = String(UInt32.random(in: 0...UInt32.max), radix: 36) + "-"
    let prepared = try EngineFailure.wrapping("restore") {
      try prepare(inherited, forCommand: hasCommand, named: name)
    }
    for finding in prepared.findings where finding.severity == .note {
      log.notice("\(finding)")
    }
    if let refusal = EngineFailure.refusal("restore", prepared.findings) { throw refusal }
    log.info("\(prepared.plan.expected.mounts.count) mounts, \(prepared.plan.steps.count) steps")
    if log.logLevel <= .debug { for step in prepared.plan.steps { log.debug("\(step)") } }
    let callersLimit = DescriptorLimit()
    callersLimit.raise()
    let images = try ImageDirectory.open(options.images)
    var journal = UndoJournal()
    try options.scripts.run(.preRestore, "restore", images: images.descriptor) {
      try journal.record(script: $0)
    }
    let chain = try EngineFailure.wrapping("restore") {
      try startPlugins(prepared, images.descriptor)
    }
    do {
      var description = Worker(
        plan: prepared.plan, namespaces: prepared.saved.namespaces, command: options.command,
        callersLimit: callersLimit)
      description.leftOut = options.mounts.leftOut
      description.networkFile = prepared.networks.ownFile
      description.isPinned = options.pins != nil
      description.fileList = prepared.filePlan.environment
      description.nestedNetworks = prepared.networks.nestedCount
      description.bringsLoopbackUp = prepared.saved.networks.isEmpty
      var worker = try WorkerProcess.start(description)
      do {
        try restore(prepared, inherited, images, chain, &worker, &journal)
      } catch {
        // What else failed because the worker is gone is a consequence. Where it has told why already, nothing
        // comes after that but the end of the channel.
        let isTold = (error as? EngineFailure)?.isWorkersEnd ?? false
        let first = isTold ? nil : worker.ownFailure()
        worker.end()
        guard var first else { throw error }
        first.attached = (error as? EngineFailure)?.attached ?? []
        throw first
      }
      journal.forget()
      return try finish(&worker)
    } catch {
      chain?.abandon()
      var failure = EngineFailure(error, "restore")
      failure.attached += journal.undo()
      throw failure
    }
  }

  private func restore(
    _ prepared: Prepared, _ inherited: InheritedFiles, _ images: borrowing ImageDirectory,
    _ chain: PluginChain?,
    _ worker: inout WorkerProcess, _ journal: inout UndoJournal
  ) throws {
    let nested = try worker.makeNamespaces(prepared.saved.namespaces.mapping)
    let scripts = options.scripts
    let places = try prepared.networks.places(of: worker.pid, nested)
    // What scripts take from the host goes back where the restore fails.
    let host = options.scripts.commands.isEmpty ? nil : try HostLinks.read()
    var keeper: UndoKeeper?
    if host != nil || options.pins != nil { keeper = try hostKeeper(host, worker.pid, places) }
    var pidFile: PIDFile? = nil
    if let path = options.pidFile { pidFile = try PIDFile(path) }
    func run(_ action: ScriptAction) throws {
      try scripts.run(action, "restore", images: images.descriptor, process: worker.pid) {
        try keeper?.tell("script \($0)")
      }
    }
    do {
      try run(.setupNamespaces)
      for note in try host?.moved(to: places) ?? [] { try keeper?.tell(note) }
      try prepared.networks.run(places)
      try buildMounts(prepared, images, chain, &worker, &journal)
      try run(.postSetupNamespaces)
      try verify(prepared, worker.pid)
      log.info("verified; process \(worker.pid) holds the namespaces")
      try FileRestore(plan: prepared.filePlan, chain: chain, inherited: inherited, log: log)
        .run { try worker.give($0, as: $1) }
      try run(.postRestore)
      try run(.networkUnlock)
      try chain?.finish()
      if let pins = options.pins {
        try keeper?.tell(pins.isThere ? "pins in place" : "pins")
        try pin(prepared, worker.pid, places)
      }
      if staysWithProcess { try journal.record(holder: worker.pid) }
      try pidFile?.write(worker.pid, &journal)
      try run(.preResume)
      try worker.hold()
      // In the foreground signals are to reach COMMAND from its beginning on: there it is asked at its end.
      if options.isDetached { try worker.awaitCommand() }
      try run(.postResume)
    } catch {
      var failure = EngineFailure(error, "restore")
      failure.attached += keeper?.undo() ?? []
      throw failure
    }
    keeper?.keep()
    pidFile?.keep()
  }

  private func pin(_ prepared: Prepared, _ pid: pid_t, _ places: [NetworkPlace]) throws {
    guard let pins = options.pins else { return }
    var kinds = Set(prepared.saved.namespaces.own.keys).union([.mount])
    // Without a process a pid namespace is dead.
    if !staysWithProcess { kinds.remove(.process) }
    let nested = zip(prepared.networks.networks, places).dropFirst()
      .filter { $0.0.externalKey == nil }.map { $0.1.namespace.number }
    try pins.pin(pid, kinds.sorted { $0.rawValue < $1.rawValue }, nested: nested)
  }

  private func inheritedFiles() -> InheritedFiles {
    options.inherited ?? InheritedFiles(options.files.inherited.map(\.number))
  }

  private var hasCommand: Bool {
    if case .run = options.command { true } else { false }
  }

  private var staysWithProcess: Bool { hasCommand || options.isDetached }

  private func hostKeeper(
    _ host: HostLinks?, _ pid: pid_t, _ places: [NetworkPlace]
  ) throws -> UndoKeeper {
    let namespaces =
      places.isEmpty
      ? [try Descriptor.open("/proc/\(pid)/ns/net", flags: O_RDONLY).release()]
      : places.map { $0.namespace.number }
    defer { if places.isEmpty { close(namespaces[0]) } }
    let pins = options.pins
    var notes: [String] = []
    func undo() -> [String] {
      var failures: [String] = []
      if let pins, let note = notes.last(where: { $0.hasPrefix("pins") }) {
        failures = NamespacePins.takeAway(
          pins.directory, keepsDirectory: note == "pins in place")
      }
      return HostLinks.undo(host, namespaces, notes) + failures
    }
    return try UndoKeeper.start(hear: { notes.append($0.text) }, undo: undo)
  }

  private func buildMounts(
    _ prepared: Prepared, _ images: borrowing ImageDirectory, _ chain: PluginChain?,
    _ worker: inout WorkerProcess, _ journal: inout UndoJournal
  ) throws {
    let outside = OutsideMounts(
      plan: prepared.plan, root: prepared.root, plugins: chain,
      host: options.mounts.allowsLooserFlags ? nil : prepared.host, log: log)
    for step in prepared.plan.steps {
      guard case .takeFromOutside(let source, let id, let slot) = step else { break }
      try worker.provide(try outside.take(source, id), in: slot, isRoot: source == .root)
    }
    try worker.build { message in
      switch message.kind {
      case .needContent:
        let device = DeviceNumber(packed: UInt32(message.number ?? 0))
        guard let content = try images.openContents(of: device) else {
          throw EngineFailure(.failed, "the images hold no content for the superblock \(device)")
        }
        return Message(.answer, descriptors: [content.release()])
      case .needUnlinked:
        let mount = MountID(UInt32(clamping: message.number ?? 0))
        guard let content = try images.openUnlinked(mount) else {
          throw EngineFailure(.failed, "the images do not hold what mount \(mount) shows")
        }
        return Message(.answer, descriptors: [content.release()])
      case .willMake:
        guard let directory = message.descriptors.first, message.bytes.count > 1 else { break }
        defer { _ = close(directory) }
        try journal.record(
          directory: directory, name: Array(message.bytes.dropFirst()),
          message.bytes[0] == 1 ? .file : .directory)
        return Message(.answer)
      case .willExchange:
        guard let (one, other) = message.names(message.bytes[...]) else { break }
        defer { for descriptor in message.descriptors { _ = close(descriptor) } }
        try journal.recordExchange(one, with: other)
        return Message(.answer)
      case .joinOutside:
        guard let mount = message.descriptors.first, let number = message.number else { break }
        let owner = Descriptor(owning: mount)
        try outside.join(owner.number, MountID(UInt32(number)))
        return Message(.answer)
      case .rename:
        guard let (one, other) = message.names(message.bytes.dropFirst()) else { break }
        defer { for descriptor in message.descriptors { _ = close(descriptor) } }
        try EngineRename.run(
          one, other, exchanging: message.bytes[0] == 1, for: worker.pid,
          prepared.saved.namespaces.mapping)
        return Message(.answer)
      case .needIDMapping:
        guard let mapping = IDMapping(wireText: message.text) else { break }
        let namespace = try UserNamespaceMaker.make(mapping)
        return Message(.answer, descriptors: [namespace.release()])
      default: break
      }
      throw EngineFailure(.failed, "the worker asked for \(message.kind), which is not to be had")
    }
  }

  /// Reads the new namespace afresh and compares it with what the images say. What lies in memory file
  /// systems was written by this restore, each failure an error: `mooring verify` compares it too.
  private func verify(_ prepared: Prepared, _ pid: pid_t) throws {
    let verification = try Verification.compare(
      prepared.plan.expected, prepared.plan.kinds, prepared.saved.namespaces, with: pid)
    guard !verification.isEqual else { return }
    throw EngineFailure(
      .different, "restore: the restored tree differs from the images:\n\(verification)")
  }

  private func finish(_ worker: inout WorkerProcess) throws -> CInt {
    if options.isDetached {
      worker.leave()
      return 0
    }
    if !staysWithProcess {
      // The pins keep what it held.
      worker.end()
      return 0
    }
    let status = SignalForwarding(to: worker.pid).whileRunning { worker.waitForEnd() }
    try worker.awaitCommand()
    return status
  }

  private func startPlugins(_ prepared: Prepared, _ images: CInt) throws -> PluginChain? {
    guard options.plugins.folder != nil || !options.plugins.inProcess.isEmpty else {
      if prepared.saved.pluginNames?.isEmpty ?? true, !prepared.filePlan.asksPlugins,
        !prepared.plan.kinds.contains(where: {
          if case .externalByPlugin = $0 { true } else { false }
        })
      {
        return nil
      }
      throw EngineFailure(
        .refused,
        "restore: plugins answered for parts of these images, and no plugin folder is given; "
          + "name it: -L DIR")
    }
    return try PluginChain.start(
      folder: options.plugins.folder, stage: .restore, imageDirectory: images,
      inventory: prepared.saved.pluginNames, reserved: reservedPaths(prepared),
      timeout: options.plugins.timeout, inProcess: options.plugins.inProcess, log: log)
  }

  /// Paths of the host that the restore reads: the plugins' temporary place must not hide them.
  private func reservedPaths(_ prepared: Prepared) -> [MountPath] {
    var paths = prepared.root.map { [$0] } ?? []
    for case .takeFromOutside(.path(let path), _, _) in prepared.plan.steps { paths.append(path) }
    return paths
  }
}
