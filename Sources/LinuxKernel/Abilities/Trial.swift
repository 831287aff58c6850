import CMooring
import Glibc
import LinkTable
import MountTable
import RestorePlan
import SystemPackage

/// Trying out one feature, where that needs a call. What is mounted belongs to the process that tries: see
/// `KernelAbilities`.
enum Trial {
  /// What stands in the way, in the words of the error that `body` throws.
  static func failure(_ body: () throws -> Void) -> String? {
    do {
      try body()
      return nil
    } catch {
      return "\(error)"
    }
  }

  static func run(_ feature: KernelFeature) throws {
    switch feature {
    case .mountRights: try mountRights()
    case .networkRights: try networkRights()
    case .fileComparison: try fileComparison()
    case .userAttributes: try setUserAttribute(newTmpfs())
    case .threadDescriptors:
      let process = try checked(
        mooring_pidfd_open(getpid(), DescriptorTable.ofThread), "pidfd_open", "a thread")
      close(CInt(process))
    case .unixDiagnosis:
      _ = try NetlinkSocket(protocol: NetlinkSocket.diagnosis).unixSockets(show: 0)
    case .namespace(let kind): try makeNamespace(kind)
    case .linkKind(let kind): try LinkKindTrial.run(kind)
    case .deviceNodes:
      let mount = try newTmpfs()
      try checked(
        mknodat(mount.number, "null", S_IFCHR | 0o600, 0x103) < 0 ? -Int(errno) : 0, "mknodat",
        "a device node")
    case .mountAPI:
      let mount = try newTmpfs()
      try MountCalls.setAttributes(mount.number, MountAttributes(.readOnly))
      try attach(mount.number)
    case .peerGroups:
      let one = try newTmpfs()
      // Before Linux 6.15 only what is attached can be cloned.
      try attach(one.number)
      let other = try MountCalls.cloneTree([], below: one.number)
      try MountCalls.setPropagation(one.number, .shared)
      try MountCalls.joinGroup(of: one.number, other.number)
    case .statmount: _ = try statmount([.mount])
    case .mappingReading:
      let answer = try statmount([.mount, .supported])
      guard answer.has(.supported), answer.knows(.users) else {
        throw SystemCallFailure("statmount", on: "the mapping of a mount", .notSupported)
      }
    case .mappingClearing:
      let mount = try newTmpfs()
      let flags = UInt32(
        MOORING_OPEN_TREE_CLONE | MOORING_OPEN_TREE_CLOEXEC | MOORING_AT_EMPTY_PATH)
      let clone = try checked(
        mooring_open_tree_clearing(mount.number, "", flags, UInt64(MOORING_ATTR_IDMAP)),
        "open_tree_attr", "a mount")
      close(CInt(clone))
    case .mappedTmpfs:
      let mount = try newTmpfs()
      let namespace = try mappedUserNamespace()
      try MountCalls.setIDMapping(mount.number, userNamespace: namespace.number)
    case .packetFilter: break
    }
  }

  /// The right is looked at before all else: what else is wrong with the call tells that it is there.
  private static func mountRights() throws(SystemCallFailure) {
    let root = try Descriptor.open("/", flags: openPath | O_DIRECTORY)
    do throws(SystemCallFailure) {
      _ = try MountCalls.cloneTree([], below: root.number)
    } catch {
      // Mounts below that must not be left out (`mount_namespaces(7)`).
      if error.errno != .invalidArgument { throw error }
    }
  }

  /// Deletes a link that cannot be there.
  private static func networkRights() throws(SystemCallFailure) {
    var header = [UInt8](repeating: 0, count: 16)
    header.replaceSubrange(4..<8, with: Int32.max.nativeBytes)
    let request = NetlinkRecord(type: MessageType.deleteLink, header: header)
    if let answer = try NetlinkSocket().perform([(request, 0)]).first, var failure = answer,
      failure.errno.rawValue != ENODEV
    {
      failure.subject = "a link here"
      throw failure
    }
  }

  /// On the root of a file system.
  static func setUserAttribute(_ mount: borrowing Descriptor) throws(SystemCallFailure) {
    let root = try Descriptor.open([0x2E], below: mount.number, flags: O_RDONLY | O_DIRECTORY)
    try checked(
      mooring_set_attribute(root.number, nil, "user.mooring", "1", 1), "setxattr",
      "a file in memory")
  }

  private static func fileComparison() throws(SystemCallFailure) {
    let own = getpid()
    try checked(mooring_kcmp(own, own, CInt(MOORING_KCMP_FILE), 1, 1), "kcmp", "a descriptor")
    let process = Descriptor(
      owning: CInt(try checked(mooring_pidfd_open(own, 0), "pidfd_open", "\(own)")))
    let copy = try checked(
      mooring_pidfd_getfd(process.number, process.number), "pidfd_getfd", "a descriptor")
    close(CInt(copy))
  }

  /// Whoever is not root makes a user namespace first, where the rest is allowed.
  private static func makeNamespace(_ kind: NamespaceKind) throws(SystemCallFailure) {
    try NamespaceCalls.unshare(geteuid() == 0 ? [kind] : [.user, kind])
  }

  /// A detached one, in a mount namespace where nothing can spread from.
  private static func newTmpfs() throws(SystemCallFailure) -> Descriptor {
    try leaveMounts()
    return try MountCalls.create(
      NewFileSystem(type: "tmpfs", source: "none", parameters: [], flags: []))
  }

  private static func leaveMounts() throws(SystemCallFailure) {
    try makeNamespace(.mount)
    try checked(
      mooring_mount(nil, "/", nil, UInt(MS_REC) | UInt(MS_PRIVATE), nil), "mount",
      "/ (make everything private)")
  }

  private static func attach(_ mount: CInt) throws(SystemCallFailure) {
    let place = try Descriptor.open("/", flags: openPath | O_DIRECTORY)
    try MountCalls.attach(mount, at: place.number)
  }

  /// What is told of a mount of a namespace that is named by its ID.
  private static func statmount(_ mask: Statmount.Mask) throws -> Statmount {
    // So that there is one below the root.
    let mount = try newTmpfs()
    try attach(mount.number)
    let id = try ProcessFolder.own().mountNamespaceID().get()
    var reader = Statmount(namespace: id)
    guard let first = try reader.list(from: UInt64.max).get().first else {
      throw SystemCallFailure("listmount", on: "the mounts", .noSuchFileOrDirectory)
    }
    try checked(reader.read(first, mask), "statmount", "a mount")
    return reader
  }

  /// A user namespace with the caller's IDs in it.
  private static func mappedUserNamespace() throws(SystemCallFailure) -> Descriptor {
    let child = try PacketSocket.fork("a process for a user namespace") { socket in
      let result = mooring_unshare(NamespaceCalls.flag(of: .user))
      try? PacketSocket.send(result.nativeBytes, over: socket.number)
      _ = try? PacketSocket.receive(from: socket.number)
      mooring_exit(0)
    }
    defer {
      kill(child.pid, SIGKILL)
      mooring_wait(child.pid, nil)
    }
    guard let answer = try PacketSocket.receive(from: child.socket.number) else {
      throw SystemCallFailure("unshare", on: "the namespace user", .ioError)
    }
    try checked(Int(nativeBytes: answer.bytes[...]), "unshare", "the namespace user")
    func range(_ id: UInt32) -> IDMapping.Range { .init(inside: id, outside: id, count: 1) }
    try NamespaceCalls.write(
      IDMapping(users: [range(geteuid())], groups: [range(getegid())]), of: child.pid)
    return try Descriptor.open("/proc/\(child.pid)/ns/user", flags: O_RDONLY)
  }
}
