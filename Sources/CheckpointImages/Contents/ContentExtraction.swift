import CMooring
import Glibc
import LinuxKernel
import MountTable
import RestorePlan
import SystemPackage

extension ContentArchive {
  /// Unpacks an archive into the root of a file system.
  ///
  /// Nothing outside of `directory` is touched whatever the archive says: each name is resolved
  /// beneath it, without links and mounts. Owners, permissions, attributes and times are those of
  /// the archive, the root's and other directories' too.
  ///
  /// - Parameters:
  ///   - archive: this engine's or CRIU's, read from its beginning.
  ///   - directory: the root of the file system, normally empty.
  ///   - leftOut: families of extended attributes that are not set.
  /// - Throws: `ContentError` naming the member; what was unpacked before it stays.
  public static func extract(
    from archive: CInt, into directory: CInt, leavingOut leftOut: LeaveOut = .init()
  ) throws(ContentError) {
    try inCLocale { () throws(ContentError) in
      let reader = try ArchiveReader.open(archive, leavingOut: leftOut)
      var extraction = ContentExtraction(root: directory)
      while let member = try reader.next() {
        try extraction.add(member) { (body) throws(ContentError) in
          try reader.data(of: member, body)
        }
      }
      try extraction.finishDirectories()
    }
  }
}

/// One archive being unpacked.
struct ContentExtraction: ~Copyable {
  typealias Block = (Int64, UnsafeRawBufferPointer) throws(ContentError) -> Void

  private let root: CInt
  /// The directory that the last member went into, and its path.
  private var parent: Descriptor?
  private var parentNumber: CInt = -1
  private var parentPath: [UInt8] = []
  /// Times and rights of directories are set at the end, when nothing more comes into them.
  private var directories: [ArchiveMember] = []

  init(root: CInt) { self.root = root }

  mutating func add(
    _ member: ArchiveMember, data: (Block) throws(ContentError) -> Void
  ) throws(ContentError) {
    if member.path.isEmpty {
      guard member.facts.type == S_IFDIR else {
        throw ContentError(member.path, .unsupported("the root is not a directory"))
      }
      directories.append(member)
      return
    }
    let slash = member.path.lastIndex(of: 0x2F)
    try enter(slash.map { Array(member.path[..<$0]) } ?? [], for: member.path)
    let name = slash.map { Array(member.path[($0 + 1)...]) } ?? member.path
    if let first = member.firstName {
      try link(first, name, member.path)
    } else if member.facts.type == S_IFDIR {
      try makeDirectory(name, member.path)
      directories.append(member)
    } else if member.facts.type == S_IFREG {
      try makeFile(name, member, data)
    } else {
      try makeNode(name, member)
    }
  }

  /// Sets what directories look like, those deepest in the archive first.
  mutating func finishDirectories() throws(ContentError) {
    parent = nil
    for member in directories.reversed() {
      try attempt(member.path) { () throws(SystemCallFailure) in
        let directory = try FileCalls.openDirectory(member.path, below: root)
        try Self.finish(directory.number, member.facts)
      }
    }
  }

  /// Makes `path` the parent; directories that the archive leaves out are made.
  private mutating func enter(_ path: [UInt8], for member: [UInt8]) throws(ContentError) {
    if parentNumber >= 0 && parentPath == path { return }
    parentNumber = -1
    do throws(SystemCallFailure) {
      let directory = try FileCalls.openDirectory(path, below: root)
      parentNumber = directory.number
      parent = consume directory
    } catch {
      guard error.errno == .noSuchFileOrDirectory, !path.isEmpty else {
        throw ContentError(member, .system(error))
      }
      try makeMissing(path, for: member)
    }
    parentPath = path
  }

  private mutating func makeMissing(_ path: [UInt8], for member: [UInt8]) throws(ContentError) {
    try attempt(member) { () throws(SystemCallFailure) in
      var directory = try FileCalls.openDirectory([], below: root)
      for part in path.split(separator: 0x2F) {
        let made = withPath(Array(part)) { mkdirat(directory.number, $0, 0o755) }
        if made < 0 && errno != EEXIST {
          try checked(-Int(errno), "mkdirat", quoted(Array(part)))
        }
        directory = try FileCalls.openDirectory(Array(part), below: directory.number)
      }
      parentNumber = directory.number
      parent = consume directory
    }
  }

  /// Calls `make` for a name, and once more without what stood there if there was something.
  private func replacing(
    _ name: [UInt8], _ path: [UInt8], _ call: StaticString, _ make: (UnsafePointer<CChar>) -> CInt
  ) throws(ContentError) -> CInt {
    try attempt(path) { () throws(SystemCallFailure) in
      let first = withPath(name, make)
      if first >= 0 { return first }
      if errno != EEXIST { try checked(-Int(errno), call, quoted(name)) }
      let unlinked = withPath(name) { unlinkat(parentNumber, $0, 0) }
      try checked(unlinked < 0 ? -Int(errno) : 0, "unlinkat", quoted(name))
      let second = withPath(name, make)
      return CInt(try checked(second < 0 ? -Int(errno) : Int(second), call, quoted(name)))
    }
  }

  private func link(
    _ first: [UInt8], _ name: [UInt8], _ path: [UInt8]
  ) throws(ContentError) {
    let slash = first.lastIndex(of: 0x2F)
    let holder = try attempt(path) { () throws(SystemCallFailure) in
      try FileCalls.openDirectory(slash.map { Array(first[..<$0]) } ?? [], below: root)
    }
    let firstName = slash.map { Array(first[($0 + 1)...]) } ?? first
    let number = parentNumber
    _ = try replacing(name, path, "linkat") { name in
      withPath(firstName) { linkat(holder.number, $0, number, name, 0) }
    }
  }

  private func makeDirectory(_ name: [UInt8], _ path: [UInt8]) throws(ContentError) {
    try attempt(path) { () throws(SystemCallFailure) in
      let made = withPath(name) { mkdirat(parentNumber, $0, 0o700) }
      if made < 0 && errno == EEXIST {
        let there = try FileCalls.status(name, in: parentNumber)
        if there.st_mode & S_IFMT == S_IFDIR { return }
        try checked(-Int(EEXIST), "mkdirat", quoted(name))
      }
      try checked(made < 0 ? -Int(errno) : 0, "mkdirat", quoted(name))
    }
  }

  private func makeFile(
    _ name: [UInt8], _ member: ArchiveMember, _ data: (Block) throws(ContentError) -> Void
  ) throws(ContentError) {
    let number = parentNumber
    let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    let file = Descriptor(
      owning: try replacing(name, member.path, "open") { openat(number, $0, flags, 0o600) })
    let descriptor = file.number
    var end: Int64 = 0
    try data { (offset, bytes) throws(ContentError) in
      var written = 0
      while written < bytes.count {
        let put = pwrite(
          descriptor, bytes.baseAddress! + written, bytes.count - written,
          off_t(offset) + written)
        if put < 0 && errno == EINTR { continue }
        try attempt(member.path) { () throws(SystemCallFailure) in
          _ = try checked(put < 0 ? -Int(errno) : put, "write", quoted(name))
        }
        written += put
      }
      end = offset + Int64(bytes.count)
    }
    try attempt(member.path) { () throws(SystemCallFailure) in
      if end < member.facts.size {
        let cut = ftruncate(descriptor, off_t(member.facts.size))
        try checked(cut < 0 ? -Int(errno) : 0, "ftruncate", quoted(name))
      }
      try Self.finish(descriptor, member.facts)
    }
  }

  /// A symbolic link, a fifo, a socket or a device.
  private func makeNode(_ name: [UInt8], _ member: ArchiveMember) throws(ContentError) {
    let number = parentNumber
    let facts = member.facts
    switch facts.type {
    case S_IFLNK:
      _ = try replacing(name, member.path, "symlinkat") { name in
        withPath(facts.target) { symlinkat($0, number, name) }
      }
    case S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK:
      let device = facts.device.map { mooring_device($0.major, $0.minor) } ?? 0
      _ = try replacing(name, member.path, "mknodat") {
        mknodat(number, $0, facts.type | 0o600, dev_t(device))
      }
    default:
      throw ContentError(
        member.path, .unsupported("a \(FileFacts.typeName(facts.type)) cannot be made"))
    }
    try attempt(member.path) { () throws(SystemCallFailure) in
      try Self.finish(name, in: number, facts)
    }
  }

  /// Owner first, which clears set-ID bits and capabilities; then rights; the time last.
  private static func finish(_ file: CInt, _ facts: FileFacts) throws(SystemCallFailure) {
    try checked(
      fchown(file, facts.owner, facts.group) < 0 ? -Int(errno) : 0, "fchown",
      "\(facts.owner):\(facts.group)")
    try checked(fchmod(file, facts.permissions) < 0 ? -Int(errno) : 0, "fchmod", "it")
    for (attribute, value) in facts.attributes {
      try ExtendedAttributes.set(attribute, to: value, of: nil, in: file)
    }
    let times = times(facts)
    try checked(futimens(file, times) < 0 ? -Int(errno) : 0, "futimens", "it")
  }

  private static func finish(
    _ name: [UInt8], in directory: CInt, _ facts: FileFacts
  ) throws(SystemCallFailure) {
    let owned = withPath(name) {
      fchownat(directory, $0, facts.owner, facts.group, AT_SYMLINK_NOFOLLOW)
    }
    try checked(owned < 0 ? -Int(errno) : 0, "fchownat", "\(facts.owner):\(facts.group)")
    if facts.type != S_IFLNK {
      // The name was made a moment ago and is not a link.
      let set = withPath(name) { fchmodat(directory, $0, facts.permissions, 0) }
      try checked(set < 0 ? -Int(errno) : 0, "fchmodat", quoted(name))
    }
    for (attribute, value) in facts.attributes {
      try ExtendedAttributes.set(attribute, to: value, of: name, in: directory)
    }
    let times = times(facts)
    let set = withPath(name) { utimensat(directory, $0, times, AT_SYMLINK_NOFOLLOW) }
    try checked(set < 0 ? -Int(errno) : 0, "utimensat", quoted(name))
  }

  private static func times(_ facts: FileFacts) -> [timespec] {
    [
      timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2),  // UTIME_OMIT
      timespec(
        tv_sec: Int(facts.modified.seconds), tv_nsec: Int(facts.modified.nanoseconds)),
    ]
  }
}
