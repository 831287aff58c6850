import CMooring
import Glibc
import LinuxKernel
import Logging
import MountTable
import PluginHost
import RestorePlan
import SystemPackage

/// What a restore takes from the engine's side: the root, mapped paths, what plugins mount.
struct OutsideMounts {
  private let root: MountPath?
  private let plugins: PluginChain?
  private let expected: MountTable
  private let sourceOfMount: [MountID: OutsideSource]
  /// The mounts for which the plan was made; `nil` where their flags do not matter.
  private let host: MountTable?
  private let log: Logger

  init(
    plan: RestorePlan, root: MountPath?, plugins: PluginChain?, host: MountTable?, log: Logger
  ) {
    self.root = root
    self.plugins = plugins
    self.host = host
    self.log = log
    expected = plan.expected
    var sources: [MountID: OutsideSource] = [:]
    for case .joinGroupOutside(let source, let id, _) in plan.steps { sources[id] = source }
    sourceOfMount = sources
  }

  /// A detached clone, private: nothing that is mounted while the tree is built may spread.
  func take(_ source: OutsideSource, _ id: MountID) throws -> Descriptor {
    switch source {
    case .root, .path:
      let mount = try clone(source, id)
      try MountCalls.setPropagation(mount.number, .private)
      return mount
    case .plugin(let expectsFile):
      guard let plugins, let facts = expected[id] else {
        throw EngineFailure(.failed, "restore: no plugin is loaded for mount \(id)")
      }
      let answer = try plugins.restoreExternalMount(
        id, path: facts.mountPoint, expectsFile: expectsFile)
      // A bind that the plugin made of a shared mount is a slave of the host's group: kept where
      // the container's mount was one.
      noteFlags(answer.flags, answer.plugin, facts)
      let mount = answer.takeMount()
      if facts.master == nil { try MountCalls.setPropagation(mount.number, .private) }
      return mount
    }
  }

  /// Lets a mount of the container join the peer group of its source. The engine does it: a worker
  /// in a user namespace may not.
  func join(_ mount: CInt, _ id: MountID) throws {
    guard let source = sourceOfMount[id] else {
      throw EngineFailure(.failed, "restore: mount \(id) has no source outside")
    }
    let peer = try clone(source, id)
    try MountCalls.joinGroup(of: peer.number, mount)
  }

  /// `open_tree(OPEN_TREE_CLONE)` of a path here; what is shared stays a peer of its group.
  private func clone(_ source: OutsideSource, _ id: MountID) throws -> Descriptor {
    let path: MountPath
    switch source {
    case .root: path = root ?? .root
    case .path(let other): path = other
    case .plugin: throw EngineFailure(.failed, "restore: a plugin's mount \(id) has no path")
    }
    do {
      return try Waiting.on("\(quoted(path.bytes)) on the host", atMost: Waiting.patience) {
        () throws -> Descriptor in
        let place = try Descriptor.open(path.bytes, flags: openPath | O_NOFOLLOW)
        try checkFlags(place, path, id)
        return try MountCalls.cloneTree([], below: place.number)
      }
    } catch let failure as SystemCallFailure {
      let mountPoint = expected[id]?.mountPoint.description ?? "?"
      throw EngineFailure(
        .failed,
        "restore: take \(mountPoint) (mount \(id)) from \"\(path)\": \(failure.errno.symbol) "
          + "(\(failure.errno.text))"
          + hint(failure.errno))
    }
  }
}

extension OutsideMounts {
  /// The plan has taken the flags of the place into account; whether it is still that one, or has got others
  /// meanwhile, the descriptor says.
  private func checkFlags(_ place: borrowing Descriptor, _ path: MountPath, _ id: MountID) throws {
    guard let host, let planned = expected[id]?.attributes.flags else { return }
    let number = try checked(mooring_mount_id(place.number), "statx", quoted(path.bytes))
    // Asked of the file system, where the mount is not in the table; a server might not answer.
    let flags =
      try host[MountID(UInt32(clamping: number))]?.attributes.flags
      ?? MountCalls.protectingFlags(place.number)
    let lacking = flags.intersection(.protecting).subtracting(planned)
    if lacking.isEmpty { return }
    throw EngineFailure(
      .failed,
      "restore: take \(path): it is \(lacking.protectingWords) now, and was not when the restore was "
        + "planned; try again")
  }

  /// What a plugin mounts is the plugin's affair: the mount gets the flags that were saved, as CRIU does it.
  private func noteFlags(_ flags: MountAttributes.Flags, _ plugin: String, _ facts: Mount) {
    let lost = flags.subtracting(facts.attributes.flags)
    if lost.isEmpty { return }
    let words = lost.protectingWords
    log.notice(
      "\(facts.mountPoint) (mount \(facts.id)): plugin \(plugin) mounted it \(words), and it gets the flags that were saved"
    )
  }

  private func hint(_ errno: Errno) -> String {
    switch errno {
    case .noSuchFileOrDirectory:
      "; make it, or map it elsewhere with --external 'mnt[KEY]:/other/path'"
    case .notPermitted: "; a restore wants CAP_SYS_ADMIN over the mounts here: run it as root"
    case .invalidArgument:
      "; the mount there is unbindable: bind it elsewhere, or make it private on the host"
    default: ""
    }
  }
}

/// Makes user namespaces for idmapped mounts: a child makes one and waits until it is opened.
enum UserNamespaceMaker {
  static func make(_ mapping: IDMapping) throws -> Descriptor {
    let child = try PacketSocket.fork("a process for a user namespace") { socket in
      let result = mooring_unshare(NamespaceCalls.flag(of: .user))
      try? Channel.send(
        Message(result < 0 ? .failed : .ready, text: String(-result)), over: socket.number)
      _ = try? Channel.receive(from: socket.number)
      mooring_exit(0)
    }
    defer {
      kill(child.pid, SIGKILL)
      _ = waitpid(child.pid, nil, 0)
    }
    guard let message = try Channel.receive(from: child.socket.number), message.kind == .ready
    else {
      throw EngineFailure(.failed, "restore: no user namespace could be made for an idmapped mount")
    }
    try NamespaceCalls.write(mapping, of: child.pid)
    return try Descriptor.open("/proc/\(child.pid)/ns/user", flags: O_RDONLY)
  }
}

/// Renames for the worker, which cannot rename what is a mount point in its namespace.
enum EngineRename {
  typealias Name = (directory: CInt, name: [UInt8])

  /// - Parameters:
  ///   - pid: the worker. In a file system of its user namespace only its users can make names.
  ///   - mapping: of that user namespace.
  static func run(
    _ one: Name, _ other: Name, exchanging: Bool, for pid: pid_t, _ mapping: IDMapping?
  ) throws(SystemCallFailure) {
    var renamed = renameNames(one, other, exchanging: exchanging)
    if renamed == -Int(EOVERFLOW), let mapping {
      renamed = try inUserNamespace(of: pid, mapping) {
        renameNames(one, other, exchanging: exchanging)
      }
    }
    try checked(renamed, "renameat2", "\(quoted(one.name)) to \(quoted(other.name))")
  }

  /// What `body` returned in a process of its own in that user namespace, or `-errno`.
  private static func inUserNamespace(
    of pid: pid_t, _ mapping: IDMapping, _ body: () -> Int
  ) throws(SystemCallFailure) -> Int {
    let namespace = try Descriptor.open("/proc/\(pid)/ns/user", flags: O_RDONLY)
    let child = try checked(mooring_fork(), "fork", "a process that renames")
    if child == 0 {
      var result = mooring_setns(namespace.number, NamespaceCalls.flag(of: .user))
      if result >= 0, let group = mapping.groups.map(\.inside).min() {
        result = mooring_become_group(group)
      }
      if result >= 0, let user = mapping.users.map(\.inside).min() {
        result = mooring_become_user(user)
      }
      mooring_exit(CInt(-(result < 0 ? result : body())))
    }
    var status: CInt = 0
    while waitpid(pid_t(child), &status, 0) < 0, errno == EINTR {}
    return status & 0x7F == 0 ? -Int(status >> 8 & 0xFF) : -Int(EIO)
  }
}
