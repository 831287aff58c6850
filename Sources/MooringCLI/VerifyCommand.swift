import ArgumentParser
import Mooring
import MountTable

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Compare a running container with images; print the difference.",
    discussion: """
      Compared are the mount tree, the contents of memory file systems, and names and mappings of \
      namespaces. Lines begin with - for what is missing, + for what is not expected, ~ for what is \
      different. Exit status 3 where anything differs.

      Example: mooring verify -D images -t 4711
      """)

  @Option(
    name: [.customShort("D"), .long],
    help: ArgumentHelp("The folder of images.", valueName: "dir"))
  var imagesDir: String

  @Option(name: .shortAndLong, help: ArgumentHelp("A process of the container.", valueName: "pid"))
  var tree: Int32

  @Option(
    help: ArgumentHelp("A path that the restore left out; may be repeated.", valueName: "path"))
  var skipMnt: [String] = []

  @Flag(help: "Print JSON.") var json = false

  private struct Result: Encodable {
    var isEqual: Bool
    var mounts: [MountDifference]
    var files: [Verification.FileDifference]
    var namespaces: [String]
  }

  mutating func run() throws {
    var options = VerifyOptions(images: imagesDir, pid: tree)
    for path in skipMnt {
      options.mounts.skipped.append(try MountPath(option: path, of: "--skip-mnt"))
    }
    let result = try VerifyOperation(options).run()
    if json {
      try Report.json(
        Result(
          isEqual: result.isEqual, mounts: result.tree.differences, files: result.files,
          namespaces: result.namespaces))
    } else if !result.isEqual {
      Report.lines(["\(result)"])
    }
    if !result.isEqual {
      throw CommandStatus(code: EngineFailure.Status.different.rawValue)
    }
  }
}
