import LinuxKernel
import MountTable
import PluginHost
import RestorePlan

/// What the kernel says of a container: read once.
public struct ContainerFacts: Sendable {
  public var mounts: MountTable
  public var namespaces: ContainerNamespaces
  /// The engine's own mounts.
  public var host: MountTable

  /// - Throws: `ReadFailure` in one sentence: no such process, no permission, a table that keeps
  ///   changing.
  public static func read(_ pid: Int32) throws -> ContainerFacts {
    ContainerFacts(
      mounts: try readMountTable(of: pid), namespaces: try readNamespaces(of: pid),
      host: try readOwnMountTable())
  }

  func classify(_ options: MountOptions, _ chain: PluginChain?) throws -> Classification {
    let isOwn = namespaces.own[.mount] != nil
    let classifier = Classifier(
      options: options, namespaces: namespaces, host: isOwn ? host : nil,
      askPlugin: { mount in
        try chain?.dumpExternalMount(mount.mountPoint, id: mount.id)
      })
    return try classifier.classify(mounts)
  }
}
