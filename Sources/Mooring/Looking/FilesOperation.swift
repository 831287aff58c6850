import CheckpointImages
import FileTable
import LinuxKernel
import Logging
import MountTable
import PluginHost

/// Shows what a dump would make of a container's open files; changes nothing.
public struct FilesOperation {
  public enum Source: Sendable {
    /// A running container: the first of its processes.
    case process(Int32)
    case images(String)
  }

  public var source: Source
  public var files: FileOptions
  /// Mount points that a dump is to leave out.
  public var skippedMounts: [MountPath] = []
  public var plugins: PluginOptions
  public var log: Logger

  public init(
    _ source: Source, files: FileOptions = .init(), plugins: PluginOptions = .init(), log: Logger
  ) {
    self.source = source
    self.files = files
    self.plugins = plugins
    self.log = log
  }

  /// Plugins are asked as a dump asks them, with a folder for their files that is thrown away.
  ///
  /// - Returns: all open files of the tree; of images those that a restore brings.
  /// - Throws: `EngineFailure` where the source cannot be read or a plugin fails.
  public func run() throws -> ClassifiedFiles {
    try EngineFailure.wrapping("files") {
      switch source {
      case .process(let pid):
        return try plugins.asking(log) { chain in
          try OpenFiles.classify(
            pid, try readMountTable(of: pid), skipped: skippedMounts, files, chain)
        }
      case .images(let path):
        return try ImageDirectory.open(path).load(only: .files).files
      }
    }
  }
}
