import CMooring
import Glibc
import MountTable
import RestorePlan
import SystemPackage

/// Something the kernel or the caller's privileges allow, or do not.
public struct KernelAbility: Hashable, Sendable, Codable {
  public var name: String
  /// The version of Linux it came with; empty for privileges.
  public var since: String
  /// What stands in the way; `nil` where nothing does.
  public var missing: String?
  /// What is lost without it.
  public var cost: String
  /// Whether no restore is possible without it.
  public var isRequired: Bool
}

/// Tries out what a restore needs, in namespaces of a child that ends with it.
///
/// Forks: call it from a process that has no second thread.
public func probeKernel() throws -> [KernelAbility] {
  var ends: [CInt] = [-1, -1]
  try checked(mooring_pipe(&ends), "pipe2", "a pipe")
  fflush(nil)
  let child = try checked(mooring_fork(), "fork", "the process that tries things out")
  if child == 0 {
    var results: [UInt8] = []
    for probe in KernelProbe.all() {
      results += (probe.failure ?? "").utf8
      results.append(0)
    }
    _ = write(ends[1], results, results.count)
    mooring_exit(0)
  }
  close(ends[1])
  let reading = Descriptor(owning: ends[0])
  var answers = [UInt8](repeating: 0, count: 1 << 16)
  var length = 0
  while true {
    let got = read(reading.number, &answers[length], answers.count - length)
    if got <= 0 { break }
    length += got
  }
  mooring_wait(pid_t(child), nil)
  let texts = answers[..<length].split(separator: 0, omittingEmptySubsequences: false)
  return zip(KernelProbe.descriptions, texts).map { description, text in
    KernelAbility(
      name: description.name, since: description.since,
      missing: text.isEmpty ? nil : String(decoding: text, as: UTF8.self),
      cost: description.cost, isRequired: description.isRequired)
  }
}

private struct KernelProbe {
  /// What the kernel said; `nil` for success.
  var failure: String?

  static let descriptions: [(name: String, since: String, cost: String, isRequired: Bool)] = [
    (
      "CAP_SYS_ADMIN over the mounts here", "",
      "a container can be saved where it is one's own, but nothing can be restored: run as root",
      true
    ),
    ("namespaces of its own", "", "nothing can be restored", true),
    ("open_tree, move_mount, fsopen", "5.2", "nothing can be restored", true),
    ("mount_setattr", "5.12", "nothing can be restored", true),
    (
      "MOVE_MOUNT_SET_GROUP", "5.15",
      "peer groups of several mounts, and slaves, cannot be restored", false
    ),
    (
      "listmount, statmount", "6.8",
      "mappings of idmapped mounts are not saved, and tables that change are noticed later", false
    ),
    ("kcmp, pidfd_getfd", "5.6", "open files cannot be looked at and saved", false),
    (
      "NETLINK_SOCK_DIAG for unix sockets", "3.3",
      "open files cannot be looked at and saved where unix sockets are among them", false
    ),
  ]

  static func all() -> [KernelProbe] {
    var list: [KernelProbe] = []
    func probe(_ body: () throws -> Void) {
      do {
        try body()
        list.append(KernelProbe(failure: nil))
      } catch {
        list.append(KernelProbe(failure: "\(error)"))
      }
    }
    probe {
      let root = try Descriptor.open("/", flags: openPath | O_DIRECTORY)
      _ = try MountCalls.cloneTree([], below: root.number)
    }
    probe {
      try NamespaceCalls.unshare(geteuid() == 0 ? [.mount] : [.user, .mount])
      try checked(
        mooring_mount(nil, "/", nil, UInt(MS_REC) | UInt(MS_PRIVATE), nil), "mount",
        "/ (make everything private)")
    }
    let new = NewFileSystem(type: "tmpfs", source: "none", parameters: [], flags: [])
    func made() throws -> Descriptor {
      let mount = try MountCalls.create(new)
      let place = try Descriptor.open("/", flags: openPath | O_DIRECTORY)
      try MountCalls.attach(mount.number, at: place.number)
      return mount
    }
    probe { _ = try made() }
    probe {
      let one = try made()
      try MountCalls.setAttributes(one.number, MountAttributes(.readOnly))
    }
    probe {
      let one = try made()
      let other = try MountCalls.cloneTree([], below: one.number)
      try MountCalls.setPropagation(one.number, .shared)
      try MountCalls.joinGroup(of: one.number, other.number)
    }
    probe {
      let request = mooring_mnt_id_req(
        size: 24, spare: 0, mnt_id: UInt64.max, param: 0, mnt_ns_id: 0)
      var ids = [UInt64](repeating: 0, count: 16)
      let listed = withUnsafePointer(to: request) { mooring_listmount($0, &ids, ids.count) }
      try checked(listed, "listmount", "the mounts")
    }
    probe {
      let own = getpid()
      try checked(
        mooring_kcmp(own, own, CInt(MOORING_KCMP_FILE), 1, 1), "kcmp", "a descriptor")
      let process = Descriptor(
        owning: CInt(try checked(mooring_pidfd_open(own, 0), "pidfd_open", "\(own)")))
      let copy = try checked(
        mooring_pidfd_getfd(process.number, process.number), "pidfd_getfd", "a descriptor")
      close(CInt(copy))
    }
    probe {
      _ = try NetlinkSocket(protocol: NetlinkSocket.diagnosis).unixSockets(show: 0)
    }
    return list
  }
}
