import CMooring
import Glibc
import MountTable
import RestorePlan
import SystemPackage

/// A file or directory that stands for one that was unlinked while it was mounted.
///
/// The kernel attaches nothing whose root is unlinked, so it is made first, under a name that nothing
/// else has, and unlinked when all that shows it is attached: then it gets the name that mountinfo shows
/// (`/name//deleted`) on its way out. What has that name now gets it back. Times of directories stay.
struct Placeholder {
  private let name: [UInt8]
  private let directory: CInt

  /// - Parameter directory: the root of the file system, with nothing mounted on it.
  init(_ name: [UInt8], in directory: CInt) {
    self.name = name
    self.directory = directory
  }

  func make(
    isFile: Bool, _ content: PlaceholderContent, _ services: ExecutorServices
  ) throws {
    let root = try MountCalls.openBeneath([0x2E], directory, flags: O_RDONLY | O_DIRECTORY)
    let times = try DirectoryTimes(root)
    if try MountCalls.existing(name, root.number) != nil {
      throw SystemCallFailure(isFile ? "mknodat" : "mkdirat", on: quoted(name), .fileExists)
    }
    try services.willMake(root.number, name, isFile)
    switch content {
    case .empty:
      let made = withPath(name) {
        isFile ? mknodat(root.number, $0, S_IFREG | 0o644, 0) : mkdirat(root.number, $0, 0o755)
      }
      try checked(made < 0 ? -Int(errno) : 0, isFile ? "mknodat" : "mkdirat", quoted(name))
    case .saved(let mount): try services.unpackUnlinked(mount, (root.number, name), isFile)
    case .link(let first):
      let linked = withPath(first.bytes) { first in
        withPath(name) { linkat(root.number, first, root.number, $0, 0) }
      }
      try checked(linked < 0 ? -Int(errno) : 0, "linkat", quoted(name))
    }
    times.restore(root)
  }

  func remove(as path: [UInt8], _ services: ExecutorServices) throws {
    let root = try MountCalls.openBeneath([0x2E], directory, flags: O_RDONLY | O_DIRECTORY)
    // Another restore into the same root would find the name taken, which is there for a moment only.
    // Until the descriptor is closed; where the file system knows no locks, nothing is lost.
    while flock(root.number, LOCK_EX) < 0, errno == EINTR {}
    let rootTimes = try DirectoryTimes(root)
    let names = path.split(separator: 0x2F).map { Array($0) }
    guard let last = names.last else { return }
    try within(names.dropLast(), root, services) { parent in
      let times = try DirectoryTimes(parent)
      let isTaken = try MountCalls.existing(last, parent.number) != nil
      if isTaken { try services.willExchange((root.number, name), (parent.number, last)) }
      try rename((root.number, name), (parent.number, last), exchanging: isTaken, services)
      let removed = withPath(last) { pointer -> CInt in
        // Only where it is a directory is the second attempt's failure the one that counts.
        if unlinkat(parent.number, pointer, 0) == 0 { return 0 }
        return errno == EISDIR ? unlinkat(parent.number, pointer, AT_REMOVEDIR) : -1
      }
      try checked(removed < 0 ? -Int(errno) : 0, "unlinkat", quoted(path))
      if isTaken {
        try rename((root.number, name), (parent.number, last), exchanging: false, services)
      }
      times.restore(parent)
    }
    rootTimes.restore(root)
  }

  /// Runs `body` with the directory below `root`; directories that are missing are there meanwhile, and what
  /// has the name of one, but is none, makes way.
  private func within(
    _ names: ArraySlice<[UInt8]>, _ root: borrowing Descriptor, _ services: ExecutorServices,
    _ body: (borrowing Descriptor) throws -> Void
  ) throws {
    guard let name = names.first else { return try body(root) }
    let number = root.number
    func goOn() throws {
      let next = try MountCalls.openBeneath(name, number, flags: O_RDONLY | O_DIRECTORY)
      try within(names.dropFirst(), next, services, body)
    }
    let type = try Self.type(of: name, in: number)
    if type == S_IFDIR { return try goOn() }
    let times = try DirectoryTimes(root)
    let made = type == nil ? name : self.name + Array("-\(names.count)".utf8)
    try services.willMake(number, made, false)
    try checked(
      withPath(made) { mkdirat(number, $0, 0o755) } < 0 ? -Int(errno) : 0, "mkdirat", quoted(made))
    if type != nil {
      try services.willExchange((number, made), (number, name))
      try rename((number, made), (number, name), exchanging: true, services)
    }
    try goOn()
    try checked(
      withPath(name) { unlinkat(number, $0, AT_REMOVEDIR) } < 0 ? -Int(errno) : 0, "unlinkat",
      quoted(name))
    if type != nil { try rename((number, made), (number, name), exchanging: false, services) }
    times.restore(root)
  }

  /// The type of what has a name, a symbolic link not followed; `nil` where nothing has it.
  private static func type(
    of name: [UInt8], in directory: CInt
  ) throws(SystemCallFailure) -> mode_t? {
    var status = stat()
    let result = withPath(name) { fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) }
    if result < 0, errno == ENOENT { return nil }
    try checked(result < 0 ? -Int(errno) : 0, "fstatat", quoted(name))
    return status.st_mode & S_IFMT
  }

  /// A name on which something is mounted in this namespace cannot be renamed here (EBUSY), but by
  /// the engine in its own.
  private func rename(
    _ one: (directory: CInt, name: [UInt8]), _ other: (directory: CInt, name: [UInt8]),
    exchanging: Bool, _ services: ExecutorServices
  ) throws {
    let renamed = renameNames(one, other, exchanging: exchanging)
    if renamed == -Int(EBUSY) {
      return try services.renameMountPoint(one, other, exchanging)
    }
    try checked(renamed, "renameat2", "\(quoted(one.name)) to \(quoted(other.name))")
  }
}

/// Renames or exchanges two names (`renameat2`); what the kernel returned, or `-errno`.
public func renameNames(
  _ one: (directory: CInt, name: [UInt8]), _ other: (directory: CInt, name: [UInt8]),
  exchanging: Bool
) -> Int {
  withPath(one.name) { old in
    withPath(other.name) {
      mooring_renameat2(
        one.directory, old, other.directory, $0,
        exchanging ? UInt32(MOORING_RENAME_EXCHANGE) : UInt32(MOORING_RENAME_NOREPLACE))
    }
  }
}

/// When a directory was read and changed, to be set again after changes that leave it as it was.
private struct DirectoryTimes {
  private var times: [timespec]

  init(_ directory: borrowing Descriptor) throws(SystemCallFailure) {
    var status = stat()
    let result = fstat(directory.number, &status)
    try checked(result < 0 ? -Int(errno) : 0, "fstat", "a directory")
    times = [status.st_atim, status.st_mtim]
  }

  /// Where it fails, the verification of contents will say so.
  func restore(_ directory: borrowing Descriptor) { futimens(directory.number, times) }
}
