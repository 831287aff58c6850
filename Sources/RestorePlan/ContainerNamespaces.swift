import MountTable

/// The kinds of namespaces a container can have of its own.
public enum NamespaceKind: String, Hashable, Sendable, Codable, CaseIterable {
  case mount = "mnt"
  case network = "net"
  case process = "pid"
  case ipc, uts, cgroup, user, time
}

/// Which namespaces a container had of its own, and what is needed to make them again.
public struct ContainerNamespaces: Hashable, Sendable, Codable {
  /// Namespaces that differ from those of the engine that dumped, with their inode numbers.
  public var own: [NamespaceKind: UInt32]
  /// `uname -n` and the NIS domain, where `own` has `.uts`.
  public var hostName: KernelString?
  public var domainName: KernelString?
  /// The mapping of the user namespace, where `own` has `.user`.
  public var mapping: IDMapping?
  /// Nanoseconds that `CLOCK_MONOTONIC` and `CLOCK_BOOTTIME` are ahead, where `own` has `.time`.
  public var monotonicOffset: Int64?
  public var bootTimeOffset: Int64?

  public init(own: [NamespaceKind: UInt32] = [:]) { self.own = own }
}
