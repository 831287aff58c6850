import CMooring
import Glibc
import LinuxKernel
import MountTable

/// What a plugin mounted for the restore of an external mount.
public struct RestoredMount: ~Copyable {
  /// A detached clone. Where the plugin bound a mount that is shared on the host, it is a slave of it.
  public let mount: Descriptor
  /// Whether it shows a file rather than a directory: what was mounted, not what was said.
  public let isFile: Bool
  /// The flags that the plugin mounted it with.
  public let flags: MountAttributes.Flags
  /// The name of the plugin.
  public let plugin: String

  /// Gives the mount away.
  public consuming func takeMount() -> Descriptor { mount }
}

extension PluginChain {
  /// Asks for a mount that a plugin dumped (RESTORE_EXT_MOUNT).
  ///
  /// The plugin mounts it in a temporary place of its own mount namespace; what comes back is a
  /// detached clone of that one mount.
  ///
  /// - Parameters:
  ///   - id: the ID that the plugin was given at dump.
  ///   - path: the mount point in the container, for messages and for plugins in Swift.
  ///   - expectsFile: what the dump recorded; `nil` where it did not look.
  /// - Throws: `PluginFailure`, also where no plugin answers, where nothing was mounted, and where it
  ///   is a file and should be a directory or the other way round.
  public func restoreExternalMount(
    _ id: MountID, path: MountPath, expectsFile: Bool?
  ) throws -> RestoredMount {
    for plugin in inProcess {
      let source = try calling(
        plugin, "\(PluginHook.restoreExternalMount)", "for \(path) (mount \(id))"
      ) { try plugin.restoreExternalMount(id, at: path) }
      guard let source else { continue }
      return try restore(plugin, source, "for \(path) (mount \(id))", expectsFile)
    }
    let kind = expectsFile.map { $0 ? "file" : "directory" } ?? ""
    let answer = try asked(
      PluginMessage(.restoreMount, [bytes(id.rawValue), path.bytes, Array(kind.utf8)]),
      "\(path) (mount \(id))")
    return RestoredMount(
      mount: try descriptor(of: answer, "\(path) (mount \(id))"),
      isFile: answer.text(1) == "file",
      flags: MountAttributes.Flags(rawValue: UInt32(answer.text(2)) ?? 0), plugin: answer.text(0))
  }

  private func restore(
    _ plugin: any MooringPlugin, _ source: consuming ExternalMountSource, _ subject: String,
    _ expectsFile: Bool?
  ) throws -> RestoredMount {
    let hook = "\(PluginHook.restoreExternalMount)"
    let mount: Descriptor
    switch consume source {
    case .path(let path):
      mount = try calling(plugin, hook, subject) {
        let place = try Descriptor.open(path.bytes, flags: openPath | O_NOFOLLOW)
        let clone = try MountCalls.cloneTree([], below: place.number)
        // As a plugin's bind in a slave of the host's namespace would be.
        try MountCalls.setPropagation(clone.number, .slave)
        return clone
      }
    case .mount(let detached): mount = detached
    }
    var status = stat()
    let isFile = fstat(mount.number, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR
    if let expectsFile, expectsFile != isFile {
      throw PluginFailure(
        operation: operation, plugin: plugin.name, hook: hook, subject: subject,
        reason: "it gave \(isFile ? "a file" : "a directory"), where "
          + "\(expectsFile ? "a file" : "a directory") was dumped")
    }
    let flags = try MountCalls.protectingFlags(mount.number)
    return RestoredMount(mount: mount, isFile: isFile, flags: flags, plugin: plugin.name)
  }
}
