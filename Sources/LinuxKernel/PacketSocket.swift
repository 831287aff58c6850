import CMooring
import Glibc

/// One end of a `SOCK_SEQPACKET` socket between two processes of the engine: bytes and descriptors, a
/// packet whole or not there.
public struct PacketSocket: ~Copyable {
  private let socket: Descriptor
  /// Bytes that a packet may have.
  public static let room = 1 << 16

  public var number: CInt { socket.number }

  public init(owning descriptor: CInt) { socket = Descriptor(owning: descriptor) }

  /// A child process, and this process's end of a socket to it.
  public struct Child: ~Copyable {
    public let pid: pid_t
    public let socket: PacketSocket

    /// The socket alone; the process is reaped by its `pid`.
    public consuming func takeSocket() -> PacketSocket { socket }
  }

  /// Forks a process that has the other end of a socket. The calling process must have no threads that
  /// hold locks of the run time.
  ///
  /// - Parameters:
  ///   - subject: what the process is for, for errors.
  ///   - child: what it does.
  public static func fork(
    _ subject: String, child: (consuming PacketSocket) -> Never
  ) throws(SystemCallFailure) -> Child {
    var ends: [CInt] = [-1, -1]
    let type = CInt(SOCK_SEQPACKET.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
    let result = Glibc.socketpair(AF_UNIX, type, 0, &ends)
    try checked(result < 0 ? -Int(errno) : 0, "socketpair", "AF_UNIX")
    let mine = PacketSocket(owning: ends[0])
    fflush(nil)
    let pid = mooring_fork()
    if pid == 0 {
      close(ends[0])
      child(PacketSocket(owning: ends[1]))
    }
    close(ends[1])
    try checked(pid, "fork", subject)
    return Child(pid: pid_t(pid), socket: mine)
  }

  /// The descriptor; who takes it closes it.
  public consuming func release() -> CInt { socket.release() }

  public static func send(
    _ bytes: [UInt8], _ descriptors: [CInt] = [], over socket: CInt
  ) throws(SystemCallFailure) {
    try checked(
      mooring_send(socket, bytes, bytes.count, descriptors, descriptors.count), "sendmsg",
      "a process of the engine")
  }

  /// The next packet; `nil` where the other end is closed.
  public static func receive(
    from socket: CInt
  ) throws(SystemCallFailure) -> (bytes: [UInt8], descriptors: [CInt])? {
    var descriptors = [CInt](repeating: -1, count: 16)
    var count = descriptors.count
    var bytes = [UInt8](repeating: 0, count: 0)
    var got = 0
    bytes = [UInt8](unsafeUninitializedCapacity: room) { buffer, length in
      got = mooring_receive(socket, buffer.baseAddress!, buffer.count, &descriptors, &count)
      length = max(got, 0)
    }
    if got == 0 || got == -Int(ECONNRESET) { return nil }
    try checked(got, "recvmsg", "a process of the engine")
    return (bytes, Array(descriptors[..<count]))
  }
}
