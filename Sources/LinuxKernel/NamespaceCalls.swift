import CMooring
import Glibc
import MountTable
import RestorePlan
import SystemPackage

/// Making namespaces, and what belongs to making them.
public enum NamespaceCalls {
  /// The `CLONE_NEW*` flag of a kind.
  public static func flag(of kind: NamespaceKind) -> CInt {
    switch kind {
    case .mount: CInt(MOORING_CLONE_NEWNS)
    case .network: CInt(MOORING_CLONE_NEWNET)
    case .process: CInt(MOORING_CLONE_NEWPID)
    case .ipc: CInt(MOORING_CLONE_NEWIPC)
    case .uts: CInt(MOORING_CLONE_NEWUTS)
    case .cgroup: CInt(MOORING_CLONE_NEWCGROUP)
    case .user: CInt(MOORING_CLONE_NEWUSER)
    case .time: CInt(MOORING_CLONE_NEWTIME)
    }
  }

  /// Leaves the namespaces of these kinds for new ones (`unshare`). For pid and time it is the next
  /// child that lives in them.
  public static func unshare(_ kinds: some Sequence<NamespaceKind>) throws(SystemCallFailure) {
    let flags = kinds.reduce(0) { $0 | flag(of: $1) }
    let names = kinds.map(\.rawValue).sorted().joined(separator: ", ")
    try checked(mooring_unshare(flags), "unshare", "the namespaces \(names)")
  }

  /// Leaves the mount namespace for new ones until one has a higher ID than `former`: the kernel lets the
  /// file of a mount namespace be bound only in one of a lower ID. Linux 6.18 gives IDs by processor, so
  /// that a later one may be lower; the processor that gave `former` gives higher ones.
  public static func unshareMounts(above former: UInt64) throws(SystemCallFailure) {
    guard let first = ownMountNamespaceID(), first <= former else { return }
    var allowed = [UInt8](repeating: 0, count: 1024)
    let size = try checked(
      mooring_get_affinity(&allowed, allowed.count), "sched_getaffinity", "the worker")
    defer { _ = mooring_set_affinity(allowed, size) }
    for processor in 0..<size * 8 where allowed[processor / 8] & 1 << (processor % 8) != 0 {
      var one = [UInt8](repeating: 0, count: size)
      one[processor / 8] = 1 << (processor % 8)
      guard mooring_set_affinity(one, size) >= 0 else { continue }
      try unshare([.mount])
      if let id = ownMountNamespaceID(), id > former { return }
    }
  }

  /// The ID of the caller's mount namespace (`NS_GET_MNTNS_ID`, Linux 6.11); `nil` on older kernels.
  public static func ownMountNamespaceID() -> UInt64? {
    guard let folder = try? ProcessFolder.own(), case .success(let id) = folder.mountNamespaceID()
    else { return nil }
    return id
  }

  /// Writes the mappings of the user namespace that `pid` has made.
  ///
  /// The files are `/proc/PID/setgroups`, `uid_map` and `gid_map`, see `user_namespaces(7)`. Where
  /// the writer is not root, it may map its own IDs only, and `setgroups` has to be denied first.
  public static func write(_ mapping: IDMapping, of pid: Int32) throws(SystemCallFailure) {
    if geteuid() != 0 { try writeFile("/proc/\(pid)/setgroups", "deny") }
    try writeFile("/proc/\(pid)/uid_map", lines(mapping.users))
    try writeFile("/proc/\(pid)/gid_map", lines(mapping.groups))
  }

  private static func lines(_ ranges: [IDMapping.Range]) -> String {
    ranges.map { "\($0.inside) \($0.outside) \($0.count)\n" }.joined()
  }

  /// Sets the clocks of the time namespace that the next child will live in. Nanoseconds.
  public static func setClockOffsets(
    monotonic: Int64, bootTime: Int64
  ) throws(SystemCallFailure) {
    func line(_ clock: String, _ offset: Int64) -> String {
      let billion: Int64 = 1_000_000_000
      // Rounded down, without leaving 64 bits where the offset is near their end.
      let (seconds, rest) = offset.quotientAndRemainder(dividingBy: billion)
      return rest < 0
        ? "\(clock) \(seconds - 1) \(rest + billion)\n" : "\(clock) \(seconds) \(rest)\n"
    }
    try writeFile(
      "/proc/self/timens_offsets",
      line("monotonic", monotonic) + line("boottime", bootTime))
  }

  /// Runs `body` while the calling process's files in `/proc` belong to its own user (`PR_SET_DUMPABLE`).
  public static func whileDumpable(
    _ body: () throws(SystemCallFailure) -> Void
  ) throws(SystemCallFailure) {
    let former = mooring_prctl(CInt(MOORING_PR_GET_DUMPABLE), 0)
    try checked(mooring_prctl(CInt(MOORING_PR_SET_DUMPABLE), 1), "prctl", "PR_SET_DUMPABLE")
    defer { if former == 0 { _ = mooring_prctl(CInt(MOORING_PR_SET_DUMPABLE), 0) } }
    try body()
  }

  public static func setHostName(_ name: KernelString) throws(SystemCallFailure) {
    try checked(
      withPath(name.bytes) { mooring_sethostname($0, name.bytes.count) }, "sethostname",
      quoted(name.bytes))
  }

  public static func setDomainName(_ name: KernelString) throws(SystemCallFailure) {
    try checked(
      withPath(name.bytes) { mooring_setdomainname($0, name.bytes.count) }, "setdomainname",
      quoted(name.bytes))
  }

  /// Brings the loopback link of the calling process's network namespace up (`SIOCSIFFLAGS`).
  public static func bringLoopbackUp() throws(SystemCallFailure) {
    let type = CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
    let socket = socket(AF_INET, type, 0)
    try checked(socket < 0 ? -Int(Glibc.errno) : 0, "socket", "AF_INET")
    let owner = Descriptor(owning: socket)
    var request = [UInt8](repeating: 0, count: 40)  // struct ifreq: 16 bytes of name, then flags
    request.replaceSubrange(0..<2, with: Array("lo".utf8))
    request[16] = 0x41  // IFF_UP | IFF_RUNNING
    let result = request.withUnsafeMutableBytes {
      mooring_ioctl_pointer(owner.number, 0x8914, $0.baseAddress)
    }
    try checked(result, "ioctl(SIOCSIFFLAGS)", "lo")
  }

  public static func writeFile(_ path: String, _ text: String) throws(SystemCallFailure) {
    let file = try Descriptor.open(path, flags: O_WRONLY)
    let bytes = Array(text.utf8)
    let written = Glibc.write(file.number, bytes, bytes.count)
    try checked(written < 0 ? -Int(Glibc.errno) : written, "write", "\(path): \(text)")
  }
}
