import Logging
import MountTable
import PluginHost

/// Which plugins, and how long they may take.
public struct PluginOptions: Sendable {
  /// The folder; `nil` for none.
  public var folder: String?
  /// Seconds that one hook may take.
  public var timeout = 60
  /// Plugins written in Swift, asked before those of the folder.
  public var inProcess: [any MooringPlugin] = []

  public init(folder: String? = nil) { self.folder = folder }
}

extension PluginChain {
  /// The chain for these options; `nil` where there is no plugin at all.
  static func starting(
    _ options: PluginOptions, stage: PluginStage, imageDirectory: CInt, log: Logger
  ) throws -> PluginChain? {
    guard options.folder != nil || !options.inProcess.isEmpty else { return nil }
    return try PluginChain.start(
      folder: options.folder, stage: stage, imageDirectory: imageDirectory, inventory: nil,
      reserved: [], timeout: options.timeout, inProcess: options.inProcess, log: log)
  }
}
