import Glibc
import LinuxKernel

/// The two ends of a pipe.
struct HostEnds: ~Copyable {
  /// The engine's, for reading, which does not block.
  let mine: Descriptor
  let theirs: Descriptor

  static func ofPipe() throws(SystemCallFailure) -> HostEnds {
    var ends: [CInt] = [-1, -1]
    try checked(pipe(&ends) < 0 ? -Int(errno) : 0, "pipe", "the plugins' output")
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    return HostEnds(mine: Descriptor(owning: ends[0]), theirs: Descriptor(owning: ends[1]))
  }
}
