/// Times before 1970 with a fraction.
///
/// The kernel counts nanoseconds forwards from the second before; an archive has a decimal number,
/// and libarchive takes its digits before and behind the point as they stand. So -5 s and 7 ns are
/// -4.999999993, for libarchive -4 and 999999993. The last second before 1970 has no such form and
/// loses its fraction.
enum ArchiveTime {
  static func archived(_ time: FileFacts.Time) -> FileFacts.Time {
    guard time.seconds < 0, time.nanoseconds > 0 else { return time }
    if time.seconds == -1 { return FileFacts.Time(seconds: -1, nanoseconds: 0) }
    return FileFacts.Time(
      seconds: time.seconds + 1, nanoseconds: 1_000_000_000 - time.nanoseconds)
  }

  static func real(_ time: FileFacts.Time) -> FileFacts.Time {
    guard time.seconds < 0, time.nanoseconds > 0 else { return time }
    return FileFacts.Time(
      seconds: time.seconds &- 1, nanoseconds: 1_000_000_000 - time.nanoseconds)
  }
}
