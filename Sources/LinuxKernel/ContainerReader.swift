import CMooring
import Glibc
import MountTable
import RestorePlan
import SystemPackage

/// Reaches each mount of a container, the covered ones too, without changing it.
///
/// A child enters the user and mount namespaces of the container and makes a private copy of its
/// mounts. There it walks the tree in the reverse of the order in which it could have been built:
/// what covers comes before what it covers, and is taken off once everything on it was visited.
public enum ContainerReader {
  /// Calls `visit` in the child for each wanted mount, with a detached clone of it that nothing is
  /// mounted on. What `visit` returns comes back, in the order of the visits.
  ///
  /// - Parameters:
  ///   - table: the mounts of `pid`, all of them.
  ///   - wanted: indices in `table`.
  ///   - visit: runs in the child; it must not return more than a few bytes.
  /// - Throws: `ReadFailure`, or `ContainerReadError` with what the child could not do.
  public static func visit(
    pid: Int32, table: MountTable, wanted: [Int],
    _ visit: (Int, CInt) throws -> [UInt8]
  ) throws -> [(index: Int, answer: [UInt8])] {
    if wanted.isEmpty { return [] }
    var namespaces: [CInt] = []
    defer { for namespace in namespaces { _ = close(namespace) } }
    if try readNamespaces(of: pid).own[.user] != nil {
      namespaces.append(try Descriptor.open("/proc/\(pid)/ns/user", flags: O_RDONLY).release())
    }
    namespaces.append(try Descriptor.open("/proc/\(pid)/ns/mnt", flags: O_RDONLY).release())
    let isWanted = Set(wanted)
    let processes = try Descriptor.open("/proc", flags: openPath | O_DIRECTORY)
    let bytes = try ChildAnswer.of { () -> [UInt8] in
      var answer: [UInt8] = []
      do {
        for namespace in namespaces {
          try checked(mooring_setns(namespace, 0), "setns", "the namespaces of process \(pid)")
        }
        try checked(
          mooring_unshare(CInt(MOORING_CLONE_NEWNS)), "unshare", "a copy of the container's mounts")
        try checked(
          mooring_mount(nil, "/", nil, UInt(MS_REC) | UInt(1 << 18), nil), "mount",
          "/ (make the copy private)")
        let entry = try Descriptor.open(
          Array("thread-self/ns/mnt".utf8), below: processes.number, flags: O_RDONLY)
        try walk(table, entry: entry.number) { index, clone in
          guard isWanted.contains(index) else { return }
          let text = try visit(index, try clone())
          answer += number(index) + number(text.count) + text
        }
        return [0] + answer
      } catch {
        return [1] + Array("\(error)".utf8)
      }
    }
    return try decode(bytes)
  }

  private static func decode(_ bytes: [UInt8]) throws -> [(index: Int, answer: [UInt8])] {
    guard let first = bytes.first else {
      throw ContainerReadError("the process that reads the container ended without an answer")
    }
    if first == 1 {
      throw ContainerReadError(String(decoding: bytes.dropFirst(), as: UTF8.self))
    }
    var found: [(index: Int, answer: [UInt8])] = []
    var rest = bytes.dropFirst()
    func take() -> Int {
      let value = rest.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
      rest = rest.dropFirst(8)
      return value
    }
    while rest.count >= 16 {
      let index = take()
      let count = take()
      found.append((index, Array(rest.prefix(count))))
      rest = rest.dropFirst(count)
    }
    return found
  }

  private static func number(_ value: Int) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }

  /// Visits every mount, topmost first: of siblings the one that hides the others, of a mount and
  /// what is mounted on it the latter. A mount that hides something is unmounted after its visit.
  private static func walk(
    _ table: MountTable, entry: CInt,
    _ visit: (_ index: Int, _ clone: () throws -> CInt) throws -> Void
  ) throws {
    var stack: [(index: Int, children: [Int], next: Int, hiding: Set<Int>)] = []
    func enter(_ index: Int) {
      let children = table.children(of: index).map { ($0, table.mounts[$0].mountPoint.depth) }
        .sorted { ($0.1, $0.0) < ($1.1, $1.0) }.map(\.0)
      stack.append((index, children, 0, hidingChildren(of: index, children, table)))
    }
    enter(table.rootIndex)
    while let top = stack.last {
      if top.next < top.children.count {
        stack[stack.count - 1].next += 1
        enter(top.children[top.next])
        continue
      }
      stack.removeLast()
      let mount = table.mounts[top.index]
      var held: CInt = -1
      defer { if held >= 0 { _ = close(held) } }
      try visit(top.index) {
        held = try reach(mount.mountPoint).release()
        return held
      }
      if let parent = stack.last, parent.hiding.contains(top.index) {
        try takeOff(mount, entry)
      }
    }
  }

  /// A clone of the topmost mount at a mount point.
  private static func reach(_ point: MountPath) throws -> Descriptor {
    let root = try Descriptor.open("/", flags: openPath | O_DIRECTORY)
    let path = Array(point.bytes.dropFirst())
    if path.isEmpty { return try MountCalls.cloneTree([], below: root.number) }
    let place = try MountCalls.openBeneath(path, root.number, crossingMounts: true)
    return try MountCalls.cloneTree([], below: place.number)
  }

  /// The children that cover their parent's root, or the mount point of a sibling.
  private static func hidingChildren(
    of parent: Int, _ children: [Int], _ table: MountTable
  ) -> Set<Int> {
    if children.isEmpty { return [] }
    let own = table.mounts[parent].mountPoint
    var childAt: [MountPath: Int] = [:]
    for child in children { childAt[table.mounts[child].mountPoint] = child }
    var hiding: Set<Int> = []
    if let cover = childAt[own] { hiding.insert(cover) }
    if children.count == 1 { return hiding }
    for child in children {
      var path = table.mounts[child].mountPoint.parent
      while let current = path, current != own, own.contains(current) {
        if let sibling = childAt[current] { hiding.insert(sibling) }
        path = current.parent
      }
    }
    return hiding
  }

  private static func takeOff(_ mount: Mount, _ entry: CInt) throws {
    let result = withPath(mount.mountPoint.bytes) {
      mooring_umount2($0, CInt(MNT_DETACH) | CInt(UMOUNT_NOFOLLOW))
    }
    try checked(result, "umount2", "\(mount.mountPoint) in the copy")
    // Entering a mount namespace makes what lies topmost at its root the root of the process; what
    // covered the root is gone now, so enter once more.
    if mount.mountPoint.isRoot {
      try checked(mooring_setns(entry, 0), "setns", "the copy of the container's mounts")
    }
  }
}

/// The child that reads a container failed: what it said.
public struct ContainerReadError: Error, Sendable, CustomStringConvertible {
  public var description: String
  init(_ description: String) { self.description = description }
}
