import CMooring
import Glibc
import MountTable
import RestorePlan
import SystemPackage

/// What the executor needs of others.
public struct ExecutorServices {
  /// A name in an open directory.
  public typealias Name = (directory: CInt, name: [UInt8])

  /// Extracts the saved content of a superblock into the directory.
  public var unpack: (DeviceNumber, CInt) throws -> Void
  /// Makes what was unlinked, as it was saved for the mount with this ID, under a name in the directory.
  public var unpackUnlinked: (MountID, Name, _ isFile: Bool) throws -> Void
  /// Lets the mount with this ID in the images join the group of its source outside.
  public var joinOutside: (MountID, CInt) throws -> Void
  /// Told before a name is made in a directory that outlives the restore: file or directory.
  public var willMake: (_ directory: CInt, _ name: [UInt8], _ isFile: Bool) throws -> Void
  /// Told before a name that `willMake` was told of is exchanged with one that is not the restore's.
  public var willExchange: (Name, Name) throws -> Void
  /// A user namespace with this mapping.
  public var userNamespace: (IDMapping) throws -> Descriptor
  /// Renames within a directory from a mount namespace in which nothing is mounted there: the kernel
  /// renames no mount point of the caller's own.
  public var renameMountPoint: (Name, Name, _ exchanging: Bool) throws -> Void

  public init(
    unpack: @escaping (DeviceNumber, CInt) throws -> Void,
    unpackUnlinked: @escaping (MountID, Name, Bool) throws -> Void,
    joinOutside: @escaping (MountID, CInt) throws -> Void,
    willMake: @escaping (CInt, [UInt8], Bool) throws -> Void,
    willExchange: @escaping (Name, Name) throws -> Void,
    userNamespace: @escaping (IDMapping) throws -> Descriptor,
    renameMountPoint: @escaping (Name, Name, Bool) throws -> Void
  ) {
    self.unpack = unpack
    self.unpackUnlinked = unpackUnlinked
    self.joinOutside = joinOutside
    self.willMake = willMake
    self.willExchange = willExchange
    self.userNamespace = userNamespace
    self.renameMountPoint = renameMountPoint
  }
}

/// A step of the plan that failed.
public struct StepFailure: Error, Sendable, CustomStringConvertible {
  public var step: RestoreStep
  public var cause: any Error
  public var errno: Errno? { (cause as? SystemCallFailure)?.errno }

  public init(_ step: RestoreStep, _ cause: any Error) {
    self.step = step
    self.cause = cause
  }
  public var description: String { "\(step): \(cause)" }
}

/// Turns the steps of a plan into system calls, in a mount namespace that the caller has made.
///
/// | step | calls |
/// |---|---|
/// | `createFileSystem` | fsopen, fsconfig…, fsmount |
/// | `stage` | mkdirat or mknodat, openat, move_mount |
/// | `clone` | open_tree (openat2 before it where the path has several names) |
/// | `attach` | openat2 (once a directory), move_mount |
/// | `setAttributes`, `setPropagation`, `setIDMapping` | mount_setattr |
/// | `joinGroup` | move_mount(MOVE_MOUNT_SET_GROUP) |
/// | `pivotRoot` | fchdir, pivot_root, umount2(MNT_DETACH) |
///
/// Before each write it looks at the place once more (`WritePlaces`), whatever the plan says.
///
/// The staging area is a tmpfs over the old root: no path of the host is needed or made, and it goes
/// with the old tree.
public struct RestoreExecutor: ~Copyable {
  private var slots: [CInt]
  private var places: WritePlaces
  private let services: ExecutorServices
  private let staging: Descriptor
  /// The mount that was the root when the process began.
  private let oldRootID: Int
  private var stagedCount = 0
  /// The directory in which the last mount was attached.
  private var lastParent: (slot: Slot, path: ArraySlice<UInt8>, directory: CInt)?

  /// Makes every mount of the calling process's namespace private and lays the staging area over
  /// its root. The process must have a mount namespace of its own.
  public init(slotCount: Int, services: ExecutorServices) throws(SystemCallFailure) {
    try checked(
      mooring_mount(nil, "/", nil, UInt(MS_REC) | UInt(1 << 18), nil), "mount",
      "/ (make everything private)")
    let ownRoot = try Descriptor.open("/", flags: openPath | O_DIRECTORY)
    let oldRootID = try checked(mooring_mount_id(ownRoot.number), "statx", "/")
    let topmost = try Descriptor.open("/..", flags: openPath | O_DIRECTORY)
    let staging = try MountCalls.create(
      NewFileSystem(type: "tmpfs", source: "mooring", parameters: ["mode=700"], flags: []))
    try MountCalls.attach(staging.number, at: topmost.number)
    slots = [CInt](repeating: -1, count: slotCount)
    places = WritePlaces(slotCount: slotCount)
    self.services = services
    self.staging = staging
    self.oldRootID = oldRootID
  }

  deinit {
    for slot in slots where slot >= 0 { _ = close(slot) }
    if let directory = lastParent?.directory { _ = close(directory) }
  }

  /// Puts a mount that came from outside into its slot.
  ///
  /// - Parameter isRoot: whether it is the clone of `--root`, below which names may be made.
  public mutating func provide(
    _ mount: consuming Descriptor, in slot: Slot, isRoot: Bool
  ) throws {
    guard slots.indices.contains(slot.number) else {
      throw SystemCallFailure("provide", on: "\(slot)", .invalidArgument)
    }
    slots[slot.number] = mount.release()
    if isRoot { places.note(.root, in: slot) }
  }

  public subscript(slot: Slot) -> CInt { slots[slot.number] }

  /// Carries out one step.
  ///
  /// - Throws: `StepFailure`. The namespace is then half built: the process must end.
  public mutating func perform(_ step: RestoreStep) throws(StepFailure) {
    do {
      try run(step)
    } catch {
      throw StepFailure(step, error)
    }
  }

  private mutating func run(_ step: RestoreStep) throws {
    switch step {
    case .takeFromOutside: break  // The engine has provided it.
    case .createFileSystem(let new, let attributes, _, let into):
      slots[into.number] = try create(new, attributes).release()
      places.noteNew(new.type, in: into)
    case .cloneNamespaceFile(let kind, _, let into):
      let file = try Descriptor.open("/proc/thread-self/ns/\(kind.rawValue)", flags: openPath)
      slots[into.number] = try MountCalls.cloneTree([], below: file.number).release()
    case .stage(let slot): try stage(self[slot])
    case .unpack(let device, let slot):
      try places.check(slot, self[slot], isOneOf: [.memory])
      try services.unpack(device, self[slot])
    case .setSuperblockFlags(let slot, let flags):
      try places.check(slot, self[slot], isOneOf: [.memory])
      try MountCalls.setSuperblockFlags(self[slot], flags)
    case .makePlaceholder(let origin, let name, let isFile, let content):
      try places.check(origin, self[origin], isOneOf: [.memory, .root])
      try Placeholder(name.bytes, in: self[origin]).make(isFile: isFile, content, services)
    case .removePlaceholder(let origin, let name, let path):
      try places.check(origin, self[origin], isOneOf: [.memory, .root])
      try Placeholder(name.bytes, in: self[origin]).remove(as: path.bytes, services)
    case .makeControlGroup(let origin, let path):
      try places.check(origin, self[origin], isOneOf: [.controlGroup])
      try make(path.bytes, in: self[origin], isFile: false, tell: true)
    case .clone(let origin, let path, _, let into):
      slots[into.number] = try MountCalls.cloneTree(path.bytes, below: self[origin]).release()
    case .setAttributes(let slot, let attributes):
      try MountCalls.setAttributes(self[slot], attributes)
    case .setIDMapping(let slot, let mapping):
      let namespace = try services.userNamespace(mapping)
      try MountCalls.setIDMapping(self[slot], userNamespace: namespace.number)
    case .attach(let slot, let at, let path, _, let missing):
      try attach(slot, at, path.bytes, missing)
    case .joinGroup(let source, let slot):
      try MountCalls.joinGroup(of: self[source], self[slot])
    case .joinGroupOutside(_, let mount, let slot): try services.joinOutside(mount, self[slot])
    case .setPropagation(let slot, let propagation):
      try MountCalls.setPropagation(self[slot], propagation)
    case .release(let slot):
      if lastParent?.slot == slot { forgetParent() }
      _ = close(slots[slot.number])
      slots[slot.number] = -1
      places.forget(slot)
    case .pivotRoot(let slot): try pivot(self[slot])
    }
  }

  /// Paths of an overlay's layers mean the tree that is being built: they are given as they were, by a
  /// process that has its root there for that moment. They may lead through no symbolic link.
  private func create(
    _ new: NewFileSystem, _ attributes: MountAttributes
  ) throws -> Descriptor {
    guard let slot = new.layersIn else { return try MountCalls.create(new, attributes: attributes) }
    for layer in new.layers {
      _ = try MountCalls.openBeneath([0x2E] + layer.bytes, self[slot], crossingMounts: true)
    }
    let former = try Descriptor.open("/", flags: openPath | O_DIRECTORY)
    func enter(_ root: CInt) throws(SystemCallFailure) {
      try checked(fchdir(root) < 0 ? -Int(Glibc.errno) : 0, "fchdir", "a root")
      try checked(chroot(".") < 0 ? -Int(Glibc.errno) : 0, "chroot", "a root")
    }
    try enter(self[slot])
    let made = Result { try MountCalls.create(new, attributes: attributes).release() }
    try enter(former.number)
    return Descriptor(owning: try made.get())
  }

  private mutating func stage(_ mount: CInt) throws {
    let name = Array(String(stagedCount).utf8)
    stagedCount += 1
    try make(name, in: staging.number, isFile: try !isDirectory(mount), tell: false)
    let place = try MountCalls.openBeneath(name, staging.number)
    try MountCalls.attach(mount, at: place.number)
  }

  private mutating func attach(
    _ slot: Slot, _ at: Slot, _ path: [UInt8], _ missing: MissingMountPoint
  ) throws {
    if path.isEmpty {
      try MountCalls.attach(self[slot], at: self[at])
      return
    }
    if attachBesideLast(slot, at, path) { return }
    do throws(SystemCallFailure) {
      let place = try MountCalls.openBeneath(path, self[at])
      try MountCalls.attach(self[slot], at: place.number)
    } catch let failure {
      switch failure.errno {
      case .tooManySymbolicLinkLevels where try isSymbolicLink(self[slot]):
        // It covered one: the link itself is the mount point.
        let place = try MountCalls.openBeneath(path, self[at], flags: openPath | O_NOFOLLOW)
        try MountCalls.attach(self[slot], at: place.number)
      case .noSuchFileOrDirectory where failure.call == "openat2":
        guard case .make(let origin, let full, _) = missing else { throw failure }
        let place = try places.check(origin, self[origin], isOneOf: [.memory, .root])
        try make(
          full.bytes, in: self[origin], isFile: !isDirectory(self[slot]), tell: place != .memory)
        let made = try MountCalls.openBeneath(path, self[at])
        try MountCalls.attach(self[slot], at: made.number)
      case .notDirectory where failure.call == "move_mount":
        let isFile = try !isDirectory(self[slot])
        throw SystemCallFailure(
          "move_mount", on: quoted(path), failure.errno,
          detail: isFile
            ? "the mount is a file and the mount point a directory"
            : "the mount is a directory and the mount point a file")
      default: throw failure
      }
    }
  }

  /// Thousands of mounts may lie in one directory: it is kept open, and the kernel resolves but a name in
  /// it, which leads nowhere else (`move_mount` follows no symbolic link at the end). Whatever does not
  /// succeed like this is tried, and explained, the long way.
  private mutating func attachBesideLast(_ slot: Slot, _ at: Slot, _ path: [UInt8]) -> Bool {
    guard let slash = path.lastIndex(of: 0x2F) else { return false }
    let parent = path[..<slash]
    if lastParent?.slot != at || lastParent?.path != parent {
      guard let opened = try? MountCalls.openBeneath(Array(parent), self[at]) else { return false }
      forgetParent()
      lastParent = (at, parent, opened.release())
    }
    guard let directory = lastParent?.directory else { return false }
    return withPath(path[(slash + 1)...]) {
      mooring_move_mount(self[slot], "", directory, $0, UInt32(MOORING_MOVE_F_EMPTY_PATH)) == 0
    }
  }

  private mutating func forgetParent() {
    if let directory = lastParent?.directory { close(directory) }
    lastParent = nil
  }

  /// After `pivot_root(".", ".")` the old root lies on the new one (and on what is mounted over that),
  /// and on it the staging area. "..", at the root, leads to the topmost of them.
  private func pivot(_ root: CInt) throws {
    try checked(fchdir(root) < 0 ? -Int(Glibc.errno) : 0, "fchdir", "the new root")
    try checked(mooring_pivot_root(".", "."), "pivot_root", "the new root")
    var top = -1
    while top != oldRootID {
      let topmost = try Descriptor.open("/..", flags: openPath | O_DIRECTORY)
      top = try checked(mooring_mount_id(topmost.number), "statx", "/..")
      try checked(mooring_umount2("/..", CInt(MNT_DETACH)), "umount2", "the old root")
    }
    try checked(chdir("/") < 0 ? -Int(Glibc.errno) : 0, "chdir", "/")
  }

  private func isDirectory(_ descriptor: CInt) throws(SystemCallFailure) -> Bool {
    try fileType(descriptor) == S_IFDIR
  }

  private func isSymbolicLink(_ descriptor: CInt) throws(SystemCallFailure) -> Bool {
    try fileType(descriptor) == S_IFLNK
  }

  private func fileType(_ descriptor: CInt) throws(SystemCallFailure) -> mode_t {
    var status = stat()
    try checked(fstat(descriptor, &status) < 0 ? -Int(Glibc.errno) : 0, "fstat", "a mount")
    return status.st_mode & S_IFMT
  }

  // MARK: Names that are made

  /// Makes what is missing of a path: directories, and at its end a file or directory.
  private func make(_ path: [UInt8], in directory: CInt, isFile: Bool, tell: Bool) throws {
    let names = path.split(separator: 0x2F).map { Array($0) }
    var held = try MountCalls.openBeneath([0x2E], directory)
    for (index, name) in names.enumerated() {
      if let next = try MountCalls.existing(name, held.number) {
        held = next
        continue
      }
      let makesFile = index == names.count - 1 && isFile
      if tell { try services.willMake(held.number, name, makesFile) }
      let result = withPath(name) {
        makesFile ? mknodat(held.number, $0, S_IFREG | 0o644, 0) : mkdirat(held.number, $0, 0o755)
      }
      try checked(
        result < 0 ? -Int(Glibc.errno) : 0, makesFile ? "mknodat" : "mkdirat", quoted(path))
      held = try MountCalls.openBeneath(name, held.number)
    }
  }
}
