import CMooring
import Glibc
import MountTable
import SystemPackage

/// A file descriptor that closes itself.
public struct Descriptor: ~Copyable, Sendable {
  /// The number, for calls that take one; valid as long as this value lives.
  public let number: CInt

  /// Takes over a descriptor; nobody else may close it.
  public init(owning number: CInt) { self.number = number }

  deinit { _ = Glibc.close(number) }

  /// Gives the descriptor away; the caller closes it.
  public consuming func release() -> CInt {
    let number = self.number
    discard self
    return number
  }

  /// Opens `path` below `directory`, or below the working directory where that is `nil`.
  ///
  /// The corresponding system call is `openat`; `O_CLOEXEC` is always set.
  public static func open(
    _ path: [UInt8], below directory: CInt? = nil, flags: CInt, mode: mode_t = 0
  ) throws(SystemCallFailure) -> Descriptor {
    let opened = withPath(path) { (bytes: UnsafePointer<CChar>) -> Int in
      while true {
        let fd = Glibc.openat(directory ?? AT_FDCWD, bytes, flags | O_CLOEXEC, mode)
        if fd >= 0 { return Int(fd) }
        if Glibc.errno != EINTR { return -Int(Glibc.errno) }
      }
    }
    return Descriptor(owning: CInt(try checked(opened, "open", quoted(path))))
  }

  public static func open(_ path: String, flags: CInt, mode: mode_t = 0) throws(SystemCallFailure)
    -> Descriptor
  { try open(Array(path.utf8), flags: flags, mode: mode) }

  /// Opens a name for reading where it is a regular file. Anything else that somebody may have put there
  /// is not opened at all: a device or a fifo would notice, and might never answer.
  ///
  /// - Returns: `nil` where it is no regular file, or a symbolic link.
  ///
  /// The corresponding system calls are `openat(O_PATH | O_NOFOLLOW)`, `fstat`, and `openat` of what is
  /// open in the `/proc` that is held.
  public static func openRegular(
    _ name: [UInt8], below directory: CInt, flags: CInt
  ) throws(SystemCallFailure) -> Descriptor? {
    let found = try open(name, below: directory, flags: openPath | O_NOFOLLOW)
    var status = stat()
    try checked(
      fstat(found.number, &status) < 0 ? -Int(Glibc.errno) : 0, "fstat", quoted(name))
    guard status.st_mode & S_IFMT == S_IFREG else { return nil }
    return try HeldProc.reopen(found.number, flags: flags)
  }

  /// A second descriptor for the same open file (`F_DUPFD_CLOEXEC`).
  public func duplicate() throws(SystemCallFailure) -> Descriptor {
    let copy = fcntl(number, F_DUPFD_CLOEXEC, 3)
    return Descriptor(
      owning: CInt(
        try checked(copy < 0 ? -Int(Glibc.errno) : Int(copy), "fcntl", "F_DUPFD_CLOEXEC")))
  }
}

/// Calls `body` with the bytes as a C string; they must hold no NUL.
@inline(__always)
public func withPath<Result>(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
  withPath(path[...], body)
}

@inline(__always)
public func withPath<Result>(
  _ path: ArraySlice<UInt8>, _ body: (UnsafePointer<CChar>) -> Result
) -> Result {
  withUnsafeTemporaryAllocation(byteCount: path.count + 1, alignment: 1) { buffer in
    path.withUnsafeBytes { buffer.copyMemory(from: $0) }
    buffer[path.count] = 0
    return body(UnsafePointer(buffer.baseAddress!.assumingMemoryBound(to: CChar.self)))
  }
}

/// A path for a message: in quotes, escaped.
public func quoted(_ path: [UInt8]) -> String { "\"\(KernelString(path))\"" }

/// The `/proc` of the namespaces in which the process began. A container's own may lead anywhere.
public enum HeldProc {
  /// Opens it; once. Called by whoever is going to enter a container.
  public static func hold() { _ = mooring_hold_proc() }

  /// Its descriptor; not for closing.
  static var number: CInt { mooring_hold_proc() }

  /// Opens what a descriptor refers to anew, with other flags.
  public static func reopen(
    _ descriptor: CInt, flags: CInt
  ) throws(SystemCallFailure) -> Descriptor {
    try Descriptor.open(
      Array("thread-self/fd/\(descriptor)".utf8), below: mooring_hold_proc(), flags: flags)
  }
}
