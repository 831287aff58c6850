import CMooring
import Glibc
import MountTable

/// The folder of a process or a thread in `/proc`, held open: it goes on naming that process.
struct ProcessFolder: ~Copyable {
  /// How often a table that changes while it is read is read again.
  static let tries = 16
  /// What messages call the process.
  let name: String
  let pid: Int32?
  private let folder: Descriptor

  init(_ pid: Int32) throws(ReadFailure) {
    try self.init(path: "/proc/\(pid)", name: "process \(pid)", pid: pid)
  }

  /// A thread of another process.
  init(thread: Int32, of pid: Int32) throws(ReadFailure) {
    try self.init(
      path: "/proc/\(pid)/task/\(thread)", name: "thread \(thread) of process \(pid)", pid: pid)
  }

  /// The calling thread.
  static func own() throws(ReadFailure) -> ProcessFolder {
    try ProcessFolder(path: "/proc/thread-self", name: "this thread", pid: nil)
  }

  /// The calling thread, by a `/proc` that was opened before its own went out of reach.
  static func own(proc: CInt) throws(ReadFailure) -> ProcessFolder {
    do {
      return ProcessFolder(
        try Descriptor.open(
          Array("thread-self".utf8), below: proc, flags: O_RDONLY | O_DIRECTORY))
    } catch {
      throw .system(error)
    }
  }

  private init(_ own: consuming Descriptor) {
    name = "this thread"
    pid = nil
    folder = own
  }

  private init(path: String, name: String, pid: Int32?) throws(ReadFailure) {
    self.name = name
    self.pid = pid
    do {
      folder = try Descriptor.open(path, flags: O_RDONLY | O_DIRECTORY)
    } catch {
      if let pid, error.errno == .noSuchFileOrDirectory || error.errno == .noSuchProcess {
        throw Self.isOwnProc ? .noSuchProcess(pid) : .foreignProcessFiles
      }
      if pid == nil, error.errno == .noSuchFileOrDirectory { throw .foreignProcessFiles }
      throw .system(error)
    }
  }

  /// The folder's descriptor, valid as long as this value lives.
  var number: CInt { folder.number }

  /// Whether `/proc` numbers processes as the calling process does.
  private static var isOwnProc: Bool {
    var name = [CChar](repeating: 0, count: 16)
    return readlink("/proc/self", &name, name.count - 1) > 0 && atoi(name) == getpid()
  }

  func open(_ file: String, flags: CInt = O_RDONLY) throws(ReadFailure) -> Descriptor {
    do {
      return try Descriptor.open(Array(file.utf8), below: folder.number, flags: flags)
    } catch {
      throw failure(error)
    }
  }

  /// A failure of a call on a file of the folder, in the words of this layer.
  func failure(_ failure: SystemCallFailure) -> ReadFailure {
    switch failure.errno {
    case .noSuchFileOrDirectory, .noSuchProcess, .invalidArgument: .processGone(name)
    case .permissionDenied, .notPermitted: .notPermitted(name)
    default: .system(failure)
    }
  }

  /// The whole of a small file.
  func contents(_ file: String) throws(ReadFailure) -> [UInt8] {
    let descriptor = try open(file)
    var bytes: [UInt8] = []
    while true {
      var got = 0
      bytes += [UInt8](unsafeUninitializedCapacity: 4096) { room, count in
        got = Glibc.read(descriptor.number, room.baseAddress, room.count)
        if got < 0 { got = -Int(errno) }
        count = max(got, 0)
      }
      if got == -Int(EINTR) { continue }
      do { try checked(got, "read", "\(file) of \(name)") } catch { throw failure(error) }
      if got == 0 { return bytes }
    }
  }

  /// The numbers that name what is in one of its folders: `fd`, `task`.
  func numbers(in folder: String) throws(ReadFailure) -> [Int32] {
    let opened = try open(folder, flags: O_RDONLY | O_DIRECTORY)
    guard let stream = fdopendir(opened.release()) else { return [] }
    defer { closedir(stream) }
    var numbers: [Int32] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if let number = Int32(name) { numbers.append(number) }
    }
    return numbers.sorted()
  }

  /// The inode number of one of its namespaces.
  func namespaceNumber(_ kind: String) -> UInt32? {
    var information = stat()
    let status = "ns/\(kind)".withCString { fstatat(folder.number, $0, &information, 0) }
    return status == 0 ? UInt32(truncatingIfNeeded: information.st_ino) : nil
  }

  /// The ID by which `listmount` knows its mount namespace (`NS_GET_MNTNS_ID`, Linux 6.11).
  func mountNamespaceID() -> Result<UInt64, SystemCallFailure> {
    do throws(SystemCallFailure) {
      let namespace = try Descriptor.open(
        Array("ns/mnt".utf8), below: folder.number, flags: O_RDONLY)
      var id: UInt64 = 0
      try checked(
        mooring_ioctl_u64(namespace.number, 0x8008_B705, &id), "ioctl", "NS_GET_MNTNS_ID")
      return .success(id)
    } catch {
      return .failure(error)
    }
  }

  /// Where its root is, as the kernel sees it (`statx`).
  func root() throws(ReadFailure) -> ProcessRoot {
    let directory = try open("root", flags: pathOnly | O_DIRECTORY)
    var facts = mooring_mount_facts()
    do {
      try checked(mooring_mount_facts(directory.number, &facts), "statx", "the root of \(name)")
    } catch {
      throw failure(error)
    }
    return ProcessRoot(
      mount: MountID(facts.id), uniqueMount: facts.unique_id == 0 ? nil : facts.unique_id,
      isMountRoot: facts.is_mount_root)
  }

  /// What a symbolic link of the folder says.
  func target(of file: String) -> KernelString? {
    var room = [CChar](repeating: 0, count: 4096)
    let count = readlinkat(folder.number, file, &room, room.count)
    guard count > 0, count < room.count else { return nil }
    return KernelString(room[..<count].map { UInt8(bitPattern: $0) })
  }
}

/// The mount that a process's root is on, and whether it is that mount's root.
struct ProcessRoot: Hashable, Sendable {
  var mount: MountID
  /// The ID that is never reused (Linux 6.8).
  var uniqueMount: UInt64?
  var isMountRoot: Bool
}
