import CMooring
import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// What an archive keeps of a file besides its data and its names.
struct FileFacts: Hashable {
  /// The type, `S_IFMT` of the mode.
  var type: mode_t
  /// The permissions, with set-ID bits and the sticky bit.
  var permissions: mode_t
  var owner: UInt32
  var group: UInt32
  /// Bytes; 0 but for regular files.
  var size: Int64
  var modified: Time
  /// The number of a device node.
  var device: DeviceNumber?
  /// The target of a symbolic link.
  var target: [UInt8]
  var attributes: [[UInt8]: [UInt8]]

  struct Time: Hashable {
    var seconds: Int64
    var nanoseconds: Int64
  }

  init(_ about: stat) {
    type = about.st_mode & S_IFMT
    permissions = about.st_mode & 0o7777
    owner = about.st_uid
    group = about.st_gid
    size = type == S_IFREG ? Int64(about.st_size) : 0
    modified = Time(
      seconds: Int64(about.st_mtim.tv_sec), nanoseconds: Int64(about.st_mtim.tv_nsec))
    if type == S_IFCHR || type == S_IFBLK {
      device = DeviceNumber(
        major: mooring_device_major(UInt64(about.st_rdev)),
        minor: mooring_device_minor(UInt64(about.st_rdev)))
    }
    target = []
    attributes = [:]
  }

  init(
    type: mode_t, permissions: mode_t, owner: UInt32, group: UInt32, size: Int64, modified: Time
  ) {
    self.type = type
    self.permissions = permissions
    self.owner = owner
    self.group = group
    self.size = size
    self.modified = modified
    target = []
    attributes = [:]
  }

  static func typeName(_ type: mode_t) -> String {
    switch type {
    case S_IFREG: "file"
    case S_IFDIR: "directory"
    case S_IFLNK: "symbolic link"
    case S_IFCHR: "character device"
    case S_IFBLK: "block device"
    case S_IFIFO: "fifo"
    case S_IFSOCK: "socket"
    default: "type \(String(type, radix: 8))"
    }
  }
}

/// Calls on files below a descriptor, as typed throws.
enum FileCalls {
  static func status(of descriptor: CInt) throws(SystemCallFailure) -> stat {
    var about = stat()
    try checked(fstat(descriptor, &about) < 0 ? -Int(errno) : 0, "fstat", "it")
    return about
  }

  /// Links are not followed.
  static func status(_ name: [UInt8], in directory: CInt) throws(SystemCallFailure) -> stat {
    var about = stat()
    let result = withPath(name) { fstatat(directory, $0, &about, AT_SYMLINK_NOFOLLOW) }
    try checked(result < 0 ? -Int(errno) : 0, "fstatat", quoted(name))
    return about
  }

  static func linkTarget(
    _ name: [UInt8], in directory: CInt
  ) throws(SystemCallFailure) -> [UInt8] {
    var room = 256
    while true {
      var failure: CInt = 0
      let target = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
        let got = withPath(name) { path in
          buffer.withMemoryRebound(to: CChar.self) {
            readlinkat(directory, path, $0.baseAddress!, room)
          }
        }
        if got < 0 { failure = errno }
        count = max(0, got)
      }
      try checked(-Int(failure), "readlinkat", quoted(name))
      if target.count < room { return target }
      room *= 4
    }
  }

  /// Opens a regular file for reading, without touching its access time where that is permitted.
  ///
  /// - Returns: `nil` where the name is something else by now.
  static func openForReading(
    _ name: [UInt8], in directory: CInt
  ) throws(SystemCallFailure) -> Descriptor? {
    let flags = O_RDONLY | O_NONBLOCK
    do throws(SystemCallFailure) {
      return try Descriptor.openRegular(
        name, below: directory, flags: flags | CInt(MOORING_O_NOATIME))
    } catch {
      guard error.errno == .notPermitted else { throw error }
      return try Descriptor.openRegular(name, below: directory, flags: flags)
    }
  }

  /// Opens a directory below `root`, however long the path; neither links nor mounts are crossed.
  static func openDirectory(
    _ path: [UInt8], below root: CInt
  ) throws(SystemCallFailure) -> Descriptor {
    let flags = UInt64(O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    let resolve = UInt64(
      MOORING_RESOLVE_BENEATH | MOORING_RESOLVE_NO_SYMLINKS | MOORING_RESOLVE_NO_MAGICLINKS
        | MOORING_RESOLVE_NO_XDEV)
    func open(_ path: [UInt8], _ directory: CInt) throws(SystemCallFailure) -> Descriptor {
      var opened = -Int(EAGAIN)
      for _ in 0..<16 where opened == -Int(EAGAIN) {
        opened = withPath(path) { mooring_openat2(directory, $0, flags, 0, resolve) }
      }
      return Descriptor(owning: CInt(try checked(opened, "openat2", quoted(path))))
    }
    if path.isEmpty { return try open([0x2E], root) }
    if path.count < longestPath { return try open(path, root) }
    var rest = path[...]
    var current = try open([0x2E], root)
    while rest.count >= longestPath {
      guard let slash = rest.prefix(longestPath).lastIndex(of: 0x2F) else {
        throw SystemCallFailure("openat2", on: quoted(Array(rest)), .fileNameTooLong)
      }
      current = try open(Array(rest[..<slash]), current.number)
      rest = rest[(slash + 1)...]
    }
    return try open(Array(rest), current.number)
  }

  /// `PATH_MAX` with room to spare.
  private static let longestPath = 4000
}
