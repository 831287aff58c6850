import CMooring
import Glibc
import LinuxKernel
import MountTable

/// What came of a question about a file.
public struct FileAnswer: ~Copyable {
  public let plugin: String
  public let file: RestoredFile

  public init(plugin: String, file: consuming RestoredFile) {
    self.plugin = plugin
    self.file = file
  }

  /// The file alone.
  public consuming func takeFile() -> RestoredFile { file }
}

extension PluginChain {
  /// Asks for a mount that neither a file system of the container nor a mapping explains
  /// (DUMP_EXT_MOUNT).
  ///
  /// - Parameters:
  ///   - path: the mount point in the container; plugins in C get it with a dot in front.
  ///   - id: the ID in `/proc/PID/mountinfo`.
  /// - Returns: the name of the plugin that answered; `nil` where none did.
  /// - Throws: `PluginFailure`.
  public func dumpExternalMount(_ path: MountPath, id: MountID) throws -> String? {
    let subject = "for \(path) (mount \(id))"
    return try dump(
      .dumpExternalMount, subject, PluginMessage(.dumpMount, [path.bytes, bytes(id.rawValue)])
    ) { try $0.dumpExternalMount(path, id: id) }
  }

  /// Asks for a network link that the engine cannot create (DUMP_EXT_LINK). `type` is the `ARPHRD_*`
  /// number, `kind` the link's `IFLA_INFO_KIND`, empty where it has none.
  public func dumpExternalLink(index: Int32, type: Int32, kind: String) throws -> String? {
    try dump(
      .dumpExternalLink, "for link \(index) of kind \"\(kind)\"",
      PluginMessage(.dumpLink, texts: [String(index), String(type), kind])
    ) { try $0.dumpExternalLink(index: index, type: type, kind: kind) }
  }

  /// Asks for an open file of a kind that the engine does not know (DUMP_EXT_FILE). The descriptor
  /// stays the caller's; a plugin in C gets a duplicate.
  public func dumpFile(_ descriptor: CInt, id: UInt32) throws -> String? {
    try dump(
      .dumpFile, "for file \(id)",
      PluginMessage(.dumpFile, [bytes(id)], descriptors: [descriptor])
    ) { try $0.dumpFile(descriptor, id: id) }
  }

  /// Asks for a unix socket whose peer is outside the container (DUMP_UNIX_SK).
  public func dumpUnixSocket(_ descriptor: CInt, inode: UInt32) throws -> String? {
    try dump(
      .dumpUnixSocket, "for socket \(inode)",
      PluginMessage(.dumpSocket, [bytes(inode)], descriptors: [descriptor])
    ) { try $0.dumpUnixSocket(descriptor, inode: inode) }
  }

  /// Opens a file that a plugin dumped under `id` (RESTORE_EXT_FILE).
  ///
  /// - Returns: the file, or that the plugin wants to be asked again; and whose answer it is.
  /// - Throws: `PluginFailure`, also where no plugin answers.
  public func restoreFile(_ id: UInt32) throws -> FileAnswer {
    for plugin in inProcess {
      if let file = try calling(
        plugin, "\(PluginHook.restoreFile)", "for file \(id)", { try plugin.restoreFile(id) })
      {
        return FileAnswer(plugin: plugin.name, file: file)
      }
    }
    let answer = try asked(PluginMessage(.restoreFile, [bytes(id)]), "file \(id)")
    if answer.text(1) == "again" { return FileAnswer(plugin: answer.text(0), file: .notYet) }
    return FileAnswer(
      plugin: answer.text(0), file: .opened(try descriptor(of: answer, "file \(id)")))
  }

  /// Makes a unix socket that a plugin dumped under `inode` (RESTORE_UNIX_SK).
  ///
  /// - Throws: `PluginFailure`, also where no plugin answers.
  public func restoreUnixSocket(inode: UInt32) throws -> Descriptor {
    for plugin in inProcess {
      if let descriptor = try calling(
        plugin, "\(PluginHook.restoreUnixSocket)", "for socket \(inode)",
        { try plugin.restoreUnixSocket(inode: inode) })
      {
        return descriptor
      }
    }
    let answer = try asked(PluginMessage(.restoreSocket, [bytes(inode)]), "socket \(inode)")
    return try descriptor(of: answer, "socket \(inode)")
  }

  /// Asks plugins in Swift, then the host; the answer is somebody's name.
  private func dump(
    _ hook: PluginHook, _ subject: String, _ question: PluginMessage,
    _ body: (any MooringPlugin) throws -> PluginAnswer
  ) throws(PluginFailure) -> String? {
    for plugin in inProcess {
      if try calling(plugin, "\(hook)", subject, { try body(plugin) }) == .mine {
        answered.append(plugin.name)
        return plugin.name
      }
    }
    guard let host else { return nil }
    do {
      let answer = try host.ask(question)
      return answer.fields.isEmpty ? nil : answer.text(0)
    } catch {
      throw PluginFailure.wrapping(error, operation)
    }
  }

  /// The host's answer to a question that somebody must answer.
  func asked(_ question: PluginMessage, _ subject: String) throws -> PluginMessage {
    let answer = try host?.ask(question)
    if let answer, !answer.fields.isEmpty { return answer }
    throw PluginFailure(
      operation: operation, subject: subject,
      reason: "no plugin answers for it; put the plugin that dumped it into the plugin folder")
  }

  func descriptor(of answer: PluginMessage, _ subject: String) throws -> Descriptor {
    guard let descriptor = answer.descriptors.first else {
      throw PluginFailure(
        operation: operation, subject: subject,
        reason: "its descriptor did not arrive; raise the limit on open files (ulimit -n)")
    }
    return Descriptor(owning: descriptor)
  }

  func bytes(_ number: UInt32) -> [UInt8] { Array(String(number).utf8) }
}
