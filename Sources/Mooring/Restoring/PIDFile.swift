import CMooring
import Glibc
import LinuxKernel
import SystemPackage

/// The file with the PID of the process that holds the namespaces.
///
/// It is written beside its place and changes places with what is there; a restore that fails from then on,
/// or is killed, changes them back. So it is whole whenever it is there, and a full disk is an error.
struct PIDFile: ~Copyable {
  private let path: String
  private let directory: Descriptor
  private let name: [UInt8]
  private let beside: [UInt8]
  private var isReplacing = false

  /// Opens the directory that it is in; nothing is changed.
  init(_ path: String) throws {
    self.path = path
    let bytes = Array(path.utf8)
    let slash = bytes.lastIndex(of: 0x2F)
    let parent = slash.map { $0 == 0 ? [0x2F] : Array(bytes[..<$0]) } ?? [0x2E]
    name = slash.map { Array(bytes[($0 + 1)...]) } ?? bytes
    let suffix = String(UInt64.random(in: .min ... .max), radix: 36)
    beside = [0x2E] + name.prefix(200) + Array(".\(suffix)".utf8)
    directory = try Descriptor.open(parent, flags: O_RDONLY | O_DIRECTORY)
  }

  /// The process that the file names, where it lives and holds namespaces: it would be lost out of sight.
  static func livingHolder(_ path: String) -> pid_t? {
    guard
      let file = try? Descriptor.open(path, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY),
      let pid = pid_t(text(file.number, most: 16)), pid > 0
    else { return nil }
    var (namespace, own) = (stat(), stat())
    // Somebody else's process that has got the number since is not in a mount namespace of its own, as a rule.
    guard stat("/proc/\(pid)/ns/mnt", &namespace) == 0, stat("/proc/self/ns/mnt", &own) == 0,
      namespace.st_ino != own.st_ino
    else { return nil }
    return pid
  }

  private static func text(_ file: CInt, most: Int) -> String {
    var bytes = [UInt8](repeating: 0, count: most)
    let count = read(file, &bytes, most)
    let line = bytes.prefix(max(0, count)).prefix { $0 != 0x0A }
    return String(decoding: line, as: UTF8.self)
  }

  /// Puts it in place, told to the journal first.
  mutating func write(_ pid: pid_t, _ journal: inout UndoJournal) throws {
    try journal.record(directory: directory.number, name: beside, .file)
    let bytes = Array("\(pid)\n".utf8)
    let target = withPath(name) { name in
      var status = stat()
      return fstatat(directory.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0
        ? status.st_mode & S_IFMT : 0
    }
    // A device or a fifo, or what a link leads to, is written to, not replaced.
    guard target == 0 || target == S_IFREG else { return try writeInto(bytes) }
    let file = try Descriptor.open(
      beside, below: directory.number, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o644)
    try writeAll(bytes, file.number)
    isReplacing = target != 0
    if isReplacing {
      try journal.recordExchange((directory.number, beside), with: (directory.number, name))
    } else {
      // From here on it is this name that is to go.
      try journal.record(directory: directory.number, name: name, .file)
    }
    let renamed = renameNames(
      (directory.number, beside), (directory.number, name), exchanging: isReplacing)
    try checked(renamed, "renameat2", "\(quoted(beside)) to \(path)")
  }

  private func writeInto(_ bytes: [UInt8]) throws {
    try writeAll(bytes, try Descriptor.open(path, flags: O_WRONLY | O_TRUNC).release())
  }

  private func writeAll(_ bytes: [UInt8], _ file: CInt) throws {
    let written = Glibc.write(file, bytes, bytes.count)
    let failure = errno
    try checked(
      written == bytes.count ? written : written < 0 ? -Int(failure) : -Int(ENOSPC), "write", path)
  }

  /// The restore succeeded: the former file goes.
  func keep() {
    if isReplacing { _ = withPath(beside) { unlinkat(directory.number, $0, 0) } }
  }
}
