import MountTable

/// Finds a short list of commands that fails as a long one does.
public struct TreeShrinker {
  private let outside: ModelContainer.Outside
  private let newUser: Bool
  private let fails: (ModelContainer) -> Bool

  public init(
    outside: ModelContainer.Outside, newUser: Bool = false,
    fails: @escaping (ModelContainer) -> Bool
  ) {
    self.outside = outside
    self.newUser = newUser
    self.fails = fails
  }

  /// Leaves out halves, quarters, … single commands, as long as what is left fails.
  public func shrink(_ commands: [TreeCommand]) throws -> [TreeCommand] {
    var kept = commands
    var length = max(1, kept.count / 2)
    while true {
      var start = 0
      var isShorter = false
      while start < kept.count {
        var shorter = kept
        shorter.removeSubrange(start..<min(start + length, kept.count))
        if fails(try build(shorter)) {
          kept = shorter
          isShorter = true
        } else {
          start += length
        }
      }
      if length == 1, !isShorter { return kept }
      length = max(1, length / 2)
    }
  }

  public func build(_ commands: [TreeCommand]) throws -> ModelContainer {
    var container = try ModelContainer(outside: outside, newUser: newUser)
    for command in commands { container.perform(command) }
    return container
  }
}

/// A table as `/proc/PID/mountinfo` would say it, for whoever reads a failure.
public func mountInfoText(_ table: MountTable) -> String {
  table.mounts.map { mount in
    var fields = ""
    if let group = mount.peerGroup { fields += " shared:\(group)" }
    if let master = mount.master { fields += " master:\(master)" }
    if mount.isUnbindable { fields += " unbindable" }
    let options = mount.superblockOptions.isEmpty ? "" : ",\(mount.superblockOptions)"
    return "\(mount.id) \(mount.parent) \(mount.device) \(mount.root)"
      + (mount.isRootDeleted ? "//deleted" : "")
      + " \(mount.mountPoint) \(mount.attributes)\(fields) - \(mount.fileSystem) \(mount.source) "
      + "\(mount.superblockFlags)\(options)"
  }.joined(separator: "\n")
}
