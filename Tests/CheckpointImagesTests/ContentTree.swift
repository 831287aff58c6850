import CMooring
import Glibc
import LinuxKernel
import MountTable

@testable import CheckpointImages

/// Builds trees of every kind of file for the tests of archives.
enum ContentTree {
  static let oddNames: [[UInt8]] = [
    [0xFF, 0xFE], Array("new\nline".utf8), Array("tab\tspace ".utf8), Array("é".utf8),
    Array("e\u{301}".utf8), Array("-rf".utf8), Array("back\\slash\\101".utf8),
    [UInt8](repeating: 0x6C, count: 255), [0xC3] + [UInt8](repeating: 0x78, count: 200),
    Array("*?[".utf8), Array("...".utf8), Array(" ".utf8), Array("a=b".utf8),
  ]

  static func make(_ name: [UInt8], in directory: CInt, _ data: [UInt8] = []) throws {
    let file = withPath(name) { openat(directory, $0, O_CREAT | O_EXCL | O_WRONLY, 0o644) }
    if file < 0 { throw Failure("openat") }
    defer { close(file) }
    if write(file, data, data.count) != data.count { throw Failure("write") }
  }

  static func make(_ name: String, in directory: CInt, _ data: String = "") throws {
    try make(Array(name.utf8), in: directory, Array(data.utf8))
  }

  static func setTime(_ name: String, in directory: CInt, _ seconds: Int, _ nanoseconds: Int) {
    let times = [
      timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2), timespec(tv_sec: seconds, tv_nsec: nanoseconds),
    ]
    utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW)
  }

  static func attribute(_ name: String, _ value: [UInt8], of file: String, in directory: CInt)
    throws
  {
    try ExtendedAttributes.set(Array(name.utf8), to: value, of: Array(file.utf8), in: directory)
  }

  /// Files, links, nodes, odd rights, owners, times and attributes; sockets only if wanted.
  static func everything(in root: CInt, sockets: Bool = true) throws {
    for name in oddNames { try make(name, in: root, name) }
    try expectZero(mkdirat(root, "d", 0o700), "mkdirat")
    try expectZero(mkdirat(root, "d/empty", 0o1777), "mkdirat")
    try make("plain", in: root, "hello")
    try make("d/other", in: root, String(repeating: "0123456789abcdef", count: 20000))
    try expectZero(linkat(root, "plain", root, "d/hard", 0), "linkat")
    try expectZero(linkat(root, "plain", root, "zlast", 0), "linkat")
    try expectZero(symlinkat("../../etc/passwd", root, "d/out"), "symlinkat")
    try expectZero(symlinkat("/nowhere", root, "dangling"), "symlinkat")
    try expectZero(linkat(root, "dangling", root, "d/dangling", 0), "linkat")
    try expectZero(mkfifoat(root, "fifo", 0o620), "mkfifoat")
    try expectZero(
      mknodat(root, "char", S_IFCHR | 0o606, dev_t(mooring_device(1, 300))), "mknodat")
    try expectZero(
      mknodat(root, "block", S_IFBLK | 0o600, dev_t(mooring_device(259, 70000))), "mknodat")
    try make("suid", in: root, "x")
    try expectZero(fchownat(root, "suid", 12, 4_000_000_000, 0), "fchownat")
    try expectZero(fchmodat(root, "suid", 0o6755, 0), "fchmodat")
    try expectZero(fchownat(root, "dangling", 5, 6, AT_SYMLINK_NOFOLLOW), "fchownat")
    try attribute("user.one", [0, 1, 2, 0xFF, 0x0A], of: "plain", in: root)
    try attribute("user.empty", [], of: "plain", in: root)
    try attribute("trusted.two", Array("on a directory".utf8), of: "d", in: root)
    try attribute("trusted.three", Array("on a link".utf8), of: "dangling", in: root)
    // cap_net_raw+ep
    try attribute(
      "security.capability", [1, 0, 0, 2, 0, 0x20] + [UInt8](repeating: 0, count: 14), of: "suid",
      in: root)
    try attribute("system.posix_acl_access", accessList, of: "d/other", in: root)
    try attribute("system.posix_acl_default", accessList, of: "d", in: root)
    if sockets {
      try expectZero(mknodat(root, "socket", S_IFSOCK | 0o666, 0), "mknodat")
      try expectZero(fchmodat(root, "socket", 0o666, 0), "fchmodat")
      try expectZero(mknodat(root, "d/socket", S_IFSOCK | 0o600, 0), "mknodat")
      try expectZero(linkat(root, "socket", root, "d/socket2", 0), "linkat")
      try expectZero(fchownat(root, "socket", 77, 78, 0), "fchownat")
      setTime("socket", in: root, 1_000_000_000, 5)
    }
    setTime("plain", in: root, 1_577_934_245, 123_456_789)
    setTime("dangling", in: root, 0, 1)
    setTime("fifo", in: root, -5, 7)
    setTime("d/empty", in: root, 4_000_000_000, 0)
    setTime("d", in: root, 1_234_567_890, 999_999_999)
    setTime(".", in: root, 1_111_111_111, 222_222_222)
  }

  /// user::rw-, user:1000:rwx, group::r--, group:50:-wx, mask::rwx, other::---
  static let accessList: [UInt8] =
    [2, 0, 0, 0]
    + [1, 0, 6, 0, 0xFF, 0xFF, 0xFF, 0xFF] + [2, 0, 7, 0, 0xE8, 3, 0, 0]
    + [4, 0, 4, 0, 0xFF, 0xFF, 0xFF, 0xFF] + [8, 0, 3, 0, 50, 0, 0, 0]
    + [0x10, 0, 7, 0, 0xFF, 0xFF, 0xFF, 0xFF] + [0x20, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]

  /// Directories of one name in each other until the path has this many bytes.
  static func deep(in root: CInt, bytes: Int) throws -> [UInt8] {
    let name = [UInt8](repeating: 0x64, count: 99)
    var path: [UInt8] = []
    var directory = try FileCalls.openDirectory([], below: root)
    while path.count < bytes {
      try expectZero(withPath(name) { mkdirat(directory.number, $0, 0o750) }, "mkdirat")
      directory = try FileCalls.openDirectory(name, below: directory.number)
      path = ContentWalk.join(path, name)
    }
    try make("end", in: directory.number, "deep")
    return ContentWalk.join(path, Array("end".utf8))
  }

  /// Data only at the places given, 4096 bytes each.
  static func sparse(_ name: String, in root: CInt, size: Int, data: [Int]) throws {
    let file = openat(root, name, O_CREAT | O_EXCL | O_WRONLY, 0o600)
    if file < 0 { throw Failure("openat") }
    defer { close(file) }
    let block = [UInt8](repeating: 0x5A, count: 4096)
    for place in data where pwrite(file, block, 4096, place) != 4096 { throw Failure("pwrite") }
    try expectZero(ftruncate(file, size), "ftruncate")
  }
}
