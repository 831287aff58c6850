import CMooring
import Glibc
import LinuxKernel
import MountTable

/// RESTORE_EXT_MOUNT for one mount: the plugin makes the mount point and mounts; what it says is
/// checked against what is there.
///
/// | first call | at the place | then |
/// |---|---|---|
/// | `-ENOTSUP` | | the next plugin, at a new place |
/// | 0 | a mount | it is the answer |
/// | 0 or an error | nothing at all | the mount point is made, and the plugin asked once more |
/// | an error | something | the plugin failed |
/// | 0 | a mount point, no mount | the plugin failed |
///
/// Today's CRIU makes the mount point itself, and plugins written for it do not: hence the second call.
extension PluginHost {
  private struct Question {
    var id: UInt32
    var expectsFile: Bool?
    var subject: String
  }

  /// The answer: name of the plugin, whether it is a file, and the detached mount.
  func restoreMount(_ request: PluginMessage) throws -> PluginMessage {
    let id = UInt32(request.number(0))
    let question = Question(
      id: id, expectsFile: request.text(2).isEmpty ? nil : request.text(2) == "file",
      subject: "for \(MountPath(request.fields[1])) (mount \(id))")
    for index in plugins.indices where plugins[index].has(.restoreExternalMount) {
      guard let place = place?.next() else { break }
      if let answer = try restore(question, plugins[index], place.path, place.name) {
        return answer
      }
    }
    return PluginMessage(.answer)
  }

  private func restore(
    _ question: Question, _ plugin: LoadedPlugin, _ path: MountPath, _ name: String
  ) throws -> PluginMessage? {
    var call = self.call(plugin, question, path)
    if call.result == -ENOTSUP { return nil }
    var found = try content(name)
    var firstResult: CInt?
    if found == .nothing {
      firstResult = call.result
      try makeMountPoint(for: plugin, question, name, call.result)
      call = self.call(plugin, question, path)
      found = try content(name)
    }
    guard call.result == 0 else {
      var reason = "it returned \(PluginFailure.text(ofResult: call.result))"
      if let firstResult {
        reason +=
          " for a mount point that was made for it, and before that "
          + PluginFailure.text(ofResult: firstResult)
      }
      throw no(plugin, question, reason)
    }
    guard case .mount(let isFile, let uniqueID) = found else {
      throw no(plugin, question, "it returned 0 and mounted nothing on \(path)")
    }
    try check(plugin, question, isFile: isFile, said: call.isFile)
    if place?.hasMountsBelow(uniqueID) == true {
      remark(
        2,
        "plugin \(plugin.file) \(question.subject): what it mounted below its mount is left out")
    }
    do {
      return try answer(plugin, isFile, name)
    } catch {
      // An unbindable mount, above all.
      throw no(plugin, question, "what it mounted on \(path) cannot be taken over: \(error)")
    }
  }

  /// One call, with buffers of its own; `isFile` is what the plugin wrote, `nil` for nothing.
  private func call(
    _ plugin: LoadedPlugin, _ question: Question, _ path: MountPath
  ) -> (result: CInt, isFile: CInt?) {
    let unwritten: CInt = -1
    var isFile = unwritten
    var functions = plugin.functions
    let id = CInt(bitPattern: question.id)
    let result = calling(plugin.file, "\(PluginHook.restoreExternalMount)", question.subject) {
      withRoom(path.bytes) { path in
        withRoom([0x2F]) { root in
          mooring_hook_restore_mount(&functions, id, path, root, &isFile)
        }
      }
    }
    return (result, isFile == unwritten ? nil : isFile)
  }

  private func makeMountPoint(
    for plugin: LoadedPlugin, _ question: Question, _ name: String, _ result: CInt
  ) throws {
    let isFile = question.expectsFile ?? false
    try place?.makeMountPoint(name, isFile: isFile)
    remark(
      3,
      "plugin \(plugin.file), \(PluginHook.restoreExternalMount) \(question.subject): it returned "
        + "\(PluginFailure.text(ofResult: result)) and made no mount point; it is asked again, with "
        + (isFile ? "a file" : "a directory") + " made for it")
  }

  /// What was mounted must be what the plugin says, and what the dump recorded.
  private func check(
    _ plugin: LoadedPlugin, _ question: Question, isFile: Bool, said: CInt?
  ) throws {
    let kind = isFile ? "a file" : "a directory"
    if let said, (said != 0) != isFile {
      throw no(plugin, question, "it said is_file = \(said), and mounted \(kind)")
    }
    if let expected = question.expectsFile, expected != isFile {
      throw no(
        plugin, question,
        "it mounted \(kind), where \(expected ? "a file" : "a directory") was dumped")
    }
  }

  private func answer(
    _ plugin: LoadedPlugin, _ isFile: Bool, _ name: String
  ) throws -> PluginMessage? {
    guard let mount = try place?.clone(name) else { return nil }
    let flags = try MountCalls.protectingFlags(mount.number).rawValue
    return PluginMessage(
      .answer, texts: [plugin.name, isFile ? "file" : "directory", String(flags)],
      descriptors: [mount.release()])
  }

  private func content(_ name: String) throws -> PlaceContent {
    try place?.content(name) ?? .nothing
  }

  private func no(
    _ plugin: LoadedPlugin, _ question: Question, _ reason: String
  ) -> PluginFailure {
    failure(plugin, "\(PluginHook.restoreExternalMount)", question.subject, reason)
  }
}
