import CMooring
import Glibc
import MountTable

/// Visits mounts of a container, covered ones too, without disturbing the container.
///
/// | phase | who | what |
/// |---|---|---|
/// | open | caller | `/proc`, the process's namespaces and root |
/// | enter | child | user namespace (if another), mount namespace, the root the process has |
/// | copy | child | `unshare(CLONE_NEWNS)`, everything private; left out for a few mounts that nothing covers |
/// | check | child | the copy's table against `table`, mount by mount |
/// | visit | child | children before parents; what hides something is taken off the copy |
///
/// `work` runs in the child, in the container's namespaces, with the mount's index in `table` and a
/// descriptor of its root below which nothing mounted on it hides its files: an `O_PATH` one, or, where
/// something is mounted on it, a detached clone of the mount alone. (Where that is locked the kernel forbids
/// the clone; the descriptor is then `O_PATH` and the files below locked mounts stay hidden.) What `work`
/// returns is brought to the caller; what it throws fails the
/// whole visit. Descriptors that were open stay open in the child, so that `work` can write to them.
///
/// Forks: call it from a process that has no second thread.
///
/// - Parameters:
///   - pid: as `/proc` of the caller numbers it.
///   - table: what `readMountTable(of:)` read of that process.
///   - wanted: the mounts to visit, by index in `table.mounts`.
/// - Returns: what `work` returned, by index.
/// - Throws: `ReadFailure.tableIsStale` where the namespace is not what `table` says.
public func visitMounts(
  of pid: Int32, table: MountTable, wanted: [Int], work: (Int, CInt) throws -> [UInt8]
) throws(ReadFailure) -> [Int: [UInt8]] {
  HeldProc.hold()
  let entry = try ContainerEntry(pid)
  var ends: [CInt] = [-1, -1]
  do {
    try checked(mooring_pipe(&ends), "pipe2", "a pipe")
  } catch {
    throw .system(error)
  }
  fflush(nil)
  let child = mooring_fork()
  if child == 0 {
    let visit = MountVisit(
      report: VisitReport(descriptor: ends[1]), table: table, wanted: Set(wanted))
    visit.run(entry, work)
  }
  close(ends[1])
  let reading = Descriptor(owning: ends[0])
  do { try checked(Int(child), "fork", "the reader of the mounts") } catch { throw .system(error) }
  let outcome = VisitReport.collect(from: reading.number)
  var status: CInt = 0
  mooring_wait(pid_t(child), &status)
  switch outcome {
  case .finished(let results): return results
  case .stale(let what): throw .tableIsStale(what)
  case .failed(let what): throw .visitFailed(what)
  case .brokeOff:
    let signal = status & 0x7F
    let name = mooring_signal_name(signal).map { "SIG" + String(cString: $0) } ?? "signal \(signal)"
    throw .visitFailed(
      "the reader of the mounts "
        + (signal == 0 ? "ended with exit status \(status >> 8 & 0xFF)" : "was killed by \(name)"))
  }
}

/// What it takes to enter a container, opened before its namespaces are entered.
struct ContainerEntry: ~Copyable {
  let proc: Descriptor
  let mount: Descriptor
  let root: Descriptor
  /// Only where it is not the caller's own: the kernel refuses to enter the same once more.
  let user: Descriptor?

  init(_ pid: Int32) throws(ReadFailure) {
    let container = try ProcessFolder(pid)
    let proc: Descriptor
    do {
      proc = try Descriptor.open("/proc", flags: pathOnly | O_DIRECTORY)
    } catch {
      throw .system(error)
    }
    let mount = try container.open("ns/mnt")
    let root = try container.open("root", flags: pathOnly | O_DIRECTORY)
    let own = try ProcessFolder.own().namespaceNumber("user")
    let user =
      container.namespaceNumber("user") == own ? nil : try container.open("ns/user")
    self.proc = proc
    self.mount = mount
    self.root = root
    self.user = user
  }

  private var userNumber: CInt? {
    switch user {
    case .some(let descriptor): descriptor.number
    case .none: nil
    }
  }

  /// Moves the calling process in, `inCopy` into a private copy of the mount namespace.
  func enter(inCopy: Bool) throws(SystemCallFailure) {
    if let number = userNumber {
      try checked(
        mooring_setns(number, CInt(MOORING_CLONE_NEWUSER)), "setns",
        "the container's user namespace")
    }
    try checked(
      mooring_setns(mount.number, CInt(MOORING_CLONE_NEWNS)), "setns",
      "the container's mount namespace")
    // setns leads to the topmost mount at "/"; the process may still see the one below.
    try checked(fchdir(root.number) < 0 ? -Int(errno) : 0, "fchdir", "the container's root")
    try checked(chroot(".") < 0 ? -Int(errno) : 0, "chroot", "the container's root")
    guard inCopy else { return }
    try checked(
      mooring_unshare(CInt(MOORING_CLONE_NEWNS)), "unshare",
      "a private copy of the container's mount namespace")
    try checked(
      mooring_mount(nil, "/", nil, UInt(MS_REC) | UInt(MS_PRIVATE), nil), "mount",
      "making the copy of the mount namespace private")
  }
}

/// `O_PATH`
let pathOnly = CInt(MOORING_O_PATH)
