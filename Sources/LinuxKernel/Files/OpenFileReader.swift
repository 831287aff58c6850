import CMooring
import FileTable
import Glibc
import MountTable

/// Reads the open files of a process tree, each once whoever shares it, and hands out duplicates.
///
/// | what | from |
/// |---|---|
/// | descriptors, flags, mounts | `/proc/PID/fd`, `/proc/PID/fdinfo` |
/// | which of them share an open file, which processes a table | `kcmp(2)` |
/// | unix sockets: peers, names, clients | `NETLINK_SOCK_DIAG`, on duplicates `getsockopt(2)` |
/// | whether a path leads to the file | `openat2(2)` below the root of the first process |
///
/// The processes go on running: what one closes while it is read is left out.
public final class OpenFileReader {
  public private(set) var table = FileTable()
  private var owners: [DescriptorTable] = []
  /// Their places, in the order that the kernel gives their tables.
  private var ordered: [Int] = []
  private let root: Descriptor
  private let terminals = TerminalDrivers()
  private var namespaces: Set<UInt32> = []
  /// Files that look alike, in the order that the kernel gives them.
  private var alike: [DescriptorFacts.Likeness: [Int]] = [:]
  private let mounts: Set<MountID>

  /// - Parameters:
  ///   - pid: the first process of the tree.
  ///   - mounts: those whose files a restored tree gives back.
  /// - Throws: `ReadFailure`, `SystemCallFailure`.
  public init(_ pid: Int32, mounts: Set<MountID>) throws {
    self.mounts = mounts
    let first = try DescriptorTable(process: pid)
    root = try first.root()
    try add(first)
    for child in descendants(of: pid) {
      // One that has ended meanwhile has no files.
      if let next = try? DescriptorTable(process: child, below: first) { try add(next) }
    }
    for place in owners.indices {
      for number in try numbers(place) { try add(number, of: place) }
    }
    try UnixSocketReader(self).complete(&table)
    completePipes()
    for place in table.files.indices where table.files[place].kind == .namespace {
      table.files[place].isReachable =
        table.files[place].isReachable
        || namespaces.contains(UInt32(truncatingIfNeeded: table.files[place].inode))
    }
  }

  /// A duplicate of an open file, made through the first descriptor of it.
  ///
  /// - Throws: `ReadFailure` where the descriptor is another file's by now.
  public func duplicate(_ file: OpenFile) throws(ReadFailure) -> Descriptor {
    let held = file.descriptors[0]
    let owner = owners[held.holder]
    let copy = try owner.duplicate(held.number)
    var facts = mooring_file_facts()
    guard mooring_file_facts(copy.number, "", &facts) == 0, facts.inode == file.inode else {
      throw .filesChanged("process \(owner.holder.pid)")
    }
    return copy
  }

  /// The network namespace of a process that has the file.
  func network(of file: OpenFile) throws(ReadFailure) -> Descriptor {
    try owners[file.descriptors[0].holder].network()
  }

  // MARK: Whose

  /// Adds a process with its threads, but for those who share a table that is known.
  private func add(_ owner: DescriptorTable) throws(ReadFailure) {
    namespaces.formUnion(owner.namespaces())
    try take(owner)
    for thread in try owner.threadsApart() {
      if let apart = try? DescriptorTable(thread: thread, of: owner) {
        try take(apart)
      }
    }
  }

  private func take(_ owner: DescriptorTable) throws(ReadFailure) {
    let place = try Self.search(
      ordered.count,
      {
        mooring_kcmp(
          owner.holder.pid, self.owners[self.ordered[$0]].holder.pid,
          CInt(MOORING_KCMP_FILES), 0, 0)
      })
    guard case .new(let position) = place else { return }
    ordered.insert(owners.count, at: position)
    owners.append(owner)
    table.holders.append(owner.holder)
  }

  /// The first process has to be there; another may have ended.
  private func numbers(_ place: Int) throws(ReadFailure) -> [Int32] {
    do throws(ReadFailure) {
      return try owners[place].numbers()
    } catch .processGone where place > 0 {
      return []
    }
  }

  // MARK: Which

  private func add(_ number: Int32, of place: Int) throws(ReadFailure) {
    let owner = owners[place]
    let read: DescriptorFacts?
    do throws(ReadFailure) {
      read = try owner.facts(of: number)
    } catch .processGone where place > 0 {
      return
    }
    guard let facts = read else { return }
    let descriptor = HeldDescriptor(
      holder: place, number: number,
      closesOnExec: facts.flags & OpenFlags.closeOnExec.rawValue != 0)
    let likeness = facts.likeness
    let others = alike[likeness] ?? []
    let found = try Self.search(
      others.count,
      { middle in
        let known = self.table.files[others[middle]].descriptors[0]
        return mooring_kcmp(
          owner.holder.pid, self.owners[known.holder].holder.pid,
          CInt(MOORING_KCMP_FILE), UInt(number), UInt(known.number))
      })
    switch found {
    case .same(let position): table.files[others[position]].descriptors.append(descriptor)
    case .gone: return
    case .new(let position):
      var file = OpenFile(
        id: UInt32(table.files.count + 1), kind: kind(facts), name: facts.link,
        inode: facts.status.inode, mount: facts.mount,
        flags: OpenFlags(rawValue: facts.flags).subtracting(.closeOnExec), device: facts.special)
      file.descriptors = [descriptor]
      file.position = facts.position
      file.isReachable = isReachable(facts)
      alike[likeness, default: []].insert(table.files.count, at: position)
      table.files.append(file)
    }
  }

  private enum Place {
    case same(Int)
    case new(at: Int)
    case gone
  }

  /// A binary search by `kcmp`, which orders what it compares.
  private static func search(
    _ count: Int, _ compare: (Int) -> Int
  ) throws(ReadFailure) -> Place {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      switch compare(middle) {
      case 0: return .same(middle)
      case 1: high = middle
      case 2: low = middle + 1
      case -Int(EBADF), -Int(ESRCH): return .gone
      case let result: throw .cannotCompare(CInt(max(-result, 0)))
      }
    }
    return .new(at: low)
  }

  // MARK: What

  private func kind(_ found: DescriptorFacts) -> OpenFileKind {
    let link = found.link.bytes
    let anonymous = Array("anon_inode:".utf8)
    if link.starts(with: anonymous) {
      let name = link.dropFirst(anonymous.count)
      return .anonymous(
        KernelString(Array(name.first == 0x5B ? name.dropFirst().dropLast() : name)))
    }
    if link.starts(with: "/memfd:".utf8), !mounts.contains(found.mount) { return .memoryFile }
    let isNamed = link.first == 0x2F
    switch found.type {
    case S_IFDIR: return .directory
    case S_IFLNK: return .symbolicLink
    case S_IFIFO: return isNamed ? .fifo : .pipe
    case S_IFSOCK: return isNamed ? .regular : .socket
    case S_IFBLK: return .blockDevice
    case S_IFCHR:
      guard let device = found.special else { return .characterDevice }
      if terminals.contain(device) { return .terminal }
      return device == DeviceNumber(major: 10, minor: 200) ? .tunnel : .characterDevice
    default: return isNamed ? .regular : .namespace
    }
  }

  /// Whether the path of the link leads to the file, for whoever sees what the first process sees.
  private func isReachable(_ found: DescriptorFacts) -> Bool {
    guard found.link.bytes.first == 0x2F, mounts.contains(found.mount) else { return false }
    let flags = UInt64(MOORING_O_PATH) | UInt64(O_NOFOLLOW) | UInt64(O_CLOEXEC)
    let rules = UInt64(MOORING_RESOLVE_IN_ROOT | MOORING_RESOLVE_NO_MAGICLINKS)
    let opened = withPath(found.link.bytes) {
      mooring_openat2(root.number, $0, flags, 0, rules)
    }
    guard opened >= 0 else { return false }
    defer { close(CInt(opened)) }
    var facts = mooring_file_facts()
    guard mooring_file_facts(CInt(opened), "", &facts) == 0 else { return false }
    return facts.inode == found.status.inode && facts.mount == UInt64(found.mount.rawValue)
  }

  /// Of a pipe of which the tree has one end only, the kernel tells whether the other is open.
  private func completePipes() {
    var ends: [UInt64: Set<OpenFlags>] = [:]
    for file in table.files where file.kind == .pipe {
      ends[file.inode, default: []].insert(file.flags?.access ?? [])
    }
    for place in table.files.indices where table.files[place].kind == .pipe {
      let file = table.files[place]
      guard ends[file.inode]?.count == 1, file.flags?.access != .readWrite,
        let copy = try? duplicate(file)
      else { continue }
      var event = pollfd(fd: copy.number, events: 0, revents: 0)
      let isAlone =
        poll(&event, 1, 0) > 0 && event.revents & Int16(POLLHUP | POLLERR) != 0
      table.files[place].isHalfOutside = !isAlone
    }
  }
}

/// The devices that are terminals: `/proc/tty/drivers`.
private struct TerminalDrivers {
  private var ranges: [(major: UInt32, minors: ClosedRange<UInt32>)] = []

  init() {
    guard let file = try? Descriptor.open("/proc/tty/drivers", flags: O_RDONLY) else { return }
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 4096)
    while case let count = read(file.number, &room, room.count), count > 0 {
      bytes += room[..<count]
    }
    for line in bytes.split(separator: 0x0A) {
      let words = String(decoding: line, as: UTF8.self).split(separator: " ")
      guard words.count >= 4, let major = UInt32(words[2]) else { continue }
      let minors = words[3].split(separator: "-").compactMap { UInt32($0) }
      guard let low = minors.first, let high = minors.last, low <= high else { continue }
      ranges.append((major, low...high))
    }
  }

  func contain(_ device: DeviceNumber) -> Bool {
    ranges.contains { $0.major == device.major && $0.minors.contains(device.minor) }
  }
}
