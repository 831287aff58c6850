import CMooring
import FileTable
import Glibc
import MountTable
import SystemPackage

/// The descriptors of a process, or of a thread that has a table of its own.
final class DescriptorTable {
  let holder: FileHolder
  private let folder: ProcessFolder
  private let pidfd: Descriptor

  /// How many PID namespaces deep it is, seen from here.
  let depth: Int

  /// - Parameter outer: the first process of the tree, whose PID namespace gives inner numbers; `nil` for
  ///   that process itself.
  /// - Throws: `ReadFailure`.
  init(process pid: Int32, below outer: DescriptorTable? = nil) throws(ReadFailure) {
    folder = try ProcessFolder(pid)
    pidfd = try Self.handle(pid, flags: 0, folder)
    let numbers = try Self.numbers(folder, pid)
    depth = outer?.depth ?? numbers.count
    holder = FileHolder(pid: pid, innerPID: numbers[min(depth, numbers.count) - 1])
  }

  /// - Throws: `ReadFailure`; before Linux 6.9 threads cannot be named.
  init(thread: Int32, of process: DescriptorTable) throws(ReadFailure) {
    folder = try ProcessFolder(thread: thread, of: process.holder.pid)
    pidfd = try Self.handle(thread, flags: Self.ofThread, folder)
    depth = process.depth
    let numbers = try Self.numbers(folder, thread)
    holder = FileHolder(pid: thread, innerPID: numbers[min(depth, numbers.count) - 1])
  }

  /// `PIDFD_THREAD` of `pidfd_open(2)`.
  static let ofThread = UInt32(O_EXCL)

  private static func handle(
    _ pid: Int32, flags: UInt32, _ folder: borrowing ProcessFolder
  ) throws(ReadFailure) -> Descriptor {
    do throws(SystemCallFailure) {
      return Descriptor(
        owning: CInt(try checked(mooring_pidfd_open(pid, flags), "pidfd_open", "\(pid)")))
    } catch {
      throw folder.failure(error)
    }
  }

  /// `NSpid` in `/proc/PID/status`: a number for each PID namespace, the innermost last.
  private static func numbers(
    _ folder: borrowing ProcessFolder, _ pid: Int32
  ) throws(ReadFailure) -> [Int32] {
    let status = String(decoding: try folder.contents("status"), as: UTF8.self)
    for line in status.split(separator: "\n") where line.hasPrefix("NSpid:") {
      let numbers = line.split(separator: "\t").dropFirst().compactMap { Int32($0) }
      if !numbers.isEmpty { return numbers }
    }
    return [pid]
  }

  /// The numbers of its descriptors, in their order.
  func numbers() throws(ReadFailure) -> [Int32] { try folder.numbers(in: "fd") }

  /// What the kernel says of one descriptor; `nil` where it has been closed meanwhile.
  func facts(of number: Int32) throws(ReadFailure) -> DescriptorFacts? {
    var facts = DescriptorFacts()
    guard let link = try link(number) else { return nil }
    facts.link = link
    let status = "fd/\(number)".withCString {
      mooring_file_facts(folder.number, $0, &facts.status)
    }
    if status == -Int(ENOENT) { return nil }
    do throws(SystemCallFailure) {
      try checked(status, "statx", "descriptor \(number) of \(folder.name)")
    } catch {
      throw folder.failure(error)
    }
    let lines: [UInt8]
    do throws(ReadFailure) {
      lines = try folder.contents("fdinfo/\(number)")
    } catch .processGone {
      // Of the process or the descriptor: who looks next finds out which.
      return nil
    }
    for line in lines.split(separator: 0x0A) {
      let words = String(decoding: line, as: UTF8.self).split(separator: ":")
      guard words.count == 2 else { continue }
      let value = words[1].drop { $0 == "\t" || $0 == " " }
      if words[0] == "flags", let flags = UInt32(value, radix: 8) { facts.flags = flags }
      if words[0] == "pos", let position = UInt64(value) { facts.position = position }
      if words[0] == "mnt_id", let id = UInt32(value) { facts.mount = MountID(id) }
    }
    return facts
  }

  /// `nil` where the descriptor is closed.
  private func link(_ number: Int32) throws(ReadFailure) -> KernelString? {
    var target = [UInt8](repeating: 0, count: Int(PATH_MAX) + 32)
    let length = target.withUnsafeMutableBytes {
      readlinkat(folder.number, "fd/\(number)", $0.baseAddress!, $0.count)
    }
    if length >= 0 { return KernelString(Array(target[..<length])) }
    switch errno {
    case ENOENT, ESRCH: return nil
    // The kernel has a page for it.
    case ENAMETOOLONG: return DescriptorFacts.longLink
    case let number:
      throw folder.failure(
        SystemCallFailure(
          "readlink", on: "a descriptor of \(folder.name)", Errno(rawValue: number)))
    }
  }

  /// A duplicate of a descriptor (`pidfd_getfd`).
  func duplicate(_ number: Int32) throws(ReadFailure) -> Descriptor {
    do throws(SystemCallFailure) {
      return Descriptor(
        owning: CInt(
          try checked(
            mooring_pidfd_getfd(pidfd.number, number), "pidfd_getfd",
            "descriptor \(number) of \(folder.name)")))
    } catch {
      throw error.errno == .badFileDescriptor ? .filesChanged(folder.name) : folder.failure(error)
    }
  }

  /// Its threads that have a table of their own (`unshare(CLONE_FILES)`).
  func threadsApart() -> [Int32] {
    let threads = (try? folder.numbers(in: "task")) ?? []
    return threads.filter { thread in
      thread != holder.pid
        && mooring_kcmp(holder.pid, thread, CInt(MOORING_KCMP_FILES), 0, 0) > 0
    }
  }

  /// The numbers of its namespaces.
  func namespaces() -> [UInt32] {
    ["net", "mnt", "pid", "uts", "ipc", "user", "cgroup", "time", "pid_for_children"]
      .compactMap { folder.namespaceNumber($0) }
  }

  func network() throws(ReadFailure) -> Descriptor { try folder.open("ns/net") }

  /// Its root directory.
  func root() throws(ReadFailure) -> Descriptor {
    try folder.open("root", flags: CInt(MOORING_O_PATH) | O_DIRECTORY)
  }
}

/// What `statx`, the link and `/proc/PID/fdinfo/N` say of a descriptor.
struct DescriptorFacts {
  var link: KernelString = ""
  var status = mooring_file_facts()
  var flags: UInt32 = 0
  var position: UInt64 = 0
  var mount = MountID(0)

  /// Whether two may be the same open file: only then the kernel is asked. Not their links: a file may be
  /// renamed meanwhile.
  struct Likeness: Hashable {
    var device: DeviceNumber
    var inode: UInt64
  }

  var likeness: Likeness {
    Likeness(
      device: DeviceNumber(major: status.device_major, minor: status.device_minor),
      inode: status.inode)
  }

  /// In place of a link that is longer than the kernel writes it.
  static let longLink: KernelString = "(a path longer than 4095 bytes)"

  /// `S_IFMT` of the mode.
  var type: mode_t { mode_t(truncatingIfNeeded: status.mode) & S_IFMT }

  /// Of a device file: the device that it is for.
  var special: DeviceNumber? {
    guard [S_IFCHR, S_IFBLK].contains(type) else { return nil }
    return DeviceNumber(major: status.special_major, minor: status.special_minor)
  }
}
