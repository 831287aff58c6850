import ArgumentParser
import Mooring

struct UnpinCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unpin",
    abstract: "Take away what restore --pin left.",
    discussion: """
      Takes the files of namespaces in the directory away, with the directory, and the name that \
      --netns-name gave. A namespace without a process and without another file is gone then, and \
      the links in it with it.

      Exit status: 0 done; 1 failed; 2 refused: the directory holds something else.

      Example:
        mooring unpin /run/box
      """)

  @Argument(help: ArgumentHelp("The directory that restore --pin was given.", valueName: "dir"))
  var directory: String

  mutating func run() throws { try NamespacePins.remove(directory) }
}
