import MountTable

/// A machine with a container on it: what `make-tree` makes of a directory, in the model.
///
/// The host has `/srv/root`, which becomes the container's root, and in `/host` a directory and a file that
/// are mounted in the container as `outside` says, before its commands run.
public struct ModelContainer: Sendable {
  /// How something of the host is tied to its source.
  public enum Outside: String, Sendable, CaseIterable {
    case none, `private`, slave, peer, slaveAndShared
  }

  public var kernel = ModelKernel()
  public var process: ModelKernel.Process
  public let host: ModelKernel.Process
  /// What the kernel said to each command; `nil` where it was done.
  public private(set) var refusals: [ModelFailure?] = []

  public init(outside: Outside = .none, newUser: Bool = false) throws(ModelFailure) {
    host = kernel.initProcess
    for path in ["/srv", "/srv/root", "/host", "/host/shared"] {
      try kernel.make(path, isDirectory: true, host)
    }
    // What is shared with the container is a mount of its own on the host.
    try kernel.mountNew("tmpfs", source: "host", at: "/host/shared", host)
    try kernel.changePropagation("/host/shared", .shared, host)
    try kernel.make("/host/shared/directory", isDirectory: true, host)
    try kernel.make("/host/shared/directory/sub", isDirectory: true, host)
    try kernel.make("/host/shared/file", isDirectory: false, host)
    process = kernel.unshare(host, newUser: newUser)
    var taken: [(mount: Int, path: String)] = []
    if outside != .none {
      for path in ["/directory", "/file"] {
        let place = try kernel.resolve("/host/shared" + path, process)
        taken.append((try kernel.openTree(place, recursive: false, process), path))
      }
    }
    try kernel.changePropagation("/", .private, recursive: true, process)
    try kernel.bind("/srv/root", at: "/srv/root", process)
    let root = try kernel.resolve("/srv/root", process).mount
    kernel.dissolve(try kernel.pivot(into: root, &process))
    for (mount, path) in taken {
      switch outside {
      case .none, .peer: break
      case .private: kernel.setPropagation(mount, .private)
      case .slave: kernel.setPropagation(mount, .slave)
      case .slaveAndShared:
        kernel.setPropagation(mount, .slave)
        kernel.setPropagation(mount, .shared)
      }
      let name = "/from-outside" + path
      if path == "/directory" { try kernel.make("/from-outside", isDirectory: true, process) }
      try kernel.make(name, isDirectory: path == "/directory", process)
      try kernel.attach(mount, at: try kernel.resolve(name, process))
    }
  }

  /// Carries out a command in the container; a refusal is noted, and nothing has happened then.
  @discardableResult
  public mutating func perform(_ command: TreeCommand) -> Bool {
    do throws(ModelFailure) {
      try kernel.perform(command, process)
      refusals.append(nil)
      return true
    } catch {
      refusals.append(error)
      return false
    }
  }

  /// How many mounts its namespace has.
  var mountCount: Int { kernel.subtree(kernel.namespaces[process.namespace].root).count }

  public func table() throws -> MountTable { try kernel.table(process) }
  public func hostTable() throws -> MountTable { try kernel.table(host) }

  /// The container is gone, the host stays.
  public mutating func end() {
    kernel.dissolve(kernel.namespaces[process.namespace].root)
  }

  /// For the mounts whose root has been unlinked: the first mount that shows the same file.
  public func unlinkedAs() throws -> [MountID: MountID] {
    var first: [Int: MountID] = [:]
    var found: [MountID: MountID] = [:]
    for mount in try table().mounts where mount.isRootDeleted {
      guard let index = kernel.mounts.firstIndex(where: { $0.id == mount.id.rawValue }) else {
        continue
      }
      let node = kernel.mounts[index].root
      if first[node] == nil { first[node] = mount.id }
      found[mount.id] = first[node]
    }
    return found
  }

  /// The files of the superblock with this device number, as an archive has them.
  public func content(of device: DeviceNumber) -> [String] {
    kernel.superblocks.indices.first { kernel.superblocks[$0].device == device }
      .map { kernel.content(of: $0) } ?? []
  }
}
