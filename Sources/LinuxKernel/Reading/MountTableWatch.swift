import Glibc

/// Says whether the mounts of a process's namespace have changed since it was made.
///
/// The kernel marks an open `/proc/PID/mountinfo` with `POLLPRI` when a mount comes, goes or moves; it
/// costs nothing per mount.
public struct MountTableWatch: ~Copyable {
  private let file: Descriptor

  /// - Parameter pid: as `/proc` of the caller numbers it.
  public init(_ pid: Int32) throws(ReadFailure) {
    file = try ProcessFolder(pid).open("mountinfo")
  }

  /// The mounts as the kernel writes them.
  func text() throws(SystemCallFailure) -> MountInfoText {
    var text = MountInfoText(capacity: 1 << 16)
    try text.fill(from: file.number, "the process")
    return text
  }

  /// Whether anything changed since the watch was made, or since this was last asked.
  public func hasChanged() -> Bool { Self.hasChanged(file) }

  static func hasChanged(_ mountInfo: borrowing Descriptor) -> Bool {
    var question = pollfd(fd: mountInfo.number, events: Int16(POLLPRI), revents: 0)
    return poll(&question, 1, 0) > 0 && question.revents & Int16(POLLPRI | POLLERR) != 0
  }
}
