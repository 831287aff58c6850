import Logging
import PluginHost

/// What a plugin folder holds.
public enum PluginsOperation {
  /// Loads the plugins in a process of their own, starts none of them.
  ///
  /// - Throws: `EngineFailure` naming the file that is no plugin, or not to be trusted.
  public static func list(folder: String, log: Logger) throws -> [PluginDescription] {
    try EngineFailure.wrapping("plugins") { try PluginChain.list(folder: folder, log: log) }
  }
}
