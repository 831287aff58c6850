import CLibnl
import Glibc
import LinkTable
import MountTable
import SystemPackage

/// A rtnetlink socket (`rtnetlink(7)`), opened through libnl. It belongs to the network namespace in which
/// it was opened, whoever uses it.
///
/// Objects are `NetlinkRecord`, not libnl's own: those forget the attributes that they do not know.
public final class NetlinkSocket {
  /// `linux/netlink.h`.
  private enum Constant {
    static let solNetlink: CInt = 270
    static let capAck: CInt = 10
    static let extendedAck: CInt = 11
    static let strictCheck: CInt = 12
    static let errorMessage: UInt16 = 2
    static let done: UInt16 = 3
    static let dumpInterrupted: UInt16 = 0x10
    static let isCapped: UInt16 = 0x100
    static let hasAttributes: UInt16 = 0x200
    static let request: UInt16 = 1
    static let acknowledge: UInt16 = 4
    static let dump: UInt16 = 0x300
    static let errorText: UInt16 = 1
  }

  /// How often a dump that changes underway is asked for again.
  static let tries = 32
  /// Requests that go to the kernel in one packet: their answers must find room in the socket.
  private static let mostAtOnce = 128
  private static let mostBytesAtOnce = 1 << 15
  private static let bufferSize: CInt = 1 << 20

  private let socket: OpaquePointer
  private var sequence: UInt32 = 1

  /// A socket of the calling thread's network namespace.
  public convenience init() throws(SystemCallFailure) { try self.init(protocol: NETLINK_ROUTE) }

  init(protocol family: CInt) throws(SystemCallFailure) {
    guard let socket = nl_socket_alloc() else {
      throw SystemCallFailure("socket", on: "AF_NETLINK", .noMemory)
    }
    self.socket = socket
    errno = 0
    if nl_connect(socket, family) < 0 {
      throw SystemCallFailure("socket", on: "AF_NETLINK", Errno(rawValue: max(errno, 1)))
    }
    configure()
  }

  /// Takes over a descriptor that another process opened.
  init(
    owning descriptor: CInt, protocol family: CInt = NETLINK_ROUTE
  ) throws(SystemCallFailure) {
    guard let socket = nl_socket_alloc() else {
      close(descriptor)
      throw SystemCallFailure("socket", on: "AF_NETLINK", .noMemory)
    }
    self.socket = socket
    errno = 0
    if nl_socket_set_fd(socket, family, descriptor) < 0 {
      close(descriptor)
      throw SystemCallFailure("getsockname", on: "AF_NETLINK", Errno(rawValue: max(errno, 1)))
    }
    configure()
  }

  deinit { nl_socket_free(socket) }

  var descriptor: CInt { nl_socket_get_fd(socket) }

  /// Kernels that lack one of these say less, no more.
  private func configure() {
    nl_socket_set_buffer_size(socket, Self.bufferSize, Self.bufferSize)
    for option in [Constant.extendedAck, Constant.capAck, Constant.strictCheck] {
      var yes: CInt = 1
      setsockopt(descriptor, Constant.solNetlink, option, &yes, 4)
    }
  }

  // MARK: Reading

  /// All objects of a kind (`NLM_F_DUMP`). A reading that the kernel calls inconsistent
  /// (`NLM_F_DUMP_INTR`) is thrown away and made again.
  ///
  /// - Parameters:
  ///   - request: of an `RTM_GET…` type.
  ///   - subject: what is read, for the error.
  /// - Throws: `SystemCallFailure` with the kernel's words; `EINTR` where all readings were interrupted.
  public func dump(
    _ request: NetlinkRecord, _ subject: String
  ) throws(SystemCallFailure) -> [NetlinkRecord] {
    for _ in 0..<Self.tries {
      let number = nextSequence()
      try send(
        request.message(flags: Constant.request | Constant.dump, sequence: number), subject)
      if let records = try receiveDump(number, subject) { return records }
    }
    throw SystemCallFailure(
      "netlink: read", on: subject, .interrupted,
      detail: "they changed during each of \(Self.tries) readings; stop what changes them")
  }

  /// `nil` where it was interrupted.
  private func receiveDump(
    _ number: UInt32, _ subject: String
  ) throws(SystemCallFailure) -> [NetlinkRecord]? {
    var records: [NetlinkRecord] = []
    var isInterrupted = false
    while true {
      for message in try receive(subject) where message.sequence == number {
        isInterrupted = isInterrupted || message.flags & Constant.dumpInterrupted != 0
        switch message.type {
        case Constant.done, Constant.errorMessage:
          if let failure = message.failure(subject, "netlink: read") { throw failure }
          return isInterrupted ? nil : records
        default: records.append(try message.record(subject))
        }
      }
    }
  }

  /// One object.
  ///
  /// - Throws: `SystemCallFailure` with the kernel's words.
  public func get(
    _ request: NetlinkRecord, _ subject: String
  ) throws(SystemCallFailure) -> NetlinkRecord {
    let number = nextSequence()
    try send(request.message(flags: Constant.request, sequence: number), subject)
    while true {
      for message in try receive(subject) where message.sequence == number {
        if let failure = message.failure(subject, "netlink: read") { throw failure }
        return try message.record(subject)
      }
    }
  }

  // MARK: Generic netlink (`linux/genetlink.h`)

  /// `NETLINK_GENERIC`.
  static let generic: CInt = 16

  /// `CTRL_CMD_GETFAMILY`: the type of a family's messages; `nil` where the kernel has no such family.
  func family(_ name: String) throws(SystemCallFailure) -> UInt16? {
    let controller: UInt16 = 16
    do throws(SystemCallFailure) {
      let answers = try ask(
        controller, 3, NetlinkAttributes([NetlinkAttribute(2, text: Array(name.utf8))]),
        flags: Constant.acknowledge, "the family \(name)")
      return answers.first?[1]?.u16
    } catch {
      if error.errno == .noSuchFileOrDirectory { return nil }
      throw error
    }
  }

  /// The answers of a dump.
  func dumpGeneric(
    _ family: UInt16, _ command: UInt8, _ attributes: NetlinkAttributes, _ subject: String
  ) throws(SystemCallFailure) -> [NetlinkAttributes] {
    try ask(family, command, attributes, flags: Constant.dump, subject)
  }

  func setGeneric(
    _ family: UInt16, _ command: UInt8, _ attributes: NetlinkAttributes, _ subject: String
  ) throws(SystemCallFailure) {
    _ = try ask(family, command, attributes, flags: Constant.acknowledge, subject)
  }

  /// `struct genlmsghdr` and attributes, there and back.
  private func ask(
    _ family: UInt16, _ command: UInt8, _ attributes: NetlinkAttributes, flags: UInt16,
    _ subject: String
  ) throws(SystemCallFailure) -> [NetlinkAttributes] {
    let payloads = try exchange(
      family, [command, 1, 0, 0] + attributes.encoded, flags: flags, subject)
    var answers: [NetlinkAttributes] = []
    for payload in payloads {
      guard let answer = try? NetlinkAttributes(payload.dropFirst(4)) else {
        throw SystemCallFailure("netlink: read", on: subject, .badMessage)
      }
      answers.append(answer)
    }
    return answers
  }

  /// Sends a message and receives until the end of a dump or an acknowledgement.
  private func exchange(
    _ type: UInt16, _ payload: [UInt8], flags: UInt16, _ subject: String
  ) throws(SystemCallFailure) -> [ArraySlice<UInt8>] {
    let number = nextSequence()
    try send(
      UInt32(16 + payload.count).nativeBytes + type.nativeBytes
        + (flags | Constant.request).nativeBytes + number.nativeBytes + UInt32(0).nativeBytes
        + payload, subject)
    var answers: [ArraySlice<UInt8>] = []
    while true {
      for message in try receive(subject) where message.sequence == number {
        if message.type == Constant.done || message.type == Constant.errorMessage {
          if let failure = message.failure(subject, "netlink: ask") { throw failure }
          return answers
        }
        answers.append(message.payload)
      }
    }
  }

  // MARK: Sockets (`linux/sock_diag.h`)

  /// `NETLINK_SOCK_DIAG`.
  static let diagnosis: CInt = 4

  /// The unix sockets of the network namespace: `struct unix_diag_msg` and attributes each.
  func unixSockets(show: UInt32) throws(SystemCallFailure) -> [ArraySlice<UInt8>] {
    let byFamily: UInt16 = 20  // SOCK_DIAG_BY_FAMILY
    let request =
      [UInt8(AF_UNIX), 0, 0, 0] + UInt32.max.nativeBytes + UInt32(0).nativeBytes
      + show.nativeBytes + UInt64(0).nativeBytes
    return try exchange(byFamily, request, flags: Constant.dump, "the unix sockets")
  }

  /// Whether the calling process's network namespace has tables of nftables
  /// (`NFT_MSG_GETTABLE` of `linux/netfilter/nf_tables.h`).
  static func hasPacketFilterTables() throws(SystemCallFailure) -> Bool {
    let socket = try NetlinkSocket(protocol: 12)  // NETLINK_NETFILTER
    let type: UInt16 = 10 << 8 | 1  // NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE
    let header =
      UInt32(20).nativeBytes + type.nativeBytes
      + (Constant.request | Constant.dump).nativeBytes
      + UInt32(1).nativeBytes + UInt32(0).nativeBytes
    try socket.send(header + [0, 0, 0, 0], "tables of nftables")
    for message in try socket.receive("tables of nftables") {
      if message.type >> 8 == 10 { return true }
    }
    return false
  }

  // MARK: Changing

  /// Carries requests out in their order, many at a time; one that fails keeps none of the others back.
  ///
  /// - Returns: for each request the failure that the kernel reported; `nil` where it succeeded. The
  ///   subjects of failures are for the caller to fill in.
  /// - Throws: `SystemCallFailure` where the kernel could not be talked to.
  public func perform(
    _ requests: [(record: NetlinkRecord, flags: UInt16)]
  ) throws(SystemCallFailure) -> [SystemCallFailure?] {
    var results: [SystemCallFailure?] = []
    results.reserveCapacity(requests.count)
    var next = 0
    while next < requests.count {
      let first = next
      let number = sequence
      var bytes: [UInt8] = []
      while next < requests.count, next - first < Self.mostAtOnce,
        bytes.count < Self.mostBytesAtOnce
      {
        bytes += requests[next].record.message(
          flags: requests[next].flags | Constant.request | Constant.acknowledge,
          sequence: nextSequence())
        next += 1
      }
      try send(bytes, "changes of the network")
      results += try receiveAnswers(next - first, from: number)
    }
    return results
  }

  private func receiveAnswers(
    _ count: Int, from first: UInt32
  ) throws(SystemCallFailure) -> [SystemCallFailure?] {
    var results = [SystemCallFailure?](repeating: nil, count: count)
    var missing = count
    while missing > 0 {
      for message in try receive("changes of the network") {
        let place = Int(message.sequence &- first)
        guard place < count, message.type == Constant.errorMessage else { continue }
        results[place] = message.failure("", "netlink: set")
        missing -= 1
      }
    }
    return results
  }

  // MARK: Messages

  private func nextSequence() -> UInt32 {
    defer { sequence &+= 1 }
    return sequence
  }

  private func send(_ bytes: [UInt8], _ subject: String) throws(SystemCallFailure) {
    var bytes = bytes
    while true {
      errno = 0
      let sent = bytes.withUnsafeMutableBytes { nl_sendto(socket, $0.baseAddress, $0.count) }
      if sent >= 0 { return }
      if errno == EINTR { continue }
      throw SystemCallFailure("sendmsg", on: subject, Errno(rawValue: max(errno, 1)))
    }
  }

  private struct Received {
    var type: UInt16
    var flags: UInt16
    var sequence: UInt32
    var payload: ArraySlice<UInt8>

    func record(_ subject: String) throws(SystemCallFailure) -> NetlinkRecord {
      do throws(NetlinkFormatError) {
        return try NetlinkRecord(type: type, payload: payload)
      } catch {
        throw SystemCallFailure("netlink: read", on: subject, .badMessage, detail: "\(error)")
      }
    }

    /// What an error message, or the end of a dump, says; `nil` for success.
    func failure(_ subject: String, _ call: String) -> SystemCallFailure? {
      guard type == Constant.errorMessage || type == Constant.done, payload.count >= 4 else {
        return nil
      }
      let code = Int32(nativeBytes: payload.prefix(4))
      guard code != 0 else { return nil }
      return SystemCallFailure(
        call, on: subject, Errno(rawValue: code == .min ? 5 : abs(code)), detail: text)
    }

    /// `NLMSGERR_ATTR_MSG`: the kernel's own words.
    private var text: String {
      guard flags & Constant.hasAttributes != 0 else { return "" }
      var rest = payload.dropFirst(4)
      if type == Constant.errorMessage {
        let length = Int(UInt32(nativeBytes: rest.prefix(4)))
        rest = rest.dropFirst(flags & Constant.isCapped != 0 ? 16 : (length + 3) & ~3)
      }
      guard let attributes = try? NetlinkAttributes(rest),
        let text = attributes[Constant.errorText]?.text, !text.isEmpty
      else { return "" }
      return "the kernel says: \(KernelString(Array(text)))"
    }
  }

  private func receive(_ subject: String) throws(SystemCallFailure) -> [Received] {
    var sender = sockaddr_nl()
    var buffer: UnsafeMutablePointer<UInt8>?
    errno = 0
    let count = Int(nl_recv(socket, &sender, &buffer, nil))
    defer { free(buffer) }
    if count <= 0 {
      if errno == EINTR || count == 0 { return [] }
      throw SystemCallFailure("recvmsg", on: subject, Errno(rawValue: max(errno, 1)))
    }
    guard let buffer, sender.nl_pid == 0 else { return [] }
    let bytes = [UInt8](UnsafeBufferPointer(start: buffer, count: count))
    var messages: [Received] = []
    var position = 0
    while bytes.count - position >= 16 {
      let rest = bytes[position...]
      let length = Int(UInt32(nativeBytes: rest.prefix(4)))
      guard length >= 16, length <= rest.count else { break }
      messages.append(
        Received(
          type: UInt16(nativeBytes: rest.dropFirst(4).prefix(2)),
          flags: UInt16(nativeBytes: rest.dropFirst(6).prefix(2)),
          sequence: UInt32(nativeBytes: rest.dropFirst(8).prefix(4)),
          payload: rest.prefix(length).dropFirst(16)))
      position += (length + 3) & ~3
    }
    return messages
  }
}
