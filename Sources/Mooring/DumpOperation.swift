import CMooring
import CheckpointImages
import Glibc
import LinuxKernel
import Logging
import MountTable
import PluginHost
import RestorePlan
import SystemPackage

/// What a dump is asked for.
public struct DumpOptions: Sendable {
  public var pid: Int32
  public var images: String
  public var mounts = MountOptions()
  public var plugins: PluginOptions

  public init(pid: Int32, images: String, plugins: PluginOptions = .init()) {
    self.pid = pid
    self.images = images
    self.plugins = plugins
  }
}

/// Saves a container's mounts: facts, plugins' answers, contents of memory file systems.
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
      let watch = try MountTableWatch(options.pid)
      let facts = try ContainerFacts.read(options.pid)
      let writer = try ImageWriter.stage(for: options.images)
      // For an engine that is killed; one that fails takes the folder along itself.
      try writer.withStagingPlace { directory, name in
        try journal.record(directory: directory, name: name, .tree)
      }
      let chain = try PluginChain.starting(
        options.plugins, stage: .dump, imageDirectory: writer.descriptor, log: log)
      do {
        let classification = try facts.classify(options.mounts, chain)
        for finding in classification.findings where finding.severity == .note {
          log.notice("\(finding)")
        }
        if let refusal = EngineFailure.refusal("dump", classification.findings) { throw refusal }
        let devices = classification.savedDevices.count
        log.info("\(facts.mounts.mounts.count) mounts; saving \(devices) memory file systems")
        for (mount, kind) in zip(classification.table.mounts, classification.kinds) {
          log.debug("\(mount.mountPoint) (mount \(mount.id)): \(kind)")
        }
        let saved = try saveContents(facts, classification, writer)
        guard !watch.hasChanged() else {
          throw EngineFailure(
            .failed,
            "dump: the mounts of process \(options.pid) changed while they were being saved; "
              + "stop what changes them, or try again")
        }
        try writer.write(
          SavedContainer(
            mounts: classification.moored(
              isFile: saved.isFile, unlinkedAs: saved.unlinkedAs),
            namespaces: facts.namespaces,
            pid: facts.namespaces.own[.process] == nil ? options.pid : 1,
            pluginNames: chain?.inventoryPlugins ?? []))
        try chain?.finish()
      } catch {
        chain?.abandon()
        throw error
      }
      // The former set passes through the folder while it is replaced: from here on it is not to be lost.
      journal.forget()
      try writer.commit()
      log.info("saved into \(options.images)")
    }
  }

  private func saveContents(
    _ facts: ContainerFacts, _ classification: Classification, _ writer: borrowing ImageWriter
  ) throws -> ContentSaver.Answers {
    DescriptorLimit().raise()
    var saver = ContentSaver(classification, pid: options.pid, table: facts.mounts)
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
