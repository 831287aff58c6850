import Glibc
import LinuxKernel
import MountTable
import Testing

@testable import CheckpointImages

/// A directory of its own for a test, removed with all that is in it.
final class TemporaryDirectory {
  let path: String
  let descriptor: CInt

  init() throws {
    var template = Array("/tmp/mooring-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Failure("mkdtemp") }
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  }

  deinit {
    close(descriptor)
    DirectoryTree.remove(Array(path.utf8), in: AT_FDCWD)
  }

  /// Makes a directory in this one, and opens it; it is closed with this one's process.
  func directory(_ name: String) throws -> CInt {
    try expectZero(mkdirat(descriptor, name, 0o755), "mkdirat \(name)")
    return openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  }

  /// A new file in this directory, for reading and writing.
  func file(_ name: String) throws -> CInt {
    let file = openat(descriptor, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if file < 0 { throw Failure("open \(name)") }
    return file
  }

  func write(_ bytes: [UInt8], to name: String) throws {
    let file = try file(name)
    defer { close(file) }
    guard Glibc.write(file, bytes, bytes.count) == bytes.count else { throw Failure("write") }
  }

  func names(_ directory: String = ".") throws -> [String] {
    let opened = try Descriptor.open(
      Array(directory.utf8), below: descriptor, flags: O_RDONLY | O_DIRECTORY)
    return try ImageFiles.names(in: opened.number).map { String(decoding: $0, as: UTF8.self) }
      .sorted()
  }
}

struct Failure: Error, CustomStringConvertible {
  var description: String
  init(_ what: String) { description = "\(what): errno \(errno)" }
}

func expectZero(_ result: CInt, _ what: String) throws {
  if result != 0 { throw Failure(what) }
}

/// Runs a shell command; its exit status and what it said.
func shell(_ command: String) -> (status: CInt, output: String) {
  guard let pipe = popen("LC_ALL=C; export LC_ALL; { \(command); } 2>&1", "r") else {
    return (-1, "")
  }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while true {
    let got = fread(&buffer, 1, buffer.count, pipe)
    if got == 0 { break }
    bytes += buffer[..<got]
  }
  let status = pclose(pipe)
  return (status >> 8 & 0xFF, String(decoding: bytes, as: UTF8.self))
}

/// Whether a program is there; where tests may not be skipped, it has to be.
func hasTool(_ name: String) -> Bool {
  if shell("command -v \(name)").status == 0 { return true }
  return getenv("MOORING_REQUIRE_KERNEL") != nil
}

/// The folder of this repository's fixtures.
let fixtures: String = {
  let file = #filePath
  return file.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
    .joined(separator: "/") + "/fixtures/images"
}()

let imageSets = [
  "bind10", "chain12", "external-auto", "external-key", "external-plugin", "net", "random15",
  "shared20", "tmpfs-content",
]

func fixture(_ name: String) throws -> [UInt8] {
  let file = open("\(fixtures)/\(name)", O_RDONLY | O_CLOEXEC)
  defer { close(file) }
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  let count = read(file, &buffer, buffer.count)
  guard count >= 0 else { throw Failure("read \(name)") }
  return Array(buffer[..<count])
}

extension KernelString {
  static func bytes(_ bytes: UInt8...) -> KernelString { KernelString(bytes) }
}
