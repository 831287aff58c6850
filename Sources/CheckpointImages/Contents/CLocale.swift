import Glibc

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
