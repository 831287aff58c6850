import Glibc
import LinuxKernel

public typealias KernelAbility = LinuxKernel.KernelAbility

/// What the machine allows.
public enum CheckOperation {
  /// Tries out what a restore needs. The calling process must be single-threaded.
  public static func abilities() throws -> [KernelAbility] {
    try EngineFailure.wrapping("check") { try probeKernel() }
  }

  /// How many files a process may have open, and how many mounts a namespace may have.
  public static func limits() -> (openFiles: UInt, mostMounts: Int?) {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return (UInt(limit.rlim_max), mountLimit())
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
