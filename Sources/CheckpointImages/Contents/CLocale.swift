import Glibc
import LinuxKernel

/// What libarchive takes from the C library: the characters of names.
enum Characters {
  /// Loads the C library's list of conversions, once a process, from the root that is there now.
  ///
  /// The list names libraries to load. Were it first read in the namespaces of a container, the
  /// container would say which; so whoever opens or stages images has it read before.
  static func load() {
    _ = loaded
    HeldProc.hold()
  }

  private static let loaded: Bool = {
    for (to, from) in [("UTF-8", "ANSI_X3.4-1968"), ("ANSI_X3.4-1968", "UTF-8")] {
      let conversion = iconv_open(to, from)
      if let conversion, conversion != iconv_t(bitPattern: -1) { iconv_close(conversion) }
    }
    return true
  }()
}

/// Runs `body` with this thread in the C locale, where libarchive leaves names as they are.
func inCLocale<Result, Failure: Error>(
  _ body: () throws(Failure) -> Result
) throws(Failure) -> Result {
  let plain = newlocale(CInt(1) << LC_CTYPE, "C", nil)
  let before = uselocale(plain)
  defer {
    uselocale(before)
    freelocale(plain)
  }
  return try body()
}
