import LinkTable
import LinuxKernel
import RestorePlan

public typealias KernelAbility = LinuxKernel.KernelAbility

/// What the machine allows.
public enum CheckOperation {
  /// Tries out what saving and restoring need. The calling process must be single-threaded.
  public static func abilities() throws -> [KernelAbility] {
    try EngineFailure.wrapping("check") { try abilities(of: KernelFeature.common) }
  }

  /// Which kinds of links can be made: of those that are known.
  public static func linkKinds() throws -> [KernelAbility] {
    try EngineFailure.wrapping("check") {
      try abilities(of: LinkKind.named.keys.sorted().map { .linkKind($0) })
    }
  }

  private static func abilities(of features: [KernelFeature]) throws -> [KernelAbility] {
    let found = try KernelAbilities.probe(features)
    return features.map { KernelAbility($0, missing: found.missing($0)) }
  }

  /// How many files a process may have open, and how many mounts a namespace may have.
  public static func limits() -> (openFiles: UInt, mostMounts: Int?) {
    (DescriptorLimit().most, mountLimit())
  }
}
