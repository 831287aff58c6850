import ArgumentParser
import Mooring

struct DumpCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dump",
    abstract: "Save a container's mounts into image files.",
    discussion: """
      Nothing in the container is changed. Where a mount cannot be restored, or nothing explains \
      where it comes from, all such problems are listed with what settles each, and nothing is written.

      Example: mooring dump -t 4711 -D images --external 'mnt[/data]:data'
      """)

  @Option(name: .shortAndLong, help: ArgumentHelp("A process of the container.", valueName: "pid"))
  var tree: Int32

  @Option(
    name: [.customShort("D"), .long],
    help: ArgumentHelp("The folder of images; made where it is missing.", valueName: "dir"))
  var imagesDir: String

  @OptionGroup var plugins: PluginFolderOptions
  @OptionGroup var mappings: MountMappingOptions
  @OptionGroup var log: LogOptions

  mutating func run() throws {
    var options = DumpOptions(pid: tree, images: imagesDir, plugins: plugins.options)
    options.mounts = try mappings.options(atDump: true)
    try DumpOperation(options, log: log.logger()).run()
  }
}
