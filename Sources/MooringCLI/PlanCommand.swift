import ArgumentParser
import Mooring
import RestorePlan

/// What a restore and its plan are told alike.
struct RestoreSourceOptions: ParsableArguments {
  @Option(
    name: [.customShort("D"), .long],
    help: ArgumentHelp("The folder of images.", valueName: "dir"))
  var imagesDir: String

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "The directory that becomes the root of the container: a copy of its root file system.",
      valueName: "dir"))
  var root: String?

  @OptionGroup var plugins: PluginFolderOptions
  @OptionGroup var mappings: MountMappingOptions

  func options() throws -> RestoreOptions {
    var options = RestoreOptions(images: imagesDir, root: root, plugins: plugins.options)
    options.mounts = try mappings.options(atDump: false)
    return options
  }
}

struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Show what a restore would do, step by step; change nothing.",
    discussion: """
      Takes the options of a restore. No plugin is loaded: where one would be asked, the plan \
      says so. #N names a slot in which a step leaves a mount for later ones; "mount N" is the \
      mount ID that the saved container knew.

      Exit status: 0; 1 where the images cannot be read; 2 where a restore would be refused, \
      with all problems listed.

      Example:
        mooring plan -D images -r rootfs --external 'mnt[data]:/srv/data'
      """)

  @OptionGroup var source: RestoreSourceOptions
  @OptionGroup var log: LogOptions
  @Flag(help: "Print the plan as JSON.") var json = false

  mutating func run() throws {
    let plan = try RestoreOperation(source.options(), log: log.logger()).plan()
    if json {
      try Report.json(plan)
    } else {
      Report.lines(plan.steps.enumerated().map { "\($0 + 1). \($1)" })
      for finding in plan.findings where finding.severity == .note {
        Report.complain("note: \(finding)")
      }
    }
    if !plan.problems.isEmpty {
      Report.failure(
        EngineFailure(
          .refused, "plan: the images cannot be restored like this", findings: plan.findings))
      throw CommandStatus(code: EngineFailure.Status.refused.rawValue)
    }
  }
}
