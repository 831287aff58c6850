import CMooring
import Glibc
import LinuxKernel
import MountTable
import SystemPackage

extension PluginHost {
  /// The plugins' answer to a question: `answer` without fields where all said "not mine". Its
  /// descriptors are the host's to close.
  func reply(to request: PluginMessage) throws -> PluginMessage {
    switch request.kind {
    case .dumpMount: try dumpMount(request)
    case .restoreMount: try restoreMount(request)
    case .dumpLink: try dumpLink(request)
    case .dumpFile: try dump(.dumpFile, request, "for file \(request.number(0))")
    case .dumpSocket: try dump(.dumpUnixSocket, request, "for socket \(request.number(0))")
    case .restoreFile: try restoreFile(request)
    case .restoreSocket: try restoreSocket(request)
    default:
      throw PluginFailure(
        operation: settings.operation, reason: "the engine said \(request.kind) out of turn")
    }
  }

  /// Asks one plugin after the other until one does not say `-ENOTSUP`. Every other negative number
  /// is a failure, 0 or more is an answer.
  func ask(
    _ hook: PluginHook, _ subject: String, _ call: (inout mooring_plugin) -> CInt
  ) throws -> (plugin: LoadedPlugin, result: CInt)? {
    for plugin in plugins where plugin.has(hook) {
      var functions = plugin.functions
      let result = calling(plugin.file, "\(hook)", subject) { call(&functions) }
      if result == -ENOTSUP { continue }
      guard result >= 0 else { throw failure(plugin, "\(hook)", subject, result) }
      return (plugin, result)
    }
    return nil
  }

  private func answer(_ plugin: LoadedPlugin?) -> PluginMessage {
    PluginMessage(.answer, texts: plugin.map { [$0.name] } ?? [])
  }

  private func dumpMount(_ request: PluginMessage) throws -> PluginMessage {
    let path = MountPath(request.fields[0])
    let id = UInt32(request.number(1))
    let subject = "for \(path) (mount \(id))"
    guard path.bytes.count + 2 <= Int(PATH_MAX) else {
      throw PluginFailure(
        operation: settings.operation, subject: "\(PluginHook.dumpExternalMount) \(subject)",
        reason: "plugins take paths of \(PATH_MAX - 2) bytes at most")
    }
    return answer(
      try ask(.dumpExternalMount, subject) { functions in
        withRoom([0x2E] + path.bytes) {
          mooring_hook_dump_mount(&functions, $0, CInt(bitPattern: id))
        }
      }?.plugin)
  }

  private func dumpLink(_ request: PluginMessage) throws -> PluginMessage {
    let (index, type) = (CInt(request.number(0)), CInt(request.number(1)))
    return answer(
      try ask(.dumpExternalLink, "for link \(index) of kind \"\(request.text(2))\"") { functions in
        withRoom(request.fields[2]) { mooring_hook_dump_link(&functions, index, type, $0) }
      }?.plugin)
  }

  private func dump(
    _ hook: PluginHook, _ request: PluginMessage, _ subject: String
  ) throws -> PluginMessage {
    guard let descriptor = request.descriptors.first else {
      throw PluginFailure(operation: settings.operation, reason: "the engine sent no descriptor")
    }
    let id = CInt(bitPattern: UInt32(request.number(0)))
    return answer(
      try ask(hook, subject) {
        mooring_hook_dump_descriptor(&$0, hook.rawValue, descriptor, id)
      }?.plugin)
  }

  private func restoreSocket(_ request: PluginMessage) throws -> PluginMessage {
    let inode = UInt32(request.number(0))
    let subject = "for socket \(inode)"
    let answer = try ask(.restoreUnixSocket, subject) {
      mooring_hook_restore_socket(&$0, CInt(bitPattern: inode))
    }
    return try opened(answer, .restoreUnixSocket, subject)
  }

  private func restoreFile(_ request: PluginMessage) throws -> PluginMessage {
    let id = UInt32(request.number(0))
    let subject = "for file \(id)"
    var isRetryNeeded = false
    let answer = try ask(.restoreFile, subject) {
      isRetryNeeded = false
      return mooring_hook_restore_file(&$0, CInt(bitPattern: id), &isRetryNeeded)
    }
    // What it returned then is no descriptor.
    if isRetryNeeded, let answer {
      return PluginMessage(.answer, texts: [answer.plugin.name, "again"])
    }
    return try opened(answer, .restoreFile, subject)
  }

  /// A descriptor that a plugin opened; it is closed here when it has been sent.
  private func opened(
    _ answer: (plugin: LoadedPlugin, result: CInt)?, _ hook: PluginHook, _ subject: String
  ) throws -> PluginMessage {
    guard let answer else { return PluginMessage(.answer) }
    guard answer.result >= HostDescriptor.firstFree, fcntl(answer.result, F_GETFD) >= 0 else {
      throw failure(
        answer.plugin, "\(hook)", subject,
        "it returned \(answer.result), which is not a descriptor that it opened")
    }
    return PluginMessage(.answer, texts: [answer.plugin.name], descriptors: [answer.result])
  }
}

/// A C string in a buffer of `PATH_MAX` bytes that the callee may write to.
func withRoom<Result>(
  _ bytes: [UInt8], _ body: (UnsafeMutablePointer<CChar>) throws -> Result
) rethrows -> Result {
  try withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
    buffer.initialize(repeating: 0)
    for (index, byte) in bytes.prefix(Int(PATH_MAX) - 1).enumerated() {
      buffer[index] = CChar(bitPattern: byte)
    }
    return try body(buffer.baseAddress!)
  }
}
