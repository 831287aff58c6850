import Glibc

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
  guard let tasks = opendir("/proc/\(pid)/task"), let folder = try? ProcessFolder(pid) else {
    return []
  }
  defer { closedir(tasks) }
  var found: [Int32] = []
  while let entry = readdir(tasks) {
    let name = withUnsafeBytes(of: &entry.pointee.d_name) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    guard Int32(name) != nil, let text = try? folder.contents("task/\(name)/children") else {
      continue
    }
    found += text.split(separator: 0x20).compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
  }
  return found
}

extension ProcessFolder {
  /// The network namespaces that the process has open, by descriptor; the caller closes them.
  func openNetworks() throws(ReadFailure) -> [CInt] {
    let folder = try open("fd", flags: O_RDONLY | O_DIRECTORY)
    guard let stream = fdopendir(folder.release()) else { return [] }
    defer { closedir(stream) }
    var found: [CInt] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      var target = [UInt8](repeating: 0, count: 64)
      guard Int32(name) != nil, readlinkat(dirfd(stream), name, &target, target.count) > 0,
        target.starts(with: "net:[".utf8), let opened = try? self.open("fd/\(name)")
      else { continue }
      found.append(opened.release())
    }
    return found
  }
}
