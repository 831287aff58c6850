import MountTable
import SystemPackage

/// Why the mounts or the namespaces of a process could not be read.
public enum ReadFailure: Error, Hashable, Sendable, CustomStringConvertible {
  case noSuchProcess(Int32)
  /// `/proc` is missing, or numbers processes differently from the calling process.
  case foreignProcessFiles
  /// It ended while it was being read, or it is a zombie.
  case processGone(String)
  case notPermitted(String)
  /// Its root is a directory that is not the root of a mount; `to` is its path, where it may be seen.
  case processIsChrooted(String, to: KernelString?)
  /// Its root is on a mount that its namespace does not hold.
  case rootIsElsewhere(String)
  case changedTooOften(tries: Int)
  case malformed(MountInfoError)
  case notATree(MountTableError)
  /// The namespace is not what the table says: it changed after it was read.
  case tableIsStale(String)
  /// A visit of the container's mounts failed.
  case visitFailed(String)
  /// A descriptor was another file's when it was looked at again.
  case filesChanged(String)
  /// `kcmp` does not say which descriptors share an open file.
  case cannotCompare(CInt)
  case system(SystemCallFailure)

  /// Whether the process is one that cannot be read as it is, rather than a call that failed.
  public var isRefusal: Bool {
    switch self {
    case .processIsChrooted, .rootIsElsewhere: true
    default: false
    }
  }

  public var description: String {
    switch self {
    case .noSuchProcess(let pid):
      "there is no process \(pid); give the PID as this engine's PID namespace numbers it"
    case .foreignProcessFiles:
      "/proc is not that of this engine's PID namespace; mount it: mount -t proc proc /proc"
    case .processGone(let subject):
      "\(subject) ended while it was being read; freeze the container, or start it again"
    case .notPermitted(let subject):
      "\(subject) may not be read; run as root, or as the user who owns the container's user namespace"
    case .processIsChrooted(let subject, let directory):
      "\(subject) is chrooted to \(directory.map { quoted($0.bytes) } ?? "a directory"), which is not the "
        + "root of a mount; bind it to itself (mount --rbind DIR DIR) before the chroot, or give a "
        + "process of the container whose root is that of a mount"
    case .rootIsElsewhere(let subject):
      "the root of \(subject) is on a mount that its mount namespace does not hold (unmounted, or of "
        + "another namespace); give a process of the container that was started in the namespace"
    case .changedTooOften(let tries):
      "the mount table changed during each of \(tries) readings; stop or freeze what mounts there"
    case .malformed(let error): "\(error)"
    case .notATree(let error): "the mount table is inconsistent: \(error)"
    case .tableIsStale(let what):
      "the mount namespace changed after its table was read: \(what); freeze the container and try again"
    case .visitFailed(let what): what
    case .filesChanged(let subject):
      "the open files of \(subject) changed while they were being read; freeze the container and try again"
    case .cannotCompare(let number):
      "kcmp on open files: \(Errno(rawValue: number).symbol) (\(Errno(rawValue: number).text)); "
        + "it takes a kernel with CONFIG_KCMP, and the right to trace the container's processes"
    case .system(let failure): "\(failure)"
    }
  }
}
