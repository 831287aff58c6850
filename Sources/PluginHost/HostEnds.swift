import Glibc
import LinuxKernel

/// The two ends of a socket pair or a pipe.
struct HostEnds: ~Copyable {
  /// The engine's; of a pipe the one for reading, which does not block.
  let mine: Descriptor
  let theirs: Descriptor

  static func ofSocket() throws(SystemCallFailure) -> HostEnds {
    var ends: [CInt] = [-1, -1]
    let type = CInt(SOCK_SEQPACKET.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
    let result = socketpair(AF_UNIX, type, 0, &ends)
    try checked(result < 0 ? -Int(errno) : 0, "socketpair", "AF_UNIX")
    return HostEnds(mine: Descriptor(owning: ends[0]), theirs: Descriptor(owning: ends[1]))
  }

  static func ofPipe() throws(SystemCallFailure) -> HostEnds {
    var ends: [CInt] = [-1, -1]
    try checked(pipe(&ends) < 0 ? -Int(errno) : 0, "pipe", "the plugins' output")
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    return HostEnds(mine: Descriptor(owning: ends[0]), theirs: Descriptor(owning: ends[1]))
  }
}
