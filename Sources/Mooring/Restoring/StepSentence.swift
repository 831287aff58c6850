import LinuxKernel
import MountTable
import RestorePlan
import SystemPackage

/// A failed step as a sentence a person can act on: what was tried, on what, what the kernel said,
/// what to do. Pure: a function of the step, the failure and the plan.
struct StepSentence {
  private let plan: RestorePlan

  init(_ plan: RestorePlan) { self.plan = plan }

  func text(_ failure: StepFailure) -> String {
    let hint = hint(failure).map { "; " + $0 } ?? ""
    return "restore: \(tried(failure.step)): \(failure.cause)\(hint)"
  }

  private func name(_ id: MountID) -> String {
    guard let mount = plan.expected[id] else { return "mount \(id)" }
    return "\(mount.mountPoint) (mount \(id))"
  }

  /// The mounts of a superblock, as its first one is called.
  private func name(_ device: DeviceNumber) -> String {
    plan.expected.mounts.first { $0.device == device }.map { name($0.id) } ?? "\(device)"
  }

  private func tried(_ step: RestoreStep) -> String {
    switch step {
    case .createFileSystem(let new, _, let id, _): "make \(new.type) for \(name(id))"
    case .cloneNamespaceFile(let kind, let id, _):
      "bind the \(kind.rawValue) namespace to \(name(id))"
    case .clone(_, let path, let id, _): "bind \(name(id)) from \"/\(path)\" of \(origin(id))"
    case .attach(_, _, _, let id, _): "attach \(name(id))"
    case .unpack(let device, _): "fill \(name(device)) with its saved content"
    case .joinGroupOutside(_, let id, _): "let \(name(id)) join the peer group of its source"
    default: "\(step)"
    }
  }

  /// Where the file system that a mount is bound from comes from.
  private func origin(_ id: MountID) -> String {
    guard let index = plan.expected.index(of: id) else { return "its file system" }
    if case .bind(let anchor) = plan.kinds[index], let place = plan.expected.index(of: anchor) {
      return plan.kinds[place] == .namespaceRoot ? "--root" : name(anchor)
    }
    return "its file system"
  }

  /// ENOSPC of a call that makes a name or writes is about a disk; of one about mounts, about their number.
  private func diskHint(_ failure: StepFailure) -> String? {
    guard let call = (failure.cause as? SystemCallFailure)?.call else { return nil }
    let names: Set = [
      "mkdirat", "mknodat", "linkat", "symlinkat", "renameat2", "open", "openat", "write",
    ]
    guard names.contains(call) else { return nil }
    if case .unpack = failure.step { return nil }
    return "the file system has no room, or no inode, left (df, df -i): free some"
  }

  private func hint(_ failure: StepFailure) -> String? {
    guard let errno = failure.errno else { return nil }
    if errno == .noSpace, let hint = diskHint(failure) { return hint }
    switch (failure.step, errno) {
    case (.createFileSystem(let new, _, _, _), .operationNotSupportedByDevice):
      return
        "this kernel has no file system \(new.type): load its module, or leave the mount out with "
        + "--skip-mnt"
    case (.createFileSystem(let new, _, _, _), .notPermitted) where new.type == "proc":
      return
        "in a user namespace the kernel allows proc only where all of a proc is visible already: "
        + "restore where nothing is mounted over parts of /proc"
    case (.createFileSystem(let new, _, _, _), .notPermitted) where new.type == "sysfs":
      return "in a user namespace the kernel allows sysfs only with a network namespace of its own"
    case (.createFileSystem, .resourceBusy):
      return "it is in use on the host with other options"
    case (.clone, .noSuchFileOrDirectory):
      return "there is no such file or directory: make it there, or give another --root"
    case (.clone, .tooManySymbolicLinkLevels), (.attach, .tooManySymbolicLinkLevels):
      return
        "a symbolic link is in the way, which the restore does not follow: put a directory there"
    case (.attach, .noSuchFileOrDirectory):
      return
        "its mount point is missing, on a file system that is not the restore's to change: make it"
    case (.attach, .noSpace), (.clone, .noSpace):
      return "the limit on mounts is reached: raise fs.mount-max (sysctl)"
    case (.unpack, .noSpace):
      return "the content does not fit the size that the file system had when it was saved"
    case (.createFileSystem(let new, _, _, _), .noSuchFileOrDirectory) where new.layersIn != nil:
      return "its layers are looked for in the new tree: make them there, or map the mount"
    default: return nil
    }
  }
}
