import SystemPackage

/// A system call that failed: what was tried, on what, and what Linux said.
public struct SystemCallFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// The name of the call, `open_tree` for example.
  public var call: String
  /// What it was called on, as a person would name it.
  public var subject: String
  public var errno: Errno
  /// What the kernel itself added (the message of an `fsopen` descriptor); empty where nothing.
  public var detail: String

  public init(_ call: String, on subject: String, _ errno: Errno, detail: String = "") {
    self.call = call
    self.subject = subject
    self.errno = errno
    self.detail = detail
  }

  public var description: String {
    let more = detail.isEmpty && errno == .tooManyOpenFiles ? "raise the limit: ulimit -n" : detail
    return "\(call) \(subject): \(errno.symbol) (\(errno.text))" + (more.isEmpty ? "" : "; \(more)")
  }
}

/// The value a call of CMooring returned, or its negative errno as an error.
@discardableResult
@inline(__always)
public func checked(
  _ result: Int, _ call: StaticString, _ subject: @autoclosure () -> String
) throws(SystemCallFailure) -> Int {
  if result >= 0 { return result }
  throw SystemCallFailure(
    "\(call)", on: subject(), Errno(rawValue: CInt(truncatingIfNeeded: -result)))
}

extension Errno {
  /// The symbol of `errno(3)`: `EINVAL`.
  public var symbol: String { Errno.symbols[rawValue] ?? "errno \(rawValue)" }

  /// The C library's words for the number.
  public var text: String { description }

  private static let symbols: [CInt: String] = [
    1: "EPERM", 2: "ENOENT", 3: "ESRCH", 4: "EINTR", 5: "EIO", 6: "ENXIO", 7: "E2BIG", 8: "ENOEXEC",
    9: "EBADF", 10: "ECHILD", 11: "EAGAIN", 12: "ENOMEM", 13: "EACCES", 14: "EFAULT", 15: "ENOTBLK",
    16: "EBUSY", 17: "EEXIST", 18: "EXDEV", 19: "ENODEV", 20: "ENOTDIR", 21: "EISDIR", 22: "EINVAL",
    23: "ENFILE", 24: "EMFILE", 25: "ENOTTY", 26: "ETXTBSY", 27: "EFBIG", 28: "ENOSPC",
    29: "ESPIPE",
    30: "EROFS", 31: "EMLINK", 32: "EPIPE", 33: "EDOM", 34: "ERANGE", 35: "EDEADLK",
    36: "ENAMETOOLONG", 37: "ENOLCK", 38: "ENOSYS", 39: "ENOTEMPTY", 40: "ELOOP", 61: "ENODATA",
    62: "ETIME", 71: "EPROTO", 74: "EBADMSG", 75: "EOVERFLOW", 84: "EILSEQ", 87: "EUSERS",
    88: "ENOTSOCK", 89: "EDESTADDRREQ", 90: "EMSGSIZE", 91: "EPROTOTYPE", 92: "ENOPROTOOPT",
    93: "EPROTONOSUPPORT", 95: "EOPNOTSUPP", 97: "EAFNOSUPPORT", 98: "EADDRINUSE",
    99: "EADDRNOTAVAIL", 104: "ECONNRESET",
    105: "ENOBUFS", 106: "EISCONN", 107: "ENOTCONN", 109: "ETOOMANYREFS", 110: "ETIMEDOUT",
    111: "ECONNREFUSED", 114: "EALREADY",
    115: "EINPROGRESS", 116: "ESTALE", 117: "EUCLEAN", 122: "EDQUOT", 125: "ECANCELED",
    524: "ENOTSUP (kernel)",
  ]
}
