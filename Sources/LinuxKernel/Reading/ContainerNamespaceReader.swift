import CMooring
import Glibc
import MountTable
import RestorePlan

/// Reads which namespaces a process has that the caller has not, and what it takes to make them again.
///
/// - Parameter pid: as `/proc` of the caller numbers it.
/// - Throws: `ReadFailure`; a time or cgroup namespace that this kernel has not is no failure.
public func readNamespaces(of pid: Int32) throws(ReadFailure) -> ContainerNamespaces {
  let container = try ProcessFolder(pid)
  let own = try ProcessFolder.own()
  var found = ContainerNamespaces()
  for kind in NamespaceKind.allCases {
    guard let here = own.namespaceNumber(kind.rawValue) else { continue }
    guard let there = container.namespaceNumber(kind.rawValue) else {
      // The folder can be opened by everybody, its links only by those who may trace the process.
      _ = try container.open("ns/\(kind.rawValue)")
      throw .processGone(container.name)
    }
    if here != there { found.own[kind] = there }
  }
  if found.own[.user] != nil {
    found.mapping = IDMapping(
      users: try container.ranges("uid_map"), groups: try container.ranges("gid_map"))
  }
  if found.own[.uts] != nil {
    (found.hostName, found.domainName) = try container.names(ownUser: found.own[.user] != nil)
  }
  if found.own[.time] != nil {
    let offsets = try container.contents("timens_offsets")
    found.monotonicOffset = clockOffset("monotonic", in: offsets)
    found.bootTimeOffset = clockOffset("boottime", in: offsets)
  }
  return found
}

/// The offset of a clock in `/proc/PID/timens_offsets`, in nanoseconds.
///
/// ```
/// monotonic      3600         0
/// boottime       7200         0
/// clock          seconds      nanoseconds
/// ```
func clockOffset(_ clock: String, in text: [UInt8]) -> Int64? {
  for line in text.split(separator: 0x0A) {
    let fields = line.split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
    guard fields.count == 3, fields[0] == clock else { continue }
    guard let seconds = Int64(fields[1]), let nanoseconds = Int64(fields[2]) else { return nil }
    let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (offset, overflowToo) = whole.addingReportingOverflow(nanoseconds)
    return overflow || overflowToo ? nil : offset
  }
  return nil
}

extension ProcessFolder {
  fileprivate func ranges(_ file: String) throws(ReadFailure) -> [IDMapping.Range] {
    try contents(file).split(separator: 0x0A).compactMap { IDMapping.Range(line: $0) }
  }

  /// Host and domain name, which only somebody inside the namespace is told.
  fileprivate func names(ownUser: Bool) throws(ReadFailure) -> (KernelString, KernelString) {
    let namespace = try open("ns/uts")
    let user = ownUser ? try open("ns/user").release() : -1
    defer { if user >= 0 { close(user) } }
    var host = [CChar](repeating: 0, count: 65)
    var domain = host
    let result = mooring_read_uts(namespace.number, user, &host, &domain)
    do { try checked(result, "setns", "UTS namespace of \(name)") } catch { throw failure(error) }
    return (KernelString(bytes(host)), KernelString(bytes(domain)))
  }

  private func bytes(_ text: [CChar]) -> [UInt8] {
    text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
  }
}
