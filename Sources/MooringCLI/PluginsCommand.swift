import ArgumentParser
import Mooring
import PluginHost

struct PluginsCommand: SupervisedCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugins",
    abstract: "List the plugins of a folder, and which hooks each has.",
    discussion: """
      A line for each: file, name, version of its interface (or "legacy"), hooks. They are \
      loaded in a process of their own, in the order in which they are asked, and none is \
      started.

      A dump calls DUMP_EXT_MOUNT; a restore RESTORE_INIT and RESTORE_EXT_MOUNT. Other hooks may \
      be there; what belongs to memory and devices of processes is never called.

      The folder and each file must belong to root or the caller, and nobody else may write to them.

      Exit status: 0; 1 where there is no folder, or a file in it is no plugin or not to be trusted.

      Example:
        mooring plugins -L plugins
      """)

  @OptionGroup var plugins: PluginFolderOptions
  @OptionGroup var log: LogOptions
  @OptionGroup var limit: TimeLimitOptions
  @Flag(help: "Print JSON on standard output.") var json = false

  private struct Row: Encodable {
    var file: String
    var name: String
    var generation: String
    var version: String
    var hooks: [String]
  }

  mutating func run() throws {
    guard let folder = plugins.folder else {
      throw EngineFailure(
        .failed, "plugins: there is no plugin folder here; name one: -L DIR")
    }
    let found = try PluginsOperation.list(folder: folder, log: log.logger())
    let rows = found.map { plugin in
      Row(
        file: plugin.file, name: plugin.name, generation: plugin.generation.rawValue,
        version: plugin.version, hooks: plugin.hooks.map(\.description))
    }
    if json { return try Report.json(rows) }
    Report.lines(
      rows.map { row in
        "\(row.file)  \(row.name)  \(row.generation) \(row.version)  "
          + (row.hooks.isEmpty ? "no hooks" : row.hooks.joined(separator: " "))
      })
  }
}
