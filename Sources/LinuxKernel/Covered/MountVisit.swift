import CMooring
import Glibc
import MountTable
import SystemPackage

/// The child's side of `visitMounts`.
struct MountVisit {
  let report: VisitReport
  let table: MountTable
  let wanted: Set<Int>

  private enum Failure: Error {
    case stale(String)
    case failed(String)
  }

  /// Does the visit and ends the process: it does not return.
  func run(_ entry: borrowing ContainerEntry, _ work: (Int, CInt) throws -> [UInt8]) {
    do throws(Failure) {
      let steps = UncoverOrder.steps(of: table, wanted: wanted)
      let inCopy = needsCopy(steps)
      do { try entry.enter(inCopy: inCopy) } catch { throw .failed("\(error)") }
      let ids = inCopy ? try check(entry.proc.number) : table.mounts.map(\.id.rawValue)
      let root: Descriptor
      do { root = try Descriptor.open("/", flags: pathOnly | O_DIRECTORY) } catch {
        throw .failed("\(error)")
      }
      for step in steps {
        switch step {
        case .visit(let index):
          try visit(index, below: root.number, expecting: ids[index], inCopy: inCopy, work)
        case .takeOff(let index): try takeOff(index, below: root.number, expecting: ids[index])
        }
      }
      report.finished()
    } catch {
      switch error {
      case .stale(let what): report.stale(what)
      case .failed(let what): report.failed(what)
      }
    }
    mooring_exit(0)
  }

  /// Whether to work in a copy of the namespace. It must be one where covers are to be taken off. Where
  /// nothing is, a detached clone of each visited mount serves as well, and a few of them cost less than
  /// a copy of all (disposing of a clone costs about as much as copying eight mounts). An unbindable mount
  /// cannot be cloned but in a copy, where it is private.
  private func needsCopy(_ steps: [UncoverOrder.Step]) -> Bool {
    let takesOff = steps.contains { if case .takeOff = $0 { true } else { false } }
    let isUnbindable = wanted.contains { table.mounts[$0].isUnbindable }
    return takesOff || isUnbindable || steps.count * 8 > table.mounts.count
  }

  /// Holds the copy against the table; the IDs that the mounts have in the copy.
  private func check(_ proc: CInt) throws(Failure) -> [UInt32] {
    let copy: MountTable
    do { copy = try ProcessFolder.own(proc: proc).readMountTable() } catch {
      throw .failed("\(error)")
    }
    let pairing = MountPairing(table, copy)
    if let index = pairing.missing.first {
      throw .stale("\(table.mounts[index].mountPoint) has been unmounted")
    }
    if let index = pairing.extra.first {
      throw .stale("\(copy.mounts[index].mountPoint) has been mounted")
    }
    var ids = [UInt32](repeating: 0, count: table.mounts.count)
    for pair in pairing.pairs {
      let (one, other) = (table.mounts[pair.expected], copy.mounts[pair.found])
      guard one.device == other.device, one.root == other.root else {
        throw .stale("\(one.mountPoint) is another mount now")
      }
      ids[pair.expected] = other.id.rawValue
    }
    return ids
  }

  private func visit(
    _ index: Int, below root: CInt, expecting id: UInt32, inCopy: Bool,
    _ work: (Int, CInt) throws -> [UInt8]
  ) throws(Failure) {
    Waiting.note("the container's \(table.mounts[index].mountPoint)")
    let mount = try reach(table.mounts[index].mountPoint, below: root, expecting: id)
    // In the container's own namespace a clone leaves the container free to unmount what is read; in
    // the copy it serves only where something is mounted on it.
    let isMapped = table.mounts[index].idMapping != nil
    let needsClone = !inCopy || isMapped || !table.children(of: index).isEmpty
    let clone = needsClone ? Self.clone(mount.number, isMapped: isMapped) : -1
    if isMapped, clone < 0 {
      let why = SystemCallFailure(
        "open_tree_attr", on: quoted(table.mounts[index].mountPoint.bytes),
        Errno(rawValue: CInt(-clone)),
        detail: "its owners can be seen only as the mount maps them; leave it out, or map it")
      throw .failed("\(why)")
    }
    let number = clone < 0 ? mount.number : CInt(clone)
    defer { if clone >= 0 { close(number) } }
    do { report.result(index, try work(index, number)) } catch {
      throw .failed("\(table.mounts[index].mountPoint) (mount \(table.mounts[index].id)): \(error)")
    }
  }

  /// A detached mount of the same root, with nothing mounted on it, or `-errno`. Of an idmapped mount
  /// one that shows owners as the file system has them.
  private static func clone(_ mount: CInt, isMapped: Bool) -> Int {
    let flags = UInt32(
      MOORING_OPEN_TREE_CLONE | MOORING_OPEN_TREE_CLOEXEC | MOORING_AT_EMPTY_PATH)
    if isMapped {
      return mooring_open_tree_clearing(mount, "", flags, UInt64(MOORING_ATTR_IDMAP))
    }
    return mooring_open_tree(mount, "", flags)
  }

  /// Unmounts, in the copy, a mount and what is on it.
  private func takeOff(
    _ index: Int, below root: CInt, expecting id: UInt32
  ) throws(Failure) {
    let path = table.mounts[index].mountPoint
    let mount = try reach(path, below: root, expecting: id)
    // "." and the last name need no path, which may be longer than the kernel takes.
    var name: [UInt8] = [0x2E]
    do throws(SystemCallFailure) {
      if fchdir(mount.number) < 0 {
        // A file: from the directory that it is in.
        let parent = try open(path.parent ?? .root, below: root)
        try checked(fchdir(parent.number) < 0 ? -Int(errno) : 0, "fchdir", quoted(path.bytes))
        name = Array(path.components.last ?? [])
      }
      let flags = CInt(MNT_DETACH) | 8  // UMOUNT_NOFOLLOW
      let result = withPath(name) { mooring_umount2($0, flags) }
      _ = chdir("/")
      try checked(result, "umount2", "\(quoted(path.bytes)), in a copy of the namespace")
    } catch {
      let hint =
        error.errno == .invalidArgument
        ? " (the container inherited the mount from a more privileged namespace, and may not uncover)"
        : ""
      throw .failed("\(error); what it covers cannot be read\(hint)")
    }
  }

  private func reach(
    _ path: MountPath, below root: CInt, expecting id: UInt32
  ) throws(Failure) -> Descriptor {
    do throws(SystemCallFailure) {
      let found = try open(path, below: root)
      let there = try checked(mooring_mount_id(found.number), "statx", quoted(path.bytes))
      if there == Int(id) { return found }
    } catch {
      throw .failed("\(error)")
    }
    throw .stale("\(path) leads to another mount")
  }

  /// Opens what is topmost at a mount point, in pieces that the kernel takes.
  private func open(_ path: MountPath, below root: CInt) throws(SystemCallFailure) -> Descriptor {
    // ".." at the root stays there, but climbs onto what is mounted over it.
    var here = try step([0x2E, 0x2E], below: root, path)
    var rest = path.bytes.dropFirst()
    while !rest.isEmpty {
      var end = rest.endIndex
      if rest.count > 4000 {
        let most = rest.startIndex + 4000
        end = rest[..<most].lastIndex(of: 0x2F) ?? rest.endIndex
      }
      here = try step(Array(rest[..<end]), below: here.number, path)
      rest = rest[end...].drop { $0 == 0x2F }
    }
    return here
  }

  private func step(
    _ piece: [UInt8], below directory: CInt, _ path: MountPath
  ) throws(SystemCallFailure) -> Descriptor {
    let resolve = UInt64(
      MOORING_RESOLVE_NO_SYMLINKS | MOORING_RESOLVE_NO_MAGICLINKS)
    let opened = withPath(piece) {
      mooring_openat2(directory, $0, UInt64(pathOnly | O_CLOEXEC | O_NOFOLLOW), 0, resolve)
    }
    return Descriptor(owning: CInt(try checked(opened, "openat2", quoted(path.bytes))))
  }
}
