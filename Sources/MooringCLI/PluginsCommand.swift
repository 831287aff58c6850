import ArgumentParser
import Mooring
import PluginHost

struct PluginsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugins",
    abstract: "List the plugins of a folder, and which hooks each has.")

  mutating func run() throws {
  }
}
