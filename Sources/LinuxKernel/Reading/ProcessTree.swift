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
  guard let folder = try? ProcessFolder(pid), let threads = try? folder.numbers(in: "task") else {
    return []
  }
  var found: [Int32] = []
  for thread in threads {
    guard let text = try? folder.contents("task/\(thread)/children") else { continue }
    found += text.split(separator: 0x20).compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
  }
  return found
}

/// Whether a link of `/proc/PID/fd` leads to a network namespace.
private func isNetwork(_ folder: CInt, _ link: String) -> Bool {
  var target = [UInt8](repeating: 0, count: 64)
  return readlinkat(folder, link, &target, target.count) > 0
    && target.starts(with: "net:[".utf8)
}

extension ProcessFolder {
  /// The network namespaces that the process has open, by descriptor; the caller closes them.
  func openNetworks() throws(ReadFailure) -> [CInt] {
    var found: [CInt] = []
    for number in try numbers(in: "fd") {
      // The process may put something else under the number at any time: what is opened is looked at.
      guard isNetwork(self.number, "fd/\(number)"),
        let there = try? open("fd/\(number)", flags: pathOnly),
        isNetwork(HeldProc.number, "thread-self/fd/\(there.number)"),
        let opened = try? HeldProc.reopen(there.number, flags: O_RDONLY)
      else { continue }
      found.append(opened.release())
    }
    return found
  }
}
