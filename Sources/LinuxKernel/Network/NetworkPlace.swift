import CMooring
import Glibc
import LinkTable
import MountTable
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
  /// The process in the namespace.
  public let pid: pid_t

  /// Enters a namespace. The calling process must have no threads that hold locks of the run time.
  ///
  /// - Parameter name: what messages call it.
  /// - Throws: `SystemCallFailure`: it is no network namespace, or there is no right to enter it.
  public convenience init(
    _ namespace: consuming Descriptor, name: String
  ) throws(SystemCallFailure) {
    try self.init(.existing(namespace.number), name: name)
  }

  /// A network namespace made for looking at what this kernel puts into one. It ends with this value.
  ///
  /// - Parameters:
  ///   - owner: the user namespace that shall own it; the caller's own where `nil`.
  ///   - neighbour: it is owned by whoever owns this one.
  /// - Throws: `SystemCallFailure`: there is no right to make one.
  public static func fresh(
    in owner: CInt? = nil, beside neighbour: NetworkPlace? = nil
  ) throws(SystemCallFailure) -> NetworkPlace {
    let name = "a network namespace made for looking"
    let made = try NetworkPlace(
      .fresh(owner: owner, beside: neighbour?.namespace.number), name: name)
    // IDs in settings (ping_group_range) are those of whoever reads and writes them: of the engine's user
    // namespace, as everywhere. Where it may not enter, it is in that one itself.
    return (try? NetworkPlace(try made.namespace.duplicate(), name: name)) ?? made
  }

  private init(_ entry: NetworkAgent.Entry, name: String) throws(SystemCallFailure) {
    let child = try PacketSocket.fork("a process in the network namespace of \(name)") { socket in
      NetworkAgent.run(socket.release(), entry)
    }
    pid = child.pid
    agent = child.takeSocket()
    self.name = name
    do throws(SystemCallFailure) {
      let answer = try Self.answer(
        agent.number, entry.call, "the network namespace of \(name)")
      guard answer.descriptors.count == 2 else {
        for descriptor in answer.descriptors { close(descriptor) }
        throw SystemCallFailure(entry.call.description, on: name, .badFileDescriptor)
      }
      namespace = Descriptor(owning: answer.descriptors[1])
      var status = stat()
      fstat(namespace.number, &status)
      inode = UInt64(status.st_ino)
      netlink = try NetlinkSocket(owning: answer.descriptors[0])
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

  /// Those of a process tree: that of `pid` first, then those that it holds open (as the holder of a
  /// restore does), then each other one that a descendant has, in the order of their processes; the
  /// caller's own is none of them.
  ///
  /// - Throws: `ReadFailure`, `SystemCallFailure` for `pid`; a descendant that ends meanwhile has none.
  public static func ofTree(_ pid: Int32) throws -> [NetworkPlace] {
    var found = [try of(process: pid)]
    var known: Set<UInt64> = [found[0].inode]
    if let own = try ProcessFolder.own().namespaceNumber("net") { known.insert(UInt64(own)) }
    for descriptor in try ProcessFolder(pid).openNetworks() {
      var status = stat()
      fstat(descriptor, &status)
      guard known.insert(UInt64(status.st_ino)).inserted else {
        close(descriptor)
        continue
      }
      found.append(
        try NetworkPlace(
          Descriptor(owning: descriptor), name: "a network namespace that process \(pid) holds"))
    }
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
        "/proc/sys/net/\(KernelString(setting.path)) (\(quoted(setting.value)))")
    }
  }

  /// What becomes of values that are written here; each is tried once.
  ///
  /// - Throws: `SystemCallFailure` where this process has ended.
  public func answers(
    to settings: [Sysctl], _ values: [[UInt8]: [UInt8]]
  ) throws(SystemCallFailure) -> [Sysctl: KernelSettings.Answer] {
    var answers: [Sysctl: KernelSettings.Answer] = [:]
    for setting in settings.map(KernelSettings.question) where answers[setting] == nil {
      if values[setting.path] == nil {
        // Those that nobody here may write are not among the values.
        let isThere = try self.setting(setting.path) != nil
        let isSecret = setting.path.suffix(14).elementsEqual("/stable_secret".utf8)
        if !isSecret {
          answers[setting] = isThere ? .readOnly : .missing
          continue
        }
      }
      do throws(SystemCallFailure) {
        try write([setting])
        answers[setting] = .taken(as: try self.setting(setting.path) ?? setting.value)
      } catch {
        if error.errno == .brokenPipe { throw error }
        answers[setting] = .refused(
          error.errno.rawValue, "\(error.errno.symbol) (\(error.errno.text))")
      }
    }
    return answers
  }

  /// A netlink socket of another protocol than rtnetlink's: `NetlinkSocket.generic`, `.diagnosis`.
  func socket(protocol family: CInt) throws(SystemCallFailure) -> NetlinkSocket {
    try PacketSocket.send(
      [NetworkAgent.Request.openSocket.rawValue, UInt8(truncatingIfNeeded: family)],
      over: agent.number)
    let answer = try Self.answer(agent.number, "socket", "AF_NETLINK, protocol \(family)")
    guard let descriptor = answer.descriptors.first else {
      throw SystemCallFailure("socket", on: "AF_NETLINK", .badFileDescriptor)
    }
    return try NetlinkSocket(owning: descriptor, protocol: family)
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
      throw ToolFailure(words: words, status: status, errors: Self.contents(files[2]))
    }
    return Self.contents(files[1])
  }

  /// The whole of a file, from its beginning.
  static func contents(_ file: CInt) -> [UInt8] {
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
