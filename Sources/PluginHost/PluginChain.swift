import CMooring
import Glibc
import LinuxKernel
import Logging
import MountTable
import SystemPackage

/// The plugins of an operation: those written in Swift first, then those of a folder by file name.
public final class PluginChain {
  private let stage: PluginStage
  private let timeout: Int
  private let log: Logger
  private var inProcess: [any MooringPlugin] = []
  private var host: HostProcess?
  private var mountCount: Int32 = 0
  private var isFinished = false
  /// Names of plugins that the images will need (`add_inventory_plugin`).
  public private(set) var inventoryPlugins: [String] = []

  /// Loads and starts them. The calling process must be single-threaded where there is a folder.
  ///
  /// - Parameters:
  ///   - imageDirectory: what `criu_get_image_dir` gives.
  ///   - inventory: at restore, the plugins that the images need; `nil` where they do not say.
  ///   - reserved: paths that the plugins' temporary place must not hide.
  ///   - timeout: seconds that one call may take.
  /// - Throws: `PluginFailure`; plugins that had been started have been ended then.
  public static func start(
    folder: String?, stage: PluginStage, imageDirectory: CInt, inventory: [String]? = nil,
    reserved: [MountPath] = [], timeout: Int = 60, inProcess: [any MooringPlugin] = [], log: Logger
  ) throws -> PluginChain {
    let chain = PluginChain(stage: stage, timeout: timeout, log: log)
    do {
      for plugin in inProcess {
        do { try plugin.start(stage) } catch {
          throw PluginFailure("plugin \(plugin.name) refused to start: \(error)")
        }
        chain.inProcess.append(plugin)
      }
      var missing = inventory ?? []
      if let folder {
        chain.host = try HostProcess.start(
          try PluginFolder(folder), stage, imageDirectory, inventory, reserved, timeout,
          logLevel: chain.logLevel)
        _ = try chain.request(HostMessage(.load), during: "the start of the plugins")
        missing = try chain.request(HostMessage(.missing), during: "the start of the plugins").text
          .split(separator: "\n").map(String.init)
      }
      if stage == .restore, !missing.isEmpty {
        throw PluginFailure(
          "the images need the plugin\(missing.count == 1 ? "" : "s") \(missing.joined(separator: ", "))"
            + (folder.map { ", which is not in \($0)" } ?? "; name the plugin folder: -L DIR"),
          isMissingPlugin: true)
      }
      if stage == .restore, chain.host != nil {
        _ = try chain.request(HostMessage(.restoreInit), during: "RESTORE_INIT")
      }
    } catch {
      chain.abandon()
      throw error
    }
    return chain
  }

  private init(stage: PluginStage, timeout: Int, log: Logger) {
    self.stage = stage
    self.timeout = timeout
    self.log = log
  }

  deinit { abandon() }

  /// What the plugins of a folder say of themselves; none of them is started.
  public static func list(folder: String, log: Logger) throws -> [PluginDescription] {
    let chain = PluginChain(stage: .dump, timeout: 60, log: log)
    chain.host = try HostProcess.start(
      try PluginFolder(folder), .dump, -1, nil, [], 60, logLevel: chain.logLevel)
    let answer = try chain.request(HostMessage(.list), during: "loading the plugins")
    try chain.finish(succeeded: true)
    return answer.text.split(separator: "\n").compactMap { line in
      let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
      guard fields.count == 5 else { return nil }
      return PluginDescription(
        file: fields[0], name: fields[1], isLegacy: fields[2] == "1", version: fields[3],
        hooks: fields[4].split(separator: ",").map(String.init))
    }
  }

  /// Tells every plugin that the operation has failed; what goes wrong at that is logged.
  public func abandon() {
    do { try finish(succeeded: false) } catch { log.warning("\(error)") }
  }

  /// Tells every plugin that the operation has ended. Once; later calls do nothing.
  ///
  /// - Throws: `PluginFailure` where a plugin crashes or hangs at that.
  public func finish(succeeded: Bool) throws {
    guard !isFinished else { return }
    isFinished = true
    for plugin in inProcess { plugin.finish(stage, succeeded: succeeded) }
    guard host != nil else { return }
    defer { host = nil }
    _ = try request(HostMessage(.finish, succeeded ? 0 : -1), during: "exit")
  }

  // MARK: Mounts and links

  /// DUMP_EXT_MOUNT: the name of the plugin whose mount it is; `nil` where it is nobody's.
  public func dumpExternalMount(_ path: MountPath, id: MountID) throws -> String? {
    if let name = try askInProcess({ try $0.dumpExternalMount(at: path, id: id) }) { return name }
    return try asked(
      HostMessage(.dumpMount, Int32(bitPattern: id.rawValue), bytes: path.bytes),
      during: "DUMP_EXT_MOUNT for \(path) (mount \(id))")
  }

  /// DUMP_EXT_LINK.
  public func dumpExternalLink(index: Int32, type: Int32, kind: String) throws -> String? {
    if let name = try askInProcess({
      try $0.dumpExternalLink(index: index, type: type, kind: kind)
    }) {
      return name
    }
    return try asked(
      HostMessage(.dumpLink, index, type, bytes: Array(kind.utf8)),
      during: "DUMP_EXT_LINK for link \(index)")
  }

  /// What RESTORE_EXT_MOUNT brought.
  public struct RestoredMount: ~Copyable {
    /// A detached clone, with the propagation that it had.
    private var mount: Descriptor
    public let isFile: Bool
    public let plugin: String

    init(mount: consuming Descriptor, isFile: Bool, plugin: String) {
      self.mount = mount
      self.isFile = isFile
      self.plugin = plugin
    }

    public consuming func takeMount() -> Descriptor { mount }
  }

  /// RESTORE_EXT_MOUNT.
  ///
  /// - Parameter expectsFile: what the dump saw; `nil` where it did not look.
  /// - Throws: `PluginFailure` where no plugin answers, or one did not do what it says.
  public func restoreExternalMount(
    _ id: MountID, path: MountPath, expectsFile: Bool?
  ) throws -> RestoredMount {
    let during = "RESTORE_EXT_MOUNT for \(path) (mount \(id))"
    for plugin in inProcess {
      let source: ExternalMountSource?
      do { source = try plugin.restoreExternalMount(at: path, id: id) } catch {
        throw PluginFailure("plugin \(plugin.name): \(during): \(error)")
      }
      guard let source else { continue }
      return try clone(source, of: plugin.name, during, expectsFile)
    }
    mountCount += 1
    let expected: Int32 = expectsFile.map { $0 ? 1 : 0 } ?? -1
    if host != nil {
      let answer = try request(
        HostMessage(
          .restoreMount, Int32(bitPattern: id.rawValue), expected, mountCount, bytes: path.bytes),
        during: during)
      if answer.numbers[0] == 1, let mount = answer.descriptors.first {
        return RestoredMount(
          mount: Descriptor(owning: mount), isFile: answer.numbers[1] == 1, plugin: answer.text)
      }
    }
    throw PluginFailure(
      "no plugin restores \(path) (mount \(id)), for which one answered when it was saved; give the "
        + "folder that holds it: -L DIR, or a path: --external 'mnt[\(path)]:/host/path'")
  }

  private func clone(
    _ source: ExternalMountSource, of name: String, _ during: String, _ expectsFile: Bool?
  ) throws -> RestoredMount {
    do {
      let place = try Descriptor.open(source.path.bytes, flags: openPath | O_NOFOLLOW)
      var status = stat()
      try checked(
        fstat(place.number, &status) < 0 ? -Int(errno) : 0, "fstat", quoted(source.path.bytes))
      let isFile = status.st_mode & S_IFMT != S_IFDIR
      guard isFile == source.isFile, expectsFile.map({ $0 == isFile }) ?? true else {
        throw PluginFailure(
          "plugin \(name): \(during): \"\(source.path)\" is a \(isFile ? "file" : "directory"), where "
            + "a \(isFile ? "directory" : "file") was expected")
      }
      return RestoredMount(
        mount: try MountCalls.cloneTree([], below: place.number), isFile: isFile, plugin: name)
    } catch let failure as SystemCallFailure {
      throw PluginFailure("plugin \(name): \(during): \(failure)")
    }
  }

  // MARK: Files and sockets

  /// DUMP_EXT_FILE.
  public func dumpExternalFile(_ descriptor: CInt, id: Int32) throws -> String? {
    if let name = try askInProcess({ try $0.dumpExternalFile(descriptor, id: id) }) { return name }
    return try asked(
      HostMessage(.dumpFile, id, descriptors: [descriptor]), during: "DUMP_EXT_FILE for file \(id)")
  }

  /// DUMP_UNIX_SK.
  public func dumpUnixSocket(_ descriptor: CInt, inode: Int32) throws -> String? {
    if let name = try askInProcess({ try $0.dumpUnixSocket(descriptor, inode: inode) }) {
      return name
    }
    return try asked(
      HostMessage(.dumpSocket, inode, descriptors: [descriptor]),
      during: "DUMP_UNIX_SK for socket \(inode)")
  }

  /// RESTORE_EXT_FILE; asked again while the plugin wants that, up to 100 times.
  public func restoreExternalFile(id: Int32) throws -> Descriptor? {
    for plugin in inProcess {
      if let descriptor = try plugin.restoreExternalFile(id: id) {
        return Descriptor(owning: descriptor)
      }
    }
    let during = "RESTORE_EXT_FILE for file \(id)"
    for _ in 0..<100 where host != nil {
      let answer = try request(HostMessage(.restoreFile, id), during: during)
      if answer.numbers[0] == 0 { return nil }
      if let descriptor = answer.descriptors.first { return Descriptor(owning: descriptor) }
    }
    if host == nil { return nil }
    throw PluginFailure("\(during): the plugin asked for one more try 100 times")
  }

  /// RESTORE_UNIX_SK.
  public func restoreUnixSocket(inode: Int32) throws -> Descriptor? {
    for plugin in inProcess {
      if let descriptor = try plugin.restoreUnixSocket(inode: inode) {
        return Descriptor(owning: descriptor)
      }
    }
    guard host != nil else { return nil }
    let answer = try request(
      HostMessage(.restoreSocket, inode), during: "RESTORE_UNIX_SK for socket \(inode)")
    return answer.descriptors.first.map { Descriptor(owning: $0) }
  }

  // MARK: Asking

  private func askInProcess(_ question: (any MooringPlugin) throws -> Bool) throws -> String? {
    for plugin in inProcess {
      do {
        if try question(plugin) { return plugin.name }
      } catch {
        throw PluginFailure("plugin \(plugin.name): \(error)")
      }
    }
    return nil
  }

  private func asked(_ message: HostMessage, during: String) throws -> String? {
    guard host != nil else { return nil }
    let answer = try request(message, during: during)
    return answer.numbers[0] == 1 ? answer.text : nil
  }

  private var logLevel: UInt32 {
    switch log.logLevel {
    case .trace, .debug: 4
    case .info: 3
    case .notice, .warning: 2
    case .error: 1
    case .critical: 0
    }
  }

  /// Sends a request and waits for its answer; log lines and inventory names come in between.
  private func request(_ message: HostMessage, during: String) throws -> HostMessage {
    guard let host else { throw PluginFailure("the plugins have ended; \(during) is not possible") }
    do {
      return try host.request(message, during: during, timeout) { message in
        if message.kind == .inventory {
          if !inventoryPlugins.contains(message.text) { inventoryPlugins.append(message.text) }
        } else {
          record(message)
        }
      }
    } catch {
      if !host.isAlive { self.host = nil }
      throw error
    }
  }

  private func record(_ message: HostMessage) {
    var text = message.text[...]
    while text.last == "\n" { text.removeLast() }
    let level: Logger.Level =
      switch message.numbers[0] {
      case 0: .notice
      case 1: .error
      case 2: .warning
      case 3: .info
      default: .debug
      }
    for line in text.split(separator: "\n") { log.log(level: level, "\(line)") }
  }
}
