import CheckpointImages
import LinuxKernel
import Logging
import MountTable
import PluginHost
import RestorePlan

/// Shows what a dump would make of a mount tree; changes nothing.
public struct MountsOperation {
  public enum Source: Sendable {
    /// A running container: one of its processes.
    case process(Int32)
    /// A text in the format of mountinfo; `-` is standard input.
    case file(String)
    case images(String)
  }

  public var source: Source
  public var mounts: MountOptions
  public var plugins: PluginOptions
  public var log: Logger

  public init(
    _ source: Source, mounts: MountOptions = .init(), plugins: PluginOptions = .init(), log: Logger
  ) {
    self.source = source
    self.mounts = mounts
    self.plugins = plugins
    self.log = log
  }

  /// Plugins are asked as a dump asks them, with a folder for their files that is thrown away.
  ///
  /// - Throws: `EngineFailure` where the source cannot be read or a plugin fails.
  public func run() throws -> Classification {
    try EngineFailure.wrapping("mounts") {
      switch source {
      case .process(let pid):
        return try plugins.asking(log) { try ContainerFacts.read(pid).classify(mounts, $0) }
      case .file(let path):
        let table =
          path == "-" ? try readMountTable(descriptor: 0) : try readMountTable(file: path)
        return try plugins.asking(log) {
          try ContainerFacts(mounts: table, namespaces: .init(), host: table).classify(mounts, $0)
        }
      case .images(let path):
        let saved = try ImageDirectory.open(path).load(only: .mounts)
        return try Classifier(options: mounts, namespaces: saved.namespaces).classify(saved.mounts)
      }
    }
  }
}
