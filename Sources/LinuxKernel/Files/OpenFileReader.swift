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
    try completePipes()
    for place in table.files.indices where table.files[place].kind == .namespace {
      table.files[place].isReachable =
        table.files[place].isReachable
        || namespaces.contains(UInt32(truncatingIfNeeded: table.files[place].inode))
    }
    table.files.removeAll { $0.descriptors.isEmpty }
    // Where the first process has ended, what was read is not the tree.
    _ = try first.numbers()
  }

  /// A duplicate of an open file, made through one of its descriptors.
  ///
  /// - Throws: `ReadFailure.filesChanged` where none of them is that file's any more.
  public func duplicate(_ file: OpenFile) throws(ReadFailure) -> Descriptor {
    for held in file.descriptors {
      do throws(ReadFailure) {
        let copy = try owners[held.holder].duplicate(held.number)
        if isSame(copy.number, file) { return copy }
      } catch .filesChanged {
      } catch .processGone {
      }
    }
    throw .filesChanged("process \(table.holders[file.descriptors.first?.holder ?? 0].pid)")
  }

  /// Whether a number has not become another file's meanwhile. Anonymous inodes are one inode, their links
  /// tell them apart.
  private func isSame(_ copy: CInt, _ file: OpenFile) -> Bool {
    var facts = DescriptorFacts()
    guard mooring_file_facts(copy, "", &facts.status) == 0, facts.status.inode == file.inode,
      facts.special == file.device
    else { return false }
    guard case .anonymous = file.kind else { return true }
    var link = [UInt8](repeating: 0, count: 256)
    let length = readlink("/proc/thread-self/fd/\(copy)", &link, link.count)
    return length >= 0 && link[..<length].elementsEqual(file.name.bytes)
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
    for thread in owner.threadsApart() {
      do throws(ReadFailure) {
        try take(DescriptorTable(thread: thread, of: owner))
      } catch .processGone {
      } catch {
        table.unreadThreads.append(thread)
      }
    }
  }

  private func take(_ owner: DescriptorTable) throws(ReadFailure) {
    func compare(_ one: DescriptorTable, _ other: DescriptorTable) -> Int {
      mooring_kcmp(one.holder.pid, other.holder.pid, CInt(MOORING_KCMP_FILES), 0, 0)
    }
    while true {
      switch try KernelOrder.search(ordered.count, { compare(owner, owners[ordered[$0]]) }) {
      case .same: return
      case .new(let position):
        ordered.insert(owners.count, at: position)
        owners.append(owner)
        table.holders.append(owner.holder)
        return
      case .gone(let position):
        let known = owners[ordered[position]]
        if compare(known, known) >= 0 { return }
        ordered.remove(at: position)
      }
    }
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
    func compare(_ one: HeldDescriptor, _ other: HeldDescriptor) -> Int {
      mooring_kcmp(
        owners[one.holder].holder.pid, owners[other.holder].holder.pid, CInt(MOORING_KCMP_FILE),
        UInt(one.number), UInt(other.number))
    }
    while true {
      let others = alike[likeness] ?? []
      let found = try KernelOrder.search(
        others.count, { compare(descriptor, table.files[others[$0]].descriptors[0]) })
      switch found {
      case .same(let position):
        table.files[others[position]].descriptors.append(descriptor)
        return
      case .new(let position):
        alike[likeness, default: []].insert(table.files.count, at: position)
        table.files.append(file(facts, descriptor))
        return
      case .gone(let position):
        // Not asked of the new one: its number may be another file's by now.
        let known = table.files[others[position]].descriptors[0]
        if compare(known, known) >= 0 { return }
        // The known one is closed: by its next descriptor, where it has one.
        table.files[others[position]].descriptors.removeFirst()
        if table.files[others[position]].descriptors.isEmpty {
          alike[likeness]?.remove(at: position)
        }
      }
    }
  }

  // MARK: What

  private func file(_ facts: DescriptorFacts, _ descriptor: HeldDescriptor) -> OpenFile {
    var file = OpenFile(
      id: UInt32(table.files.count + 1), kind: kind(facts), name: facts.link,
      inode: facts.status.inode, mount: facts.mount,
      flags: OpenFlags(rawValue: facts.flags).subtracting(.closeOnExec), device: facts.special)
    file.descriptors = [descriptor]
    file.position = facts.position
    file.isReachable = isReachable(facts)
    return file
  }

  private func kind(_ found: DescriptorFacts) -> OpenFileKind {
    let link = found.link.bytes
    let anonymous = Array("anon_inode:".utf8)
    if link.starts(with: anonymous) {
      let name = link.dropFirst(anonymous.count)
      return .anonymous(
        KernelString(Array(name.first == 0x5B ? name.dropFirst().dropLast() : name)))
    }
    if link.starts(with: "/memfd:".utf8), !mounts.contains(found.mount) { return .memoryFile }
    let isNamed = link.first == 0x2F || found.link == DescriptorFacts.longLink
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
  private func completePipes() throws(ReadFailure) {
    var ends: [UInt64: Set<OpenFlags>] = [:]
    for file in table.files where file.kind == .pipe {
      ends[file.inode, default: []].insert(file.flags?.access ?? [])
    }
    for place in table.files.indices where table.files[place].kind == .pipe {
      let file = table.files[place]
      guard ends[file.inode]?.count == 1, file.flags?.access != .readWrite else { continue }
      let copy: Descriptor
      do throws(ReadFailure) {
        copy = try duplicate(file)
      } catch .filesChanged {
        table.files[place].descriptors = []
        continue
      }
      var event = pollfd(fd: copy.number, events: 0, revents: 0)
      let isAlone =
        poll(&event, 1, 0) > 0 && event.revents & Int16(POLLHUP | POLLERR) != 0
      table.files[place].isHalfOutside = !isAlone
    }
  }
}
