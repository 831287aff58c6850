import Glibc
import RestorePlan

/// A network namespace that is held open.
public final class NetworkNamespace: Sendable {
  public let descriptor: Descriptor
  public let inode: UInt32
  /// What messages call it: `process 4711`, `/run/netns/blue`.
  public let name: String

  init(_ descriptor: consuming Descriptor, name: String) {
    var status = stat()
    fstat(descriptor.number, &status)
    self.descriptor = descriptor
    self.inode = UInt32(truncatingIfNeeded: status.st_ino)
    self.name = name
  }

  /// That of a process.
  ///
  /// - Throws: `ReadFailure`: no such process, no permission.
  public static func of(_ pid: Int32) throws(ReadFailure) -> NetworkNamespace {
    let folder = try ProcessFolder(pid)
    return NetworkNamespace(try folder.open("ns/net"), name: folder.name)
  }

  /// That of the calling thread.
  public static func own() throws(ReadFailure) -> NetworkNamespace {
    NetworkNamespace(try ProcessFolder.own().open("ns/net"), name: "mooring itself")
  }

  /// Those of a process tree: that of `pid` first, then each other one that a descendant has, in the
  /// order of their processes; the caller's own is none of them.
  ///
  /// - Throws: `ReadFailure` for `pid`; a descendant that ends meanwhile has none.
  public static func ofTree(_ pid: Int32) throws(ReadFailure) -> [NetworkNamespace] {
    var found = [try of(pid)]
    var known: Set<UInt32> = [found[0].inode, try own().inode]
    for child in descendants(of: pid) {
      guard let inode = try? ProcessFolder(child).namespaceNumber(NamespaceKind.network.rawValue),
        !known.contains(inode), let namespace = try? of(child)
      else { continue }
      if known.insert(namespace.inode).inserted { found.append(namespace) }
    }
    return found
  }
}

/// Processes below `pid`, parents before their children, by `/proc/PID/task/TID/children`. One that
/// begins or ends meanwhile may be among them or not.
func descendants(of pid: Int32) -> [Int32] {
  var found: [Int32] = []
  var known: Set<Int32> = [pid]
  var waiting = [pid]
  while let parent = waiting.popLast() {
    for child in children(of: parent).reversed() where known.insert(child).inserted {
      waiting.append(child)
    }
    if parent != pid { found.append(parent) }
  }
  return found
}

private func children(of pid: Int32) -> [Int32] {
  guard let tasks = opendir("/proc/\(pid)/task") else { return [] }
  defer { closedir(tasks) }
  var found: [Int32] = []
  while let entry = readdir(tasks) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    guard Int32(name) != nil, let folder = try? ProcessFolder(pid),
      let text = try? folder.contents("task/\(name)/children")
    else { continue }
    found += text.split(separator: 0x20).compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
  }
  return found
}
