import CMooring
import Glibc
import MountTable
import RestorePlan
import SystemPackage

/// What the executor needs of others.
public struct ExecutorServices {
  /// Extracts the saved content of a superblock into the directory.
  public var unpack: (DeviceNumber, CInt) throws -> Void
  /// Lets the mount with this ID in the images join the group of its source outside.
  public var joinOutside: (MountID, CInt) throws -> Void
  /// Told before a name is made in a directory that outlives the restore: file or directory.
  public var willMake: (_ directory: CInt, _ name: [UInt8], _ isFile: Bool) throws -> Void
  /// A user namespace with this mapping.
  public var userNamespace: (IDMapping) throws -> Descriptor

  public init(
    unpack: @escaping (DeviceNumber, CInt) throws -> Void,
    joinOutside: @escaping (MountID, CInt) throws -> Void,
    willMake: @escaping (CInt, [UInt8], Bool) throws -> Void,
    userNamespace: @escaping (IDMapping) throws -> Descriptor
  ) {
    self.unpack = unpack
    self.joinOutside = joinOutside
    self.willMake = willMake
    self.userNamespace = userNamespace
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
/// | `attach` | openat2, move_mount |
/// | `setAttributes`, `setPropagation`, `setIDMapping` | mount_setattr |
/// | `joinGroup` | move_mount(MOVE_MOUNT_SET_GROUP) |
/// | `pivotRoot` | fchdir, pivot_root, umount2(MNT_DETACH) |
///
/// The staging area is a tmpfs over the old root: no path of the host is needed or made, and it goes
/// with the old tree.
public struct RestoreExecutor: ~Copyable {
  private var slots: [CInt]
  private let services: ExecutorServices
  private let staging: Descriptor
  private var stagedCount = 0
  /// How many names the last placeholder took: itself, and directories above it.
  private var placeholderDepth = 0

  /// Makes every mount of the calling process's namespace private and lays the staging area over
  /// its root. The process must have a mount namespace of its own.
  public init(slotCount: Int, services: ExecutorServices) throws(SystemCallFailure) {
    try checked(
      mooring_mount(nil, "/", nil, UInt(MS_REC) | UInt(1 << 18), nil), "mount",
      "/ (make everything private)")
    let oldRoot = try Descriptor.open("/..", flags: openPath | O_DIRECTORY)
    let staging = try MountCalls.create(
      NewFileSystem(type: "tmpfs", source: "mooring", parameters: ["mode=700"], flags: []))
    try MountCalls.attach(staging.number, at: oldRoot.number)
    slots = [CInt](repeating: -1, count: slotCount)
    self.services = services
    self.staging = staging
  }

  deinit { for slot in slots where slot >= 0 { _ = close(slot) } }

  /// Puts a mount that came from outside into its slot.
  public mutating func provide(_ mount: consuming Descriptor, in slot: Slot) {
    slots[slot.number] = mount.release()
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
      slots[into.number] = try MountCalls.create(new, attributes: attributes).release()
    case .cloneNamespaceFile(let kind, _, let into):
      let file = try Descriptor.open("/proc/thread-self/ns/\(kind.rawValue)", flags: openPath)
      slots[into.number] = try MountCalls.cloneTree([], below: file.number).release()
    case .stage(let slot): try stage(self[slot])
    case .unpack(let device, let slot): try services.unpack(device, self[slot])
    case .setSuperblockFlags(let slot, let flags):
      try MountCalls.setSuperblockFlags(self[slot], flags)
    case .makePlaceholder(let origin, let path, let isFile):
      try makePlaceholder(in: self[origin], path.bytes, isFile: isFile)
    case .removePlaceholder(let origin, let path):
      try removePlaceholder(in: self[origin], path.bytes)
    case .makeControlGroup(let origin, let path):
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
      _ = close(slots[slot.number])
      slots[slot.number] = -1
    case .pivotRoot(let slot): try pivot(self[slot])
    }
  }

  private mutating func stage(_ mount: CInt) throws {
    let name = Array(String(stagedCount).utf8)
    stagedCount += 1
    try make(name, in: staging.number, isFile: try !isDirectory(mount), tell: false)
    let place = try MountCalls.openBeneath(name, staging.number)
    try MountCalls.attach(mount, at: place.number)
  }

  private func attach(
    _ slot: Slot, _ at: Slot, _ path: [UInt8], _ missing: MissingMountPoint
  ) throws {
    if path.isEmpty {
      try MountCalls.attach(self[slot], at: self[at])
      return
    }
    do throws(SystemCallFailure) {
      let place = try MountCalls.openBeneath(path, self[at])
      try MountCalls.attach(self[slot], at: place.number)
    } catch let failure {
      switch failure.errno {
      case .noSuchFileOrDirectory where failure.call == "openat2":
        guard case .make(let origin, let full, let onDisk) = missing else { throw failure }
        try make(full.bytes, in: self[origin], isFile: !isDirectory(self[slot]), tell: onDisk)
        let place = try MountCalls.openBeneath(path, self[at])
        try MountCalls.attach(self[slot], at: place.number)
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

  /// After `pivot_root(".", ".")` the old root lies on the new one, and on it the staging area (and
  /// what else was mounted over the old root). "..", at the root, leads to the topmost of them.
  private func pivot(_ root: CInt) throws {
    try checked(fchdir(root) < 0 ? -Int(Glibc.errno) : 0, "fchdir", "the new root")
    try checked(mooring_pivot_root(".", "."), "pivot_root", "the new root")
    let own = try checked(mooring_mount_id(root), "statx", "the new root")
    while true {
      let top = try Descriptor.open("/..", flags: openPath | O_DIRECTORY)
      if try checked(mooring_mount_id(top.number), "statx", "/..") == own { break }
      try checked(mooring_umount2("/..", CInt(MNT_DETACH)), "umount2", "the old root")
    }
    try checked(chdir("/") < 0 ? -Int(Glibc.errno) : 0, "chdir", "/")
  }

  private func isDirectory(_ descriptor: CInt) throws(SystemCallFailure) -> Bool {
    var status = stat()
    try checked(fstat(descriptor, &status) < 0 ? -Int(Glibc.errno) : 0, "fstat", "a mount")
    return status.st_mode & S_IFMT == S_IFDIR
  }

  // MARK: Names that are made

  /// Makes what is missing of a path: directories, and at its end a file or directory. Returns how
  /// many names it made.
  @discardableResult
  private func make(_ path: [UInt8], in directory: CInt, isFile: Bool, tell: Bool) throws -> Int {
    let names = path.split(separator: 0x2F).map { Array($0) }
    var held = try MountCalls.openBeneath([0x2E], directory)
    var made = 0
    for (index, name) in names.enumerated() {
      if let next = try existing(name, held.number) {
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
      made += 1
      held = try MountCalls.openBeneath(name, held.number)
    }
    return made
  }

  private func existing(_ name: [UInt8], _ directory: CInt) throws(SystemCallFailure) -> Descriptor?
  {
    do {
      return try MountCalls.openBeneath(name, directory)
    } catch {
      if error.errno == .noSuchFileOrDirectory { return nil }
      throw error
    }
  }

  private mutating func makePlaceholder(in origin: CInt, _ path: [UInt8], isFile: Bool) throws {
    placeholderDepth = try make(path, in: origin, isFile: isFile, tell: true)
    if placeholderDepth == 0 {
      throw SystemCallFailure(
        "mknodat", on: quoted(path), .fileExists,
        detail: "the container had unlinked it, and something has its name now")
    }
  }

  /// Takes a placeholder away, and the directories above it that were made for it.
  private mutating func removePlaceholder(in origin: CInt, _ path: [UInt8]) throws {
    var rest = path[...]
    while placeholderDepth > 0 {
      placeholderDepth -= 1
      let slash = rest.lastIndex(of: 0x2F)
      let parent = slash.map { Array(rest[..<$0]) } ?? [0x2E]
      let name = slash.map { Array(rest[($0 + 1)...]) } ?? Array(rest)
      let directory = try MountCalls.openBeneath(parent, origin)
      let removed = withPath(name) { pointer -> CInt in
        if unlinkat(directory.number, pointer, 0) == 0 { return 0 }
        return unlinkat(directory.number, pointer, AT_REMOVEDIR)
      }
      try checked(removed < 0 ? -Int(Glibc.errno) : 0, "unlinkat", quoted(Array(rest)))
      rest = parent == [0x2E] ? [] : parent[...]
    }
  }
}
