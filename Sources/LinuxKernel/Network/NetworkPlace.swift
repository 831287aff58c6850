import CMooring
import Glibc
import LinkTable
import SystemPackage

/// A network namespace that the engine works in from outside: it is held open, has a netlink socket, and a
/// process of the engine in it for what only somebody inside can do (settings below `/proc/sys/net`, tun
/// devices).
///
/// The process ends with this value, and is killed where the engine dies.
public final class NetworkPlace {
  /// What messages call it: `process 4711`, `/run/netns/blue`.
  public let name: String
  public let inode: UInt64
  /// The namespace, open.
  public let namespace: Descriptor
  public let netlink: NetlinkSocket
  private let agent: PacketSocket
  private let pid: pid_t

  /// Enters a namespace. The calling process must have no threads that hold locks of the run time.
  ///
  /// - Parameter name: what messages call it.
  /// - Throws: `SystemCallFailure`: it is no network namespace, or there is no right to enter it.
  public init(_ namespace: consuming Descriptor, name: String) throws(SystemCallFailure) {
    var status = stat()
    fstat(namespace.number, &status)
    let number = namespace.number
    let child = try PacketSocket.fork("a process in the network namespace of \(name)") { socket in
      NetworkAgent.run(socket.release(), entering: number)
    }
    pid = child.pid
    agent = child.takeSocket()
    self.name = name
    inode = UInt64(status.st_ino)
    self.namespace = namespace
    do throws(SystemCallFailure) {
      let answer = try Self.answer(agent.number, "setns", "the network namespace of \(name)")
      guard let descriptor = answer.descriptors.first else {
        throw SystemCallFailure("setns", on: name, .badFileDescriptor)
      }
      netlink = try NetlinkSocket(owning: descriptor)
    } catch {
      kill(pid, SIGKILL)
      mooring_wait(pid, nil)
      throw error
    }
  }

  deinit {
    kill(pid, SIGKILL)
    mooring_wait(pid, nil)
  }

  /// That of a process.
  public static func of(process pid: Int32) throws -> NetworkPlace {
    let folder = try ProcessFolder(pid)
    return try NetworkPlace(try folder.open("ns/net"), name: folder.name)
  }

  /// That of a file as `ip netns` keeps it: a name without a slash is one in `/run/netns`.
  public static func named(_ name: String) throws(SystemCallFailure) -> NetworkPlace {
    let path = name.contains("/") ? name : "/run/netns/\(name)"
    return try NetworkPlace(try Descriptor.open(path, flags: O_RDONLY), name: path)
  }

  /// Those of a process tree: that of `pid` first, then each other one that a descendant has, in the
  /// order of their processes; the caller's own is none of them.
  ///
  /// - Throws: `ReadFailure`, `SystemCallFailure` for `pid`; a descendant that ends meanwhile has none.
  public static func ofTree(_ pid: Int32) throws -> [NetworkPlace] {
    var found = [try of(process: pid)]
    var known: Set<UInt64> = [found[0].inode]
    if let own = try ProcessFolder.own().namespaceNumber("net") { known.insert(UInt64(own)) }
    for child in descendants(of: pid) {
      guard let number = try? ProcessFolder(child).namespaceNumber("net"),
        known.insert(UInt64(number)).inserted, let place = try? of(process: child)
      else { continue }
      found.append(place)
    }
    return found
  }

  // MARK: What is done inside

  /// The settings below `/proc/sys/net` that can be read and written, but for those of single links: of
  /// these, netlink tells.
  ///
  /// - Parameter folder: a path there; all where it is empty.
  public func settings(in folder: [UInt8] = []) throws(SystemCallFailure) -> [Sysctl] {
    try PacketSocket.send(
      [NetworkAgent.Request.readSettings.rawValue] + folder, over: agent.number)
    var settings: [Sysctl] = []
    while true {
      let answer = try Self.answer(agent.number, "read", "/proc/sys/net of \(name)").bytes
      if answer.isEmpty { return settings }
      for item in answer.split(separator: 0) {
        guard let equals = item.firstIndex(of: 0x3D) else { continue }
        settings.append(
          Sysctl(path: Array(item[..<equals]), value: Array(item[(equals + 1)...])))
      }
    }
  }

  /// One setting; `nil` where there is none of this name, or it has no value.
  public func setting(_ path: [UInt8]) throws(SystemCallFailure) -> [UInt8]? {
    try PacketSocket.send([NetworkAgent.Request.read.rawValue] + path, over: agent.number)
    let answer = try Self.answer(agent.number, "read", "/proc/sys/net").bytes
    return answer.first == 1 ? Array(answer.dropFirst()) : nil
  }

  /// Gives settings their values; one that has its value already is not written.
  ///
  /// - Throws: `SystemCallFailure` for the first that cannot be written.
  public func write(_ settings: [Sysctl]) throws(SystemCallFailure) {
    for setting in settings {
      try PacketSocket.send(
        [NetworkAgent.Request.write.rawValue] + setting.path + [0] + setting.value,
        over: agent.number)
      _ = try Self.answer(
        agent.number, "write",
        "/proc/sys/net/\(String(decoding: setting.path, as: UTF8.self)) (\(quoted(setting.value)))")
    }
  }

  /// A socket of generic netlink.
  func genericSocket() throws(SystemCallFailure) -> NetlinkSocket {
    try PacketSocket.send([NetworkAgent.Request.openGeneric.rawValue], over: agent.number)
    let answer = try Self.answer(agent.number, "socket", "NETLINK_GENERIC")
    guard let descriptor = answer.descriptors.first else {
      throw SystemCallFailure("socket", on: "NETLINK_GENERIC", .badFileDescriptor)
    }
    return try NetlinkSocket(owning: descriptor, protocol: NetlinkSocket.generic)
  }

  /// Makes a tun or tap device (`TUNSETIFF`, `tun.rst` of the kernel's documentation).
  public func make(_ device: TunnelDevice) throws(SystemCallFailure) {
    var bytes = [NetworkAgent.Request.makeTunnel.rawValue]
    for number in [
      device.flags, device.owner ?? .max, device.group ?? .max, UInt32(bitPattern: device.index),
    ] { bytes += number.nativeBytes }
    try PacketSocket.send(bytes + device.name, over: agent.number)
    _ = try Self.answer(agent.number, "ioctl(TUNSETIFF)", quoted(device.name))
  }

  /// The packet filters that have tables here: by `/proc/net/ip_tables_names` and its kin, and
  /// `NFT_MSG_GETTABLE`.
  public func filtersInUse() throws(SystemCallFailure) -> [PacketFilter] {
    try PacketSocket.send([NetworkAgent.Request.listFilters.rawValue], over: agent.number)
    let answer = try Self.answer(agent.number, "read", "the packet filters of \(name)").bytes
    return answer.split(separator: 0x20).compactMap {
      PacketFilter(rawValue: String(decoding: $0, as: UTF8.self))
    }
  }

  /// Runs a program in the network namespace (and else where the engine is).
  ///
  /// - Parameter words: an absolute path and arguments.
  /// - Returns: what it wrote on its standard output.
  /// - Throws: `ToolFailure` with its last words, `SystemCallFailure`.
  public func run(_ words: [String], input: [UInt8]) throws -> [UInt8] {
    let files = try (0..<3).map { number in
      CInt(try checked(mooring_memory_file("\(number)"), "memfd_create", words[0]))
    }
    defer { for file in files { close(file) } }
    var rest = input[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(files[0], $0.baseAddress, $0.count) }
      try checked(count < 0 ? -Int(errno) : count, "write", "the input of \(words[0])")
      rest = rest.dropFirst(count)
    }
    lseek(files[0], 0, SEEK_SET)
    try PacketSocket.send(
      [NetworkAgent.Request.run.rawValue]
        + Array(words.map { Array($0.utf8) }.joined(separator: [0])), files, over: agent.number)
    let answer = try Self.answer(agent.number, "execute", words[0]).bytes
    let status = Int32(nativeBytes: answer[...])
    guard status == 0 else {
      let text = String(decoding: Self.contents(files[2]), as: UTF8.self)
      throw ToolFailure(
        words: words, status: status,
        text: text.split(separator: "\n").first.map(String.init) ?? "")
    }
    return Self.contents(files[1])
  }

  private static func contents(_ file: CInt) -> [UInt8] {
    lseek(file, 0, SEEK_SET)
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = Glibc.read(file, &room, room.count), count > 0 {
      bytes += room[..<count]
    }
    return bytes
  }

  private static func answer(
    _ socket: CInt, _ call: StaticString, _ subject: String
  ) throws(SystemCallFailure) -> (bytes: [UInt8], descriptors: [CInt]) {
    guard let packet = try PacketSocket.receive(from: socket), packet.bytes.count >= 4 else {
      throw SystemCallFailure(
        "\(call)", on: subject, .brokenPipe, detail: "the engine's process there has ended")
    }
    let code = Int32(nativeBytes: packet.bytes.prefix(4))
    try checked(Int(code), call, subject)
    return (Array(packet.bytes.dropFirst(4)), packet.descriptors)
  }
}

/// A program that did not succeed in a network namespace.
public struct ToolFailure: Error, CustomStringConvertible {
  public var words: [String]
  /// As `waitpid` says it.
  public var status: Int32
  /// The first line of its standard error.
  public var text: String

  public var description: String {
    let how =
      status & 0x7F == 0
      ? "exited with \((status >> 8) & 0xFF)" : "ended by signal \(status & 0x7F)"
    return "\(words.joined(separator: " ")): \(how)" + (text.isEmpty ? "" : ": \(text)")
  }
}

/// The process inside the namespace: it answers until its socket closes.
private struct NetworkAgent {
  enum Request: UInt8 {
    case readSettings = 1
    case read, write, makeTunnel, listFilters, run, openGeneric
  }

  private let socket: CInt
  private static let root = Array("/proc/sys/net".utf8)

  static func run(_ socket: CInt, entering namespace: CInt) -> Never {
    _ = mooring_prctl(CInt(MOORING_PR_SET_PDEATHSIG), UInt(SIGKILL))
    let agent = NetworkAgent(socket: socket)
    do {
      try enter(namespace)
      let netlink = try NetlinkSocket()
      try PacketSocket.send(Int32(0).nativeBytes, [netlink.descriptor], over: socket)
    } catch {
      agent.answer(-error.errno.rawValue)
      mooring_exit(1)
    }
    while let packet = try? PacketSocket.receive(from: socket) {
      guard let first = packet.bytes.first, let request = Request(rawValue: first) else { continue }
      agent.serve(request, packet.bytes.dropFirst(), packet.descriptors)
      for descriptor in packet.descriptors { close(descriptor) }
    }
    mooring_exit(0)
  }

  /// Who is not root enters the user namespace first that the network namespace belongs to
  /// (`NS_GET_USERNS`).
  private static func enter(_ namespace: CInt) throws(SystemCallFailure) {
    let network = CInt(MOORING_CLONE_NEWNET)
    if mooring_setns(namespace, network) >= 0 { return }
    let user = mooring_ioctl(namespace, 0xB701)
    if user >= 0, mooring_setns(CInt(user), CInt(MOORING_CLONE_NEWUSER)) >= 0 {
      close(CInt(user))
    }
    try checked(mooring_setns(namespace, network), "setns", "the network namespace")
  }

  private func answer(_ code: Int32, _ bytes: [UInt8] = []) {
    try? PacketSocket.send(code.nativeBytes + bytes, over: socket)
  }

  private func serve(
    _ request: Request, _ bytes: ArraySlice<UInt8>, _ descriptors: [CInt]
  ) {
    switch request {
    case .readSettings:
      var batch: [UInt8] = []
      walk(Array(bytes)) { path, value in
        let item = path + [0x3D] + value + [0]
        if batch.count + item.count > 60_000 {
          answer(0, batch)
          batch = []
        }
        batch += item
      }
      if !batch.isEmpty { answer(0, batch) }
      answer(0)
    case .read: answer(0, value(of: Array(bytes)).map { [1] + $0 } ?? [0])
    case .write:
      guard let end = bytes.firstIndex(of: 0) else { return answer(-EINVAL) }
      answer(write(Array(bytes[(end + 1)...]), to: Array(bytes[..<end])))
    case .makeTunnel: answer(makeTunnel(bytes))
    case .openGeneric:
      do {
        let opened = try NetlinkSocket(protocol: NetlinkSocket.generic)
        try PacketSocket.send(Int32(0).nativeBytes, [opened.descriptor], over: socket)
      } catch {
        answer(-error.errno.rawValue)
      }
    case .listFilters:
      answer(0, Array(filters().map(\.rawValue).joined(separator: " ").utf8))
    case .run:
      let words = bytes.split(separator: 0, omittingEmptySubsequences: false).map {
        String(decoding: $0, as: UTF8.self)
      }
      answer(0, run(words, descriptors).nativeBytes)
    }
  }

  // MARK: Packet filters

  private func filters() -> [PacketFilter] {
    var found: [PacketFilter] = []
    for (filter, file) in [
      (PacketFilter.iptables, "ip_tables_names"), (.ip6tables, "ip6_tables_names"),
    ] {
      guard let names = try? Descriptor.open("/proc/thread-self/net/\(file)", flags: O_RDONLY)
      else { continue }
      var byte: UInt8 = 0
      if Glibc.read(names.number, &byte, 1) == 1 { found.append(filter) }
    }
    if (try? NetlinkSocket.hasPacketFilterTables()) ?? false { found.append(.nftables) }
    return found
  }

  private func run(_ words: [String], _ files: [CInt]) -> Int32 {
    guard files.count == 3 else { return -1 }
    let child = mooring_fork()
    if child == 0 {
      for (place, file) in files.enumerated() { dup2(file, CInt(place)) }
      _ = mooring_close_range(3, UInt32.max, 0)
      for number in [SIGPIPE, SIGCHLD] { signal(number, SIG_DFL) }
      var pointers: [UnsafePointer<CChar>?] = words.map { UnsafePointer(strdup($0)) }
      pointers.append(nil)
      _ = pointers.withUnsafeBufferPointer { mooring_exec($0.baseAddress!) }
      mooring_exit(127)
    }
    var status: CInt = 0
    while waitpid(pid_t(child), &status, 0) < 0 && errno == EINTR {}
    return status
  }

  // MARK: Settings

  /// Folders with one folder a link: of these, `all` and `default` only.
  private static let linkFolders: Set<[UInt8]> = Set(
    ["ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh"].map { Array($0.utf8) })
  private static let common: Set<[UInt8]> = [Array("all".utf8), Array("default".utf8)]

  private func walk(_ folder: [UInt8], _ body: ([UInt8], [UInt8]) -> Void) {
    let full = Self.root + (folder.isEmpty ? [] : [0x2F] + folder)
    guard let stream = withPath(full, { opendir($0) }) else { return }
    defer { closedir(stream) }
    var names: [[UInt8]] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
      if name != [0x2E] && name != [0x2E, 0x2E] { names.append(name) }
    }
    names.sort { $0.lexicographicallyPrecedes($1) }
    for name in names {
      if Self.linkFolders.contains(folder) && !Self.common.contains(name) { continue }
      let path = folder.isEmpty ? name : folder + [0x2F] + name
      var status = stat()
      guard fstatat(dirfd(stream), String(decoding: name, as: UTF8.self), &status, 0) == 0 else {
        continue
      }
      if status.st_mode & S_IFMT == S_IFDIR {
        walk(path, body)
      } else if status.st_mode & 0o600 == 0o600, let value = value(of: path) {
        body(path, value)
      }
    }
  }

  private func value(of path: [UInt8]) -> [UInt8]? {
    guard
      let file = try? Descriptor.open(Self.root + [0x2F] + path, flags: O_RDONLY)
    else { return nil }
    var bytes = [UInt8](repeating: 0, count: 8192)
    let count = Glibc.read(file.number, &bytes, bytes.count)
    guard count >= 0 else { return nil }
    bytes.removeLast(bytes.count - count)
    while bytes.last == 0x0A { bytes.removeLast() }
    return bytes
  }

  private func write(_ value: [UInt8], to path: [UInt8]) -> Int32 {
    if self.value(of: path) == value { return 0 }
    do {
      let file = try Descriptor.open(Self.root + [0x2F] + path, flags: O_WRONLY)
      let bytes = value + [0x0A]
      return Glibc.write(file.number, bytes, bytes.count) < 0 ? -errno : 0
    } catch {
      return -error.errno.rawValue
    }
  }

  // MARK: Tunnels

  private func makeTunnel(_ bytes: ArraySlice<UInt8>) -> Int32 {
    func number(_ place: Int) -> UInt32 {
      UInt32(nativeBytes: bytes.dropFirst(4 * place).prefix(4))
    }
    do {
      let device = try Descriptor.open("/dev/net/tun", flags: O_RDWR)
      if number(3) != 0 {
        var index = Int32(bitPattern: number(3))
        try checked(
          mooring_ioctl_pointer(device.number, 0x4004_54DA, &index), "ioctl", "TUNSETIFINDEX")
      }
      var request = [UInt8](repeating: 0, count: 40)  // struct ifreq
      for (place, byte) in bytes.dropFirst(16).prefix(15).enumerated() { request[place] = byte }
      request.replaceSubrange(
        16..<18, with: UInt16(truncatingIfNeeded: number(0)).nativeBytes)
      try checked(mooring_ioctl_pointer(device.number, 0x4004_54CA, &request), "ioctl", "TUNSETIFF")
      // What these take is the number itself.
      for (code, value) in [(UInt(0x4004_54CC), number(1)), (0x4004_54CE, number(2))]
      where value != .max {
        try checked(
          mooring_ioctl_pointer(
            device.number, code, UnsafeMutableRawPointer(bitPattern: UInt(value))),
          "ioctl", "TUNSETOWNER")
      }
      try checked(
        mooring_ioctl_pointer(device.number, 0x4004_54CB, UnsafeMutableRawPointer(bitPattern: 1)),
        "ioctl", "TUNSETPERSIST")
      return 0
    } catch {
      return -error.errno.rawValue
    }
  }
}

/// Processes below `pid`, parents before their children, by `/proc/PID/task/TID/children`. One that
/// begins or ends meanwhile may be among them or not.
func descendants(of pid: Int32) -> [Int32] {
  var found: [Int32] = []
  var known: Set<Int32> = [pid]
  var waiting = [pid]
  while let parent = waiting.popLast() {
    for child in children(of: parent).reversed() where known.insert(child).inserted {
      waiting.append(child)
    }
    if parent != pid { found.append(parent) }
  }
  return found
}

private func children(of pid: Int32) -> [Int32] {
  guard let tasks = opendir("/proc/\(pid)/task"), let folder = try? ProcessFolder(pid) else {
    return []
  }
  defer { closedir(tasks) }
  var found: [Int32] = []
  while let entry = readdir(tasks) {
    let name = withUnsafeBytes(of: &entry.pointee.d_name) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    guard Int32(name) != nil, let text = try? folder.contents("task/\(name)/children") else {
      continue
    }
    found += text.split(separator: 0x20).compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
  }
  return found
}
