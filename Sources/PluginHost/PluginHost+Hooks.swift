import CMooring
import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// `PATH_MAX`: room that plugins may take for the paths they are given.
private let pathRoom = 4096

extension PluginHost {
  /// Asks one after the other; the first answer other than `-ENOTSUP` counts.
  private func ask(
    _ hook: PluginHook, _ subject: String, _ call: (LoadedPlugin, UnsafeMutableRawPointer) -> Int32
  ) throws(PluginFailure) -> (plugin: LoadedPlugin, result: Int32)? {
    for plugin in plugins {
      guard let function = plugin.hook(hook) else { continue }
      say(calling: plugin)
      let result = call(plugin, function)
      if result == -ENOTSUP { continue }
      if result < 0 {
        throw PluginFailure(
          "\(plugin.title): \(hook.name) for \(subject) returned \(returned(result))")
      }
      return (plugin, result)
    }
    return nil
  }

  func dump(_ request: HostMessage) throws(PluginFailure) -> HostMessage {
    let id = request.numbers[0]
    let answer: (plugin: LoadedPlugin, result: Int32)?
    switch request.kind {
    case .dumpMount:
      let path = MountPath(request.bytes)
      // The leading dot is the ABI's.
      answer = try ask(.dumpExternalMount, "\(path) (mount \(UInt32(bitPattern: id)))") {
        plugin, hook in withRoom([0x2E] + path.bytes) { mooring_hook_dump_mount(hook, $0, id) }
      }
    case .dumpLink:
      answer = try ask(.dumpExternalLink, "link \(id)") { plugin, hook in
        withRoom(request.bytes) { mooring_hook_dump_link(hook, id, request.numbers[1], $0) }
      }
    default:
      let isFile = request.kind == .dumpFile
      let descriptor = request.descriptors.first ?? -1
      answer = try ask(
        isFile ? .dumpExternalFile : .dumpUnixSocket, isFile ? "file \(id)" : "socket \(id)"
      ) { plugin, hook in mooring_hook_int_int(hook, descriptor, id) }
    }
    return answer.map { HostMessage(.answer, 1, bytes: Array($0.plugin.name.utf8)) }
      ?? HostMessage(.answer, 0)
  }

  /// A descriptor that a restore hook returned.
  func restoreDescriptor(_ request: HostMessage) throws(PluginFailure) -> HostMessage {
    let id = request.numbers[0]
    let isFile = request.kind == .restoreFile
    var isRetry = false
    let answer = try ask(
      isFile ? .restoreExternalFile : .restoreUnixSocket, isFile ? "file \(id)" : "socket \(id)"
    ) { plugin, hook in
      guard isFile else { return mooring_hook_int(hook, id) }
      return withUnsafePointer(to: plugin.plugin) { mooring_hook_restore_file($0, id, &isRetry) }
    }
    guard let answer else { return HostMessage(.answer, 0) }
    if isRetry { return HostMessage(.answer, 2, bytes: Array(answer.plugin.name.utf8)) }
    guard fcntl(answer.result, F_GETFD) >= 0 else {
      throw PluginFailure(
        "\(answer.plugin.title): \(isFile ? "RESTORE_EXT_FILE" : "RESTORE_UNIX_SK") for \(id) returned "
          + "\(answer.result), which is no open descriptor")
    }
    return HostMessage(
      .answer, 1, bytes: Array(answer.plugin.name.utf8), descriptors: [answer.result])
  }

  /// Bytes as a string of C that may be written to, with room for a whole path.
  private func withRoom<Result>(
    _ bytes: [UInt8], _ body: (UnsafeMutablePointer<CChar>) -> Result
  ) -> Result {
    var room = [CChar](repeating: 0, count: max(pathRoom, bytes.count + 1))
    for (index, byte) in bytes.enumerated() { room[index] = CChar(bitPattern: byte) }
    return room.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
  }

  // MARK: RESTORE_EXT_MOUNT

  /// Numbers: mount ID, what the dump saw (0 directory, 1 file, -1 unknown), a number for the name.
  func restoreMount(_ request: HostMessage) throws -> HostMessage {
    guard let place else { throw PluginFailure("the plugins have no temporary place") }
    let id = request.numbers[0]
    let subject = "\(MountPath(request.bytes)) (mount \(UInt32(bitPattern: id)))"
    let expected: Bool? = request.numbers[1] < 0 ? nil : request.numbers[1] == 1
    let name = Array(String(request.numbers[2]).utf8)
    for plugin in plugins {
      guard let hook = plugin.hook(.restoreExternalMount) else { continue }
      let attempt = MountAttempt(plugin: plugin, hook: hook, id: id, subject: subject)
      do {
        guard let isFile = try restore(attempt, name, expected, place) else {
          place.clear(name)
          continue
        }
        let mount = try place.take(name)
        return HostMessage(
          .answer, 1, isFile ? 1 : 0, bytes: Array(plugin.name.utf8),
          descriptors: [mount.release()])
      } catch {
        place.clear(name)
        throw error as? PluginFailure
          ?? PluginFailure("\(plugin.title): RESTORE_EXT_MOUNT for \(subject): \(error)")
      }
    }
    return HostMessage(.answer, 0)
  }

  private struct MountAttempt {
    var plugin: LoadedPlugin
    var hook: UnsafeMutableRawPointer
    var id: Int32
    var subject: String

    func failure(_ what: String) -> PluginFailure {
      PluginFailure("\(plugin.title): RESTORE_EXT_MOUNT for \(subject) \(what)")
    }
  }

  /// Lets a plugin mount, checks what it did, and says whether it is a file; `nil` for "not mine".
  private func restore(
    _ attempt: MountAttempt, _ name: [UInt8], _ expected: Bool?, _ place: TemporaryPlace
  ) throws -> Bool? {
    var (result, said) = call(attempt, name, place)
    if result == -ENOTSUP { return nil }
    var found = try place.look(at: name)
    // Today's CRIU makes the mount point itself, and some plugins count on it.
    for isFile in expected.map({ [$0] }) ?? [false, true] {
      guard case .nothing = found else { break }
      PluginServices.log(
        3,
        "\(attempt.plugin.title) made no mount point for \(attempt.subject); asked once more with a "
          + (isFile ? "file" : "directory"))
      try place.makeMountPoint(name, isFile: isFile)
      (result, said) = call(attempt, name, place)
      found = try place.look(at: name)
      if case .plain = found, result < 0, expected == nil, !isFile {
        place.clear(name)
        found = .nothing
      }
    }
    if result < 0 { throw attempt.failure("returned \(returned(result))") }
    guard case .mount(let isFile) = found else { throw attempt.failure("mounted nothing") }
    let kind = isFile ? "a file" : "a directory"
    if let said, (said != 0) != isFile {
      throw attempt.failure("mounted \(kind), and says in is_file that it is the other kind")
    }
    if let expected, expected != isFile {
      throw attempt.failure("mounted \(kind), and the container had the other kind there")
    }
    return isFile
  }

  /// One call: the result, and what it wrote to `is_file`.
  private func call(
    _ attempt: MountAttempt, _ name: [UInt8], _ place: TemporaryPlace
  ) -> (result: Int32, isFile: Int32?) {
    let untouched = Int32(-0x4D52)
    var isFile = untouched
    say(calling: attempt.plugin)
    let path = Array(place.path.utf8) + [0x2F] + name
    let result = withRoom(path) { path in
      withRoom([0x2F]) {
        mooring_hook_restore_mount(attempt.hook, attempt.id, path, $0, &isFile)
      }
    }
    return (result, isFile == untouched ? nil : isFile)
  }
}
