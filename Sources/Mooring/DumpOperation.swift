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
      let facts = try ContainerFacts.read(options.pid)
      var writer = try ImageWriter.stage(for: options.images)
      let chain = try PluginChain.starting(
        options.plugins, stage: .dump, imageDirectory: writer.descriptor, log: log)
      do {
        let classification = try facts.classify(options.mounts, chain)
        for finding in classification.findings where finding.severity == .note {
          log.notice("\(finding)")
        }
        if let refusal = EngineFailure.refusal("dump", classification.findings) { throw refusal }
        let kinds = try saveContents(facts, classification, writer)
        guard try readMountTable(of: options.pid).hasSameMounts(as: facts.mounts) else {
          throw EngineFailure(
            .failed,
            "dump: the mounts of process \(options.pid) changed while they were being saved; "
              + "stop what changes them, or try again")
        }
        try writer.write(
          SavedContainer(
            mounts: try MountTable(classification.moored { kinds[$0.id] }),
            namespaces: facts.namespaces, pid: options.pid, pluginNames: chain?.inventoryPlugins,
            archivedDevices: classification.savedDevices))
        chain?.finish(succeeded: true)
      } catch {
        chain?.finish(succeeded: false)
        throw error
      }
      try writer.commit()
    }
  }

  /// A child enters the container, makes a private copy of its mounts, and writes an archive for
  /// each memory file system. It also looks whether roots that matter are files.
  private func saveContents(
    _ facts: ContainerFacts, _ classification: Classification, _ writer: borrowing ImageWriter
  ) throws -> [MountID: Bool] {
    let table = classification.table
    var archives: [DeviceNumber: CInt] = [:]
    defer { for descriptor in archives.values { _ = close(descriptor) } }
    for device in classification.savedDevices.sorted() {
      archives[device] = try writer.createContents(of: device).release()
    }
    var wanted: [Int] = []
    var widest: [DeviceNumber: [Int]] = [:]
    for (index, mount) in table.mounts.enumerated() {
      if archives[mount.device] != nil && !mount.isRootDeleted {
        widest[mount.device, default: []].append(index)
      }
      let kind = classification.kinds[index]
      if mount.isRootDeleted || kind.isExternal { wanted.append(index) }
    }
    var archived: [DeviceNumber: [Int]] = [:]
    for (device, indices) in widest {
      archived[device] = widestRoots(indices, table)
      wanted += archived[device]!
    }
    return try ContentSaver(archives: archives, archived: archived).run(
      pid: options.pid, table: facts.mounts, kept: table, wanted: wanted)
  }

  /// One mount for each root that no other root contains.
  private func widestRoots(_ indices: [Int], _ table: MountTable) -> [Int] {
    var chosen: [MountPath: Int] = [:]
    for index in indices.sorted(by: {
      (table.mounts[$0].root.depth, $0) < (table.mounts[$1].root.depth, $1)
    }) {
      let root = table.mounts[index].root
      var path: MountPath? = root
      var isContained = false
      while let current = path, !isContained {
        isContained = chosen[current] != nil
        path = current.parent
      }
      if !isContained { chosen[root] = index }
    }
    return chosen.values.sorted()
  }
}

extension MountTable {
  /// Whether the other table lists the same mounts; IDs and propagation included.
  func hasSameMounts(as other: MountTable) -> Bool { Set(mounts) == Set(other.mounts) }
}

/// What the kernel says of a container: read once.
public struct ContainerFacts: Sendable {
  public var mounts: MountTable
  public var namespaces: ContainerNamespaces
  /// The engine's own mounts.
  public var host: MountTable

  /// - Throws: `ReadFailure` in one sentence: no such process, no permission, a table that keeps
  ///   changing.
  public static func read(_ pid: Int32) throws -> ContainerFacts {
    ContainerFacts(
      mounts: try readMountTable(of: pid), namespaces: try readNamespaces(of: pid),
      host: try readMountTable(of: getpid()))
  }

  func classify(_ options: MountOptions, _ chain: PluginChain?) throws -> Classification {
    let isOwn = namespaces.own[.mount] != nil
    let classifier = Classifier(
      options: options, namespaces: namespaces, host: isOwn ? host : nil,
      askPlugin: { mount in
        try chain?.dumpExternalMount(mount.mountPoint, id: mount.id)
      })
    return try classifier.classify(mounts)
  }
}

extension EngineFailure {
  /// Runs `body`; what it throws becomes an `EngineFailure` that names the operation.
  static func wrapping<Result>(_ operation: String, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let failure as EngineFailure {
      throw failure
    } catch {
      throw EngineFailure(.failed, "\(operation): \(error)")
    }
  }
}

extension PluginChain {
  /// The chain for these options; `nil` where there is no plugin at all.
  static func starting(
    _ options: PluginOptions, stage: PluginStage, imageDirectory: CInt, log: Logger
  ) throws -> PluginChain? {
    guard options.folder != nil || !options.inProcess.isEmpty else { return nil }
    return try PluginChain.start(
      folder: options.folder, stage: stage, imageDirectory: imageDirectory, inventory: nil,
      reserved: [], timeout: options.timeout, inProcess: options.inProcess, log: log)
  }
}
