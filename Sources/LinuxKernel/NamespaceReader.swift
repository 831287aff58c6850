import CMooring
import Glibc
import MountTable
import RestorePlan
import SystemPackage

/// Which namespaces a process has of its own, seen from the calling process, and what they say.
///
/// - Throws: `ReadFailure`.
public func readNamespaces(of pid: Int32) throws(ReadFailure) -> ContainerNamespaces {
  var own: [NamespaceKind: UInt32] = [:]
  for kind in NamespaceKind.allCases {
    guard let mine = namespaceInode("/proc/self/ns/\(kind.rawValue)") else { continue }
    guard let theirs = namespaceInode("/proc/\(pid)/ns/\(kind.rawValue)") else {
      switch errno {
      case ENOENT, ESRCH: throw .noProcess(pid)
      case EACCES, EPERM: throw .notPermitted(pid)
      default: continue
      }
    }
    if mine != theirs { own[kind] = theirs }
  }
  var result = ContainerNamespaces(own: own)
  do {
    if own[.user] != nil {
      result.mapping = IDMapping(
        users: try readRanges("/proc/\(pid)/uid_map"),
        groups: try readRanges("/proc/\(pid)/gid_map"))
    }
    if own[.uts] != nil { try readNames(pid, &result) }
    if own[.time] != nil { try readOffsets(pid, &result) }
  } catch {
    throw .call(error)
  }
  return result
}

private func namespaceInode(_ path: String) -> UInt32? {
  var status = stat()
  return stat(path, &status) == 0 ? UInt32(truncatingIfNeeded: status.st_ino) : nil
}

private func readText(_ path: String) throws(SystemCallFailure) -> String {
  let file = try Descriptor.open(path, flags: O_RDONLY)
  return String(decoding: try readAll(file.number, path), as: UTF8.self)
}

private func readRanges(_ path: String) throws(SystemCallFailure) -> [IDMapping.Range] {
  try readText(path).split(separator: "\n").compactMap { line in
    let numbers = line.split(separator: " ").compactMap { UInt32($0) }
    guard numbers.count == 3 else { return nil }
    return IDMapping.Range(inside: numbers[0], outside: numbers[1], count: numbers[2])
  }
}

/// Host and domain name, by a child that enters the namespace: it is the only way to ask for them.
private func readNames(
  _ pid: Int32, _ result: inout ContainerNamespaces
) throws(SystemCallFailure) {
  let namespace = try Descriptor.open("/proc/\(pid)/ns/uts", flags: O_RDONLY)
  let answer = try ChildAnswer.of { () -> [UInt8] in
    guard mooring_setns(namespace.number, CInt(MOORING_CLONE_NEWUTS)) >= 0 else { return [] }
    var names = utsname()
    guard uname(&names) == 0 else { return [] }
    func bytes<Tuple>(_ tuple: Tuple) -> [UInt8] {
      withUnsafeBytes(of: tuple) { Array($0.prefix { $0 != 0 }) }
    }
    return bytes(names.nodename) + [0] + bytes(names.__domainname) + [0]
  }
  let parts = answer.split(separator: 0, omittingEmptySubsequences: false)
  guard parts.count == 3 else {
    throw SystemCallFailure("setns", on: "/proc/\(pid)/ns/uts", .notPermitted)
  }
  result.hostName = KernelString(Array(parts[0]))
  result.domainName = KernelString(Array(parts[1]))
}

private func readOffsets(
  _ pid: Int32, _ result: inout ContainerNamespaces
) throws(SystemCallFailure) {
  for line in try readText("/proc/\(pid)/timens_offsets").split(separator: "\n") {
    let parts = line.split(separator: " ")
    guard parts.count == 3, let seconds = Int64(parts[1]), let nanoseconds = Int64(parts[2]) else {
      continue
    }
    let offset = seconds &* 1_000_000_000 &+ nanoseconds
    if parts[0] == "monotonic" { result.monotonicOffset = offset }
    if parts[0] == "boottime" { result.bootTimeOffset = offset }
  }
}

/// What a short-lived child says before it ends: for questions that need other namespaces.
enum ChildAnswer {
  static func of(_ body: () -> [UInt8]) throws(SystemCallFailure) -> [UInt8] {
    var ends: [CInt] = [-1, -1]
    try checked(pipe(&ends) < 0 ? -Int(errno) : 0, "pipe", "an answer of a child")
    let reading = Descriptor(owning: ends[0])
    let writing = Descriptor(owning: ends[1])
    fflush(nil)
    let child = try checked(mooring_fork(), "fork", "a child that looks into a namespace")
    if child == 0 {
      _ = close(ends[0])
      var bytes = body()[...]
      while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { write(ends[1], $0.baseAddress!, $0.count) }
        if count <= 0 { break }
        bytes = bytes.dropFirst(count)
      }
      mooring_exit(0)
    }
    _ = close(writing.release())
    let answer = try? readAll(reading.number, "a child's answer")
    while waitpid(pid_t(child), nil, 0) < 0 && errno == EINTR {}
    return answer ?? []
  }
}
