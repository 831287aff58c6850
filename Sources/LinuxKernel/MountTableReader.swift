import CMooring
import Glibc
import MountTable
import SystemPackage

/// Why a mount table could not be read: one sentence that lets a person go on.
public enum ReadFailure: Error, Sendable, CustomStringConvertible {
  case noProcess(Int32)
  case ended(Int32)
  case notPermitted(Int32)
  case keepsChanging(tries: Int)
  case changedRoot(Int32)
  case malformed(line: Int, String)
  case notATree(MountTableError)
  case call(SystemCallFailure)

  public var description: String {
    switch self {
    case .noProcess(let pid): "there is no process \(pid); name a process of the container with -t"
    case .ended(let pid): "process \(pid) ended while its mounts were being read"
    case .notPermitted(let pid):
      "the mounts of process \(pid) may not be read (EACCES); run as root, or as its owner"
    case .keepsChanging(let tries):
      "the mount table changed each of \(tries) times it was read; stop what mounts there"
    case .changedRoot(let pid):
      "process \(pid) has another root (chroot) than its mount namespace, which hides mounts; "
        + "name a process of the container that has not called chroot"
    case .malformed(let line, let reason): "line \(line) of the mount table: \(reason)"
    case .notATree(let error): "the mount table is not a tree: \(error)"
    case .call(let failure): "\(failure)"
    }
  }
}

/// The mounts that a process sees, as the kernel has them now.
///
/// `/proc/PID/mountinfo` is read and then polled: a change while it was read shows as `POLLPRI`, and
/// it is read again. What text cannot say comes from `statmount` where the kernel has it.
///
/// - Throws: `ReadFailure`.
public func readMountTable(of pid: Int32) throws(ReadFailure) -> MountTable {
  var mounts = try readMounts(of: pid)
  MountCompletion(of: pid)?.complete(&mounts)
  return try table(mounts, pid)
}

/// The mounts in a file of the form of `/proc/PID/mountinfo`.
///
/// - Parameter path: of the file; `-` for standard input.
/// - Throws: `ReadFailure`.
public func readMountTable(file path: String) throws(ReadFailure) -> MountTable {
  do {
    if path == "-" { return try table(MountInfoParser.parse(readAll(0, "standard input")), nil) }
    let file = try Descriptor.open(path, flags: O_RDONLY)
    return try table(MountInfoParser.parse(readAll(file.number, path)), nil)
  } catch let failure as SystemCallFailure {
    throw .call(failure)
  } catch let failure as ReadFailure {
    throw failure
  } catch {
    throw .malformed(line: 1, "\(error)")
  }
}

private func table(_ mounts: [Mount], _ pid: Int32?) throws(ReadFailure) -> MountTable {
  if let pid {
    if mounts.isEmpty { throw .ended(pid) }
    if !mounts.contains(where: { $0.mountPoint.isRoot }) { throw .changedRoot(pid) }
  }
  do { return try MountTable(mounts) } catch { throw .notATree(error) }
}

private func readMounts(of pid: Int32) throws(ReadFailure) -> [Mount] {
  let path = "/proc/\(pid)/mountinfo"
  let file: Descriptor
  do { file = try Descriptor.open(path, flags: O_RDONLY) } catch {
    switch error.errno {
    case .noSuchFileOrDirectory, .noSuchProcess: throw .noProcess(pid)
    case .permissionDenied, .notPermitted: throw .notPermitted(pid)
    default: throw .call(error)
    }
  }
  let tries = 16
  for _ in 0..<tries {
    let text: [UInt8]
    do {
      lseek(file.number, 0, SEEK_SET)
      text = try readAll(file.number, path)
    } catch {
      switch error.errno {
      case .noSuchProcess, .invalidArgument: throw .ended(pid)
      default: throw .call(error)
      }
    }
    var watched = pollfd(fd: file.number, events: Int16(POLLPRI), revents: 0)
    if poll(&watched, 1, 0) == 0 { return try MountInfoParser.parse(text) }
  }
  throw .keepsChanging(tries: tries)
}

/// Everything that is left to read; the kernel gives at most 4 KiB of mountinfo a call.
func readAll(_ descriptor: CInt, _ name: String) throws(SystemCallFailure) -> [UInt8] {
  var text: [UInt8] = []
  var room = 1 << 16
  while true {
    let have = text.count
    var failure: CInt = 0
    let grown = [UInt8](unsafeUninitializedCapacity: have + room) { buffer, count in
      if have > 0 { _ = memcpy(buffer.baseAddress!, text, have) }
      count = have
      while buffer.count - count >= 4096 {
        let got = read(descriptor, buffer.baseAddress! + count, buffer.count - count)
        if got < 0 && errno == EINTR { continue }
        if got < 0 { failure = errno }
        if got <= 0 {
          if got == 0 { failure = -1 }
          break
        }
        count += got
      }
    }
    text = grown
    if failure == -1 { return text }
    if failure != 0 { throw SystemCallFailure("read", on: name, Errno(rawValue: failure)) }
    room = text.count
  }
}

extension DeviceNumber {
  /// The kernel's `dev_t` as the C library has it: `makedev(3)`.
  public init(deviceID: UInt64) {
    self.init(
      major: UInt32((deviceID >> 8) & 0xFFF) | UInt32((deviceID >> 32) & 0xFFFF_F000),
      minor: UInt32(deviceID & 0xFF) | UInt32((deviceID >> 12) & 0xFFFF_FF00))
  }
}
