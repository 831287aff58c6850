import CMooring
import FileTable
import Glibc
import LinkTable
import SystemPackage

/// Completes sockets: their family, and of unix sockets what ties them to others.
struct UnixSocketReader {
  private let reader: OpenFileReader

  init(_ reader: OpenFileReader) { self.reader = reader }

  /// `UDIAG_SHOW_…` of `linux/unix_diag.h`, and the attributes that come.
  private enum Diagnosis {
    static let showPeer: UInt32 = 4
    static let showClients: UInt32 = 8
    static let showQueue: UInt32 = 0x10
    static let peer: UInt16 = 2
    static let clients: UInt16 = 3
    static let queue: UInt16 = 4
    static let shutdown: UInt16 = 6
    /// `SHUTDOWN_MASK`.
    static let bothWays: UInt8 = 3
    /// Bytes of `struct unix_diag_msg`.
    static let headerSize = 16
  }

  /// `SIOCGSKNS`: the network namespace of a socket.
  private static let namespaceRequest: UInt = 0x894C

  func complete(_ table: inout FileTable) throws {
    var places: [UInt32: Int] = [:]
    var networks: [UInt64: NetworkPlace] = [:]
    for place in table.files.indices where table.files[place].kind == .socket {
      let copy: Descriptor
      do throws(ReadFailure) {
        copy = try reader.duplicate(table.files[place])
      } catch .filesChanged {
        // Closed meanwhile.
        table.files[place].descriptors = []
        continue
      }
      guard Self.option(copy.number, SO_DOMAIN, as: CInt.self) == AF_UNIX else { continue }
      table.files[place].kind = .unixSocket
      table.files[place].socket = Self.socket(copy.number)
      places[UInt32(truncatingIfNeeded: table.files[place].inode)] = place
      // Who may not ask has the namespace of the process, which is the same but for travellers.
      let found = mooring_ioctl(copy.number, Self.namespaceRequest)
      let network =
        found >= 0
        ? Descriptor(owning: CInt(found)) : try reader.network(of: table.files[place])
      var facts = mooring_file_facts()
      mooring_file_facts(network.number, "", &facts)
      if networks[facts.inode] == nil {
        networks[facts.inode] = try NetworkPlace(
          network, name: "\(table.files[place].name)")
      }
    }
    for network in networks.values { try complete(&table, places, network) }
  }

  /// What only `unix_diag` tells: peers, and who waits to be accepted.
  private func complete(
    _ table: inout FileTable, _ places: [UInt32: Int], _ network: NetworkPlace
  ) throws {
    let netlink = try network.socket(protocol: NetlinkSocket.diagnosis)
    let sockets = try netlink.unixSockets(
      show: Diagnosis.showPeer | Diagnosis.showClients | Diagnosis.showQueue)
    for message in sockets where message.count >= Diagnosis.headerSize {
      let inode = UInt32(nativeBytes: message.dropFirst(4).prefix(4))
      guard let place = places[inode],
        let attributes = try? NetlinkAttributes(message.dropFirst(Diagnosis.headerSize))
      else { continue }
      if let peer = attributes[Diagnosis.peer]?.u32 {
        // A stream whose other end was closed is tied to nobody any more, nor is a datagram socket whose
        // other end never had a name that another could take.
        let isOver =
          attributes[Diagnosis.shutdown]?.u8 == Diagnosis.bothWays
          || table.files[place].socket?.type == 2
            && table.files[place].socket?.peerName.isEmpty ?? true
        table.files[place].socket?.peer =
          peer != 0 ? .socket(peer) : isOver ? .none : .unknown
      }
      guard table.files[place].socket?.isListening ?? false else { continue }
      var rest = attributes[Diagnosis.clients]?.payload[...] ?? []
      while rest.count >= 4 {
        table.files[place].socket?.waitingClients.append(
          UInt32(nativeBytes: rest.prefix(4)))
        rest = rest.dropFirst(4)
      }
      // struct unix_diag_rqlen: of a listener the second number is its backlog.
      if let lengths = attributes[Diagnosis.queue]?.payload, lengths.count >= 8 {
        table.files[place].socket?.backlog = UInt32(nativeBytes: lengths[4..<8])
      }
    }
  }

  private static func socket(_ descriptor: CInt) -> UnixSocket {
    var socket = UnixSocket(type: option(descriptor, SO_TYPE, as: CInt.self) ?? 0)
    socket.isListening = option(descriptor, SO_ACCEPTCONN, as: CInt.self) == 1
    socket.name = address(descriptor, getsockname)
    socket.peerName = address(descriptor, getpeername)
    // The kernel doubles what it is given.
    socket.sendBuffer = option(descriptor, SO_SNDBUF, as: UInt32.self) ?? 0
    socket.receiveBuffer = option(descriptor, SO_RCVBUF, as: UInt32.self) ?? 0
    socket.sendTimeout = microseconds(option(descriptor, SO_SNDTIMEO, as: timeval.self))
    socket.receiveTimeout = microseconds(option(descriptor, SO_RCVTIMEO, as: timeval.self))
    socket.passesCredentials = option(descriptor, SO_PASSCRED, as: CInt.self) == 1
    return socket
  }

  private static func microseconds(_ time: timeval?) -> UInt64 {
    guard let time, time.tv_sec >= 0, time.tv_usec >= 0 else { return 0 }
    return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_usec)
  }

  /// `getsockopt(SOL_SOCKET)`; `nil` where the socket has no such option.
  private static func option<Value: BitwiseCopyable>(
    _ descriptor: CInt, _ name: CInt, as type: Value.Type
  ) -> Value? {
    withUnsafeTemporaryAllocation(of: Value.self, capacity: 1) { room in
      var length = socklen_t(MemoryLayout<Value>.size)
      guard getsockopt(descriptor, SOL_SOCKET, name, room.baseAddress!, &length) == 0,
        length == socklen_t(MemoryLayout<Value>.size)
      else { return nil }
      return room[0]
    }
  }

  /// The path of an address, or a zero byte and an abstract name; empty where there is none.
  private static func address(
    _ descriptor: CInt,
    _ call: (CInt, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?) -> CInt
  ) -> [UInt8] {
    var address = sockaddr_un()
    // A path may fill all of sun_path, and its NUL is counted then.
    var length = socklen_t(MemoryLayout<sockaddr_un>.size)
    let status = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call(descriptor, $0, &length) }
    }
    let offset = MemoryLayout<sa_family_t>.size
    guard status == 0, Int(length) > offset else { return [] }
    let most = min(Int(length), MemoryLayout<sockaddr_un>.size)
    let bytes = withUnsafeBytes(of: &address) { Array($0[offset..<most]) }
    return bytes.first == 0 ? bytes : Array(bytes.prefix { $0 != 0 })
  }
}
