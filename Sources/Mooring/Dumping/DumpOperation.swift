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

/// What a dump is asked for.
public struct DumpOptions: Sendable {
  public enum Source: Sendable, Hashable {
    /// A running container: one of its processes.
    case process(Int32)
    /// A network namespace alone: a name in `/run/netns`, or a path.
    case network(String)
  }

  public var source: Source
  public var images: String
  /// What is saved; of a network namespace it is the links. Open files are looked at where asked for.
  public var parts: SavedParts = [.mounts, .links]
  public var mounts = MountOptions()
  /// Whether the mounts of a process in the engine's own mount namespace are saved, which are the host's.
  public var allowsOwnMounts = false
  public var links = LinkOptions()
  public var files = FileOptions()
  /// Whether private keys of wireguard links are saved.
  public var savesWireguardKeys = false
  public var scripts = ActionScripts()
  public var plugins: PluginOptions

  public init(_ source: Source, images: String, plugins: PluginOptions = .init()) {
    self.source = source
    self.images = images
    self.plugins = plugins
  }
}

/// Saves a container's mounts and links: facts, plugins' answers, contents of memory file systems.
///
/// The images are staged beside their place and take it when they are complete; a dump that fails
/// leaves what was there before.
public struct DumpOperation {
  public var options: DumpOptions
  public var log: Logger

  public init(_ options: DumpOptions, log: Logger) {
    self.options = options
    self.log = log
  }

  /// - Throws: `EngineFailure`; then no image was written.
  public func run() throws {
    try EngineFailure.wrapping("dump") {
      // Before anything big is in memory, which a fork would have to copy.
      var journal = try UndoJournal.started()
      // For an engine that is killed; one that fails takes the folder along itself.
      var recorded: Result<Void, any Error> = .success(())
      let writer = try ImageWriter.stage(for: options.images) { directory, name in
        recorded = Result { try journal.record(directory: directory, name: name, .tree) }
      }
      try recorded.get()
      let chain = try PluginChain.starting(
        options.plugins, stage: .dump, imageDirectory: writer.descriptor, log: log)
      let process: Int32? = if case .process(let pid) = options.source { pid } else { nil }
      let staged = writer.descriptor
      func run(_ action: ScriptAction) throws {
        try options.scripts.run(action, "dump", images: staged, process: process) {
          try journal.record(script: $0)
        }
      }
      do {
        try run(.preDump)
        try run(.networkLock)
        let saved: SavedContainer
        do {
          saved = try save(writer, chain)
        } catch {
          // Who has locked the network unlocks it.
          var failure = EngineFailure(error, "dump")
          do { try run(.networkUnlock) } catch { failure.attached.append("\(error)") }
          throw failure
        }
        try run(.networkUnlock)
        try writer.write(saved)
        try run(.postDump)
        try chain?.finish()
        try writer.noteOtherFiles()
      } catch {
        chain?.abandon()
        throw error
      }
      if writer.replacesFormer {
        // The former set passes through the folder while it is replaced: from here on it is not to be lost.
        journal.forget()
        try writer.commit()
      } else {
        // The name of the folder is gone with the commit.
        try writer.commit()
        journal.forget()
      }
      log.info("saved into \(options.images)")
    }
  }

  /// Asks and decides about everything before anything is written, so that all problems come together.
  private func save(
    _ writer: borrowing ImageWriter, _ chain: PluginChain?
  ) throws -> SavedContainer {
    var saved = SavedContainer(mounts: nil, namespaces: ContainerNamespaces(), parts: parts)
    var findings: [Finding] = []
    var mounts: (facts: ContainerFacts, classification: Classification)?
    var watch: MountTableWatch?
    if case .process(let pid) = options.source {
      saved.namespaces = try readNamespaces(of: pid)
      saved.pid = saved.namespaces.own[.process] == nil ? pid : 1
      if parts.contains(.mounts) {
        if saved.namespaces.own[.mount] == nil && !options.allowsOwnMounts {
          findings.append(ownMounts(pid, saved.namespaces))
        }
        watch = try MountTableWatch(pid)
        let facts = try ContainerFacts.read(pid)
        let classification = try facts.classify(options.mounts, chain)
        findings += classification.findings
        mounts = (facts, classification)
      }
    }
    if parts.contains(.links), let networks = try networks(saved.namespaces) {
      let classification = try NetworkFacts.classify(
        networks, options.links, chain, withKeys: options.savesWireguardKeys)
      findings += classification.findings
      var found = classification.networks.map { $0.leavingOut(options.links.leftOut) }
      KernelLook.mark(&found, networks, log)
      saved.setNetworks(found)
    }
    if parts.contains(.files), case .process(let pid) = options.source {
      let table = try mounts?.facts.mounts ?? readMountTable(of: pid)
      let files = try OpenFiles.classify(
        pid, table, skipped: options.mounts.skipped, options.files, chain)
      findings += files.findings
      saved.files = files
    }
    for finding in findings where finding.severity == .note { log.notice("\(finding)") }
    if let refusal = EngineFailure.refusal("dump", findings) { throw refusal }
    if case .process(let pid) = options.source, let mounts {
      let contents = try saveContents(pid, mounts.facts, mounts.classification, writer)
      guard !(watch?.hasChanged() ?? false) else {
        throw EngineFailure(
          .failed,
          "dump: the mounts of process \(pid) changed while they were being saved; "
            + "stop what changes them, or try again")
      }
      saved.mountTable = mounts.classification.moored(
        isFile: contents.isFile, unlinkedAs: contents.unlinkedAs
      )
      .leavingOut(options.mounts.leftOut)
    }
    saved.pluginNames = chain?.inventoryPlugins ?? []
    return saved
  }

  /// Most often a wrong PID.
  private func ownMounts(_ pid: Int32, _ namespaces: ContainerNamespaces) -> Finding {
    var cures = ["name a process of the container: -t PID"]
    if namespaces.own[.network] != nil { cures.append("save its links alone: --only links") }
    cures.append("save the host's mounts: --allow-own-mounts")
    return Finding(
      "process \(pid) has no mount namespace of its own but that of mooring itself, so that the host's "
        + "mounts would be saved", cures: cures)
  }

  private var parts: SavedParts {
    if case .network = options.source { .links } else { options.parts }
  }

  /// `nil` where the container has no network of its own.
  private func networks(_ namespaces: ContainerNamespaces) throws -> [NetworkPlace]? {
    switch options.source {
    case .network(let name): return [try NetworkPlace.named(name)]
    case .process(let pid):
      if namespaces.own[.network] == nil {
        log.info("process \(pid) has no network of its own; no links are saved")
        return nil
      }
      return try NetworkPlace.ofTree(pid)
    }
  }

  private func saveContents(
    _ pid: Int32, _ facts: ContainerFacts, _ classification: Classification,
    _ writer: borrowing ImageWriter
  ) throws -> ContentSaver.Answers {
    let devices = classification.savedDevices.count
    log.info("\(facts.mounts.mounts.count) mounts; saving \(devices) memory file systems")
    for (mount, kind) in zip(classification.table.mounts, classification.kinds) {
      log.debug("\(mount.mountPoint) (mount \(mount.id)): \(kind)")
    }
    DescriptorLimit().raise()
    var saver = ContentSaver(classification, pid: pid, table: facts.mounts)
    defer { saver.close() }
    for device in saver.devices {
      saver.add(try writer.createContents(of: device), for: device)
    }
    try saver.lookAtUnlinked()
    try saver.run()
    try saver.saveUnlinked { try writer.createUnlinked($0) }
    return saver.answers
  }
}
