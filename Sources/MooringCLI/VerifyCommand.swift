import ArgumentParser
import Mooring
import MountTable

struct VerifyCommand: SupervisedCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Compare a running container with images; print the difference.",
    discussion: """
      Compared are the mount tree, the contents of memory file systems, names and mappings of \
      namespaces, and links, addresses, routes, rules and settings of networks, as far as the \
      images have them. Lines begin with - for what is missing, + for what is not expected, ~ for \
      what is different. Where all is equal, nothing is printed. Not compared are IDs, device \
      numbers and open files, and of the root and of what came from outside the file system and its contents.

      Exit status: 0 equal; 1 where the images or the container cannot be read; 3 different.

      Examples:
        mooring verify -D images -t "$(cat pid)"
        mooring verify -D images --netns blue
      """)

  @Option(
    name: [.customShort("D"), .long],
    help: ArgumentHelp("The folder of images.", valueName: "dir"))
  var imagesDir: String

  @OptionGroup var subject: SubjectOptions

  @OptionGroup var parts: PartsOption

  @Option(
    help: ArgumentHelp("A path that the restore left out; may be repeated.", valueName: "path"))
  var skipMnt: [String] = []

  @OptionGroup var leaveOut: LeaveOutOption
  @OptionGroup var limit: TimeLimitOptions

  @Flag(help: "Print JSON, if all is equal too.") var json = false

  private struct Result: Encodable {
    var isEqual: Bool
    var mounts: [MountDifference]
    var files: [Verification.FileDifference]
    var namespaces: [String]
    var links: [String]
  }

  func validate() throws {
    try subject.requireOne()
    if parts.only?.split(separator: ",").contains("files") ?? false {
      throw ValidationError("Open files are not compared: COMMAND does with them what it likes.")
    }
  }

  mutating func run() throws {
    let compared: VerifyOptions.Subject =
      if let netns = subject.netns { .network(netns) } else { .process(subject.tree ?? 0) }
    var options = VerifyOptions(images: imagesDir, compared)
    options.parts = try parts.parts()
    for path in skipMnt {
      options.mounts.skipped.append(try MountPath(option: path, of: "--skip-mnt"))
    }
    options.leftOut = try leaveOut.leftOut()
    let result = try VerifyOperation(options).run()
    if json {
      try Report.json(
        Result(
          isEqual: result.isEqual, mounts: result.tree?.differences ?? [], files: result.files,
          namespaces: result.namespaces, links: result.links))
    } else if !result.isEqual {
      Report.lines(["\(result)"])
    }
    if !result.isEqual {
      throw CommandStatus(code: EngineFailure.Status.different.rawValue)
    }
  }
}
