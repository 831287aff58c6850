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

  mutating func run() throws {
    guard let folder = plugins.folder else {
      throw EngineFailure(
        .failed, "plugins: there is no plugin folder here; name one: -L DIR")
    }
    let found = try PluginsOperation.list(folder: folder, log: log.logger())
    if json { return try Report.json(found) }
    Report.lines(
      found.map { plugin in
        let generation = plugin.isLegacy ? "legacy" : plugin.version
        return "\(plugin.file)  \(plugin.name)  \(generation)  "
          + (plugin.hooks.isEmpty ? "no hooks" : plugin.hooks.joined(separator: " "))
      })
  }
}
