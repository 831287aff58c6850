import ArgumentParser
import Mooring
import PluginHost

struct PluginsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugins",
    abstract: "List the plugins of a folder, and which hooks each has.",
    discussion: """
      The plugins are loaded in a process of their own, and none is started. Hooks of memory and devices \
      belong to processes: they may be there, and are never called.

      Example: mooring plugins -L plugins
      """)

  @OptionGroup var plugins: PluginFolderOptions
  @OptionGroup var log: LogOptions
  @Flag(help: "Print JSON.") var json = false

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
