import CMooring
import Glibc
import LinkTable
import SystemPackage

/// The process inside the namespace: it answers until its socket closes.
struct NetworkAgent {
  enum Request: UInt8 {
    case readSettings = 1
    case read, write, makeTunnel, listFilters, run, openSocket
  }

  private let socket: CInt
  private static let root = Array("/proc/sys/net".utf8)

  /// Where the process works.
  enum Entry {
    case existing(CInt)
    /// A network namespace of its own, of this user namespace, or of the one that another belongs to.
    case fresh(owner: CInt?, beside: CInt?)

    var call: StaticString {
      switch self {
      case .existing: "setns"
      case .fresh: "unshare"
      }
    }
  }

  static func run(_ socket: CInt, _ entry: Entry) -> Never {
    _ = mooring_prctl(CInt(MOORING_PR_SET_PDEATHSIG), UInt(SIGKILL))
    let agent = NetworkAgent(socket: socket)
    do {
      switch entry {
      case .existing(let namespace): try enter(namespace)
      case .fresh(let owner, let neighbour): try makeNamespace(owner, neighbour)
      }
      let netlink = try NetlinkSocket()
      let namespace = try Descriptor.open("/proc/thread-self/ns/net", flags: O_RDONLY)
      try PacketSocket.send(
        Int32(0).nativeBytes, [netlink.descriptor, namespace.number], over: socket)
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

  /// Who may not make one makes a user namespace for it, as the restore does then.
  private static func makeNamespace(
    _ owner: CInt?, _ neighbour: CInt?
  ) throws(SystemCallFailure) {
    let user = CInt(MOORING_CLONE_NEWUSER)
    if let owner { try checked(mooring_setns(owner, user), "setns", "the user namespace") }
    if let neighbour {
      let found = mooring_ioctl(neighbour, 0xB701)
      // Who is in it already cannot enter it: EINVAL.
      if found >= 0 {
        _ = mooring_setns(CInt(found), user)
        close(CInt(found))
      }
    }
    let network = CInt(MOORING_CLONE_NEWNET)
    if mooring_unshare(network) >= 0 { return }
    try checked(mooring_unshare(user | network), "unshare", "a network namespace for looking")
  }

  private func answer(_ code: Int32, _ bytes: [UInt8] = []) {
    do {
      try PacketSocket.send(code.nativeBytes + bytes, over: socket)
    } catch {
      // Whoever waits for the answer notices that there is nobody any more.
      mooring_exit(1)
    }
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
    case .openSocket:
      do {
        let opened = try NetlinkSocket(protocol: CInt(bytes.first ?? 0))
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
