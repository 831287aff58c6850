import Glibc
import LinuxKernel

/// How many files the process may have open. A restore holds one for each mount that others wait for, a
/// dump one for each archive; COMMAND gets what the caller had.
struct DescriptorLimit {
  private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
  private var limit = rlimit()

  /// What holds now.
  init() { getrlimit(Self.resource, &limit) }

  var most: UInt { UInt(limit.rlim_max) }
  /// What holds without being raised.
  var current: UInt { UInt(limit.rlim_cur) }

  /// As many as the process may.
  func raise() {
    var raised = limit
    raised.rlim_cur = limit.rlim_max
    setrlimit(Self.resource, &raised)
  }

  /// As it was.
  func putBack() {
    var former = limit
    setrlimit(Self.resource, &former)
  }
}

/// `fs.mount-max`; `nil` where it cannot be read.
func mountLimit() -> Int? {
  guard let file = try? Descriptor.open("/proc/sys/fs/mount-max", flags: O_RDONLY) else {
    return nil
  }
  var bytes = [UInt8](repeating: 0, count: 32)
  let count = read(file.number, &bytes, bytes.count)
  guard count > 0 else { return nil }
  return Int(String(decoding: bytes[..<count].filter { $0 != 0x0A }, as: UTF8.self))
}
