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
    (DescriptorLimit().most, mountLimit())
  }
}
