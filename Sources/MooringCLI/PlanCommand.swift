import ArgumentParser
import FileTable
import LinkTable
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

  @Flag(
    help: ArgumentHelp(
      "What comes from a place on the host that is read-only, nosuid, nodev, noexec or nosymfollow gets "
        + "the flags that were saved, also where those are looser."))
  var allowLooserFlags = false

  @OptionGroup var plugins: PluginFolderOptions
  @OptionGroup var mappings: MountMappingOptions
  @OptionGroup var leaveOut: LeaveOutOption

  @Option(
    help: ArgumentHelp(
      "The older spelling of --external 'veth[IN]:OUT'; may be repeated.", valueName: "in=out"))
  var vethPair: [String] = []

  @OptionGroup var files: OpenFileOptions
  @OptionGroup var scripts: ScriptOptions
  @OptionGroup var parts: PartsOption

  func linkOptions() throws(OptionError) -> LinkOptions {
    var options = try mappings.linkOptions(leaveOut)
    for text in vethPair { options.external.append(try LinkOption(parsingPair: text)) }
    return options
  }

  /// Files of network namespaces by key.
  private func networkFiles(_ links: LinkOptions) throws(OptionError) -> [String: String] {
    var files: [String: String] = [:]
    for case .networkForKey(let key, let path) in links.external { files[key] = path }
    return files
  }

  func options() throws -> RestoreOptions {
    var options = RestoreOptions(images: imagesDir, root: root, plugins: plugins.options)
    options.mounts = try mappings.options(atDump: false)
    options.mounts.allowsLooserFlags = allowLooserFlags
    options.links = try linkOptions()
    options.mounts.leftOut = options.links.leftOut
    options.networkFiles = try networkFiles(options.links)
    options.files = try files.options(mappings.external)
    if let option = options.files.inherited.first(where: { $0.pid != nil }) {
      throw OptionError("--inherit-fd '\(option)': at restore N is a descriptor of mooring's own")
    }
    // Before mooring opens a file, the log among them.
    options.inherited = InheritedFiles(
      options.files.inherited.map(\.number), closesOriginals: true)
    options.parts = try parts.parts()
    options.scripts = scripts.scripts
    return options
  }
}

struct PlanCommand: SupervisedCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Show what a restore would do, step by step; change nothing.",
    discussion: """
      Takes the options of a restore. No plugin is loaded: where one would be asked, the plan \
      says so. Open files are planned as for a restore with COMMAND. #N names a slot in which a step leaves a mount for later ones; "mount N" is the \
      mount ID that the saved container knew.

      Exit status: 0; 1 where the images cannot be read; 2 where a restore would be refused, \
      with all problems listed.

      Examples:
        mooring plan -D images -r rootfs --external 'mnt[data]:/srv/data'
        mooring plan -D images --only links --netns blue
      """)

  @OptionGroup var source: RestoreSourceOptions
  @OptionGroup var log: LogOptions
  @OptionGroup var limit: TimeLimitOptions
  @Flag(help: "Print the plan as JSON.") var json = false

  /// The plan of the mounts, with the steps and findings of the links beside it.
  private struct Result: Encodable {
    var mounts: RestorePlan?
    var links: LinkPlan
    var files: FilePlan

    enum Key: String, CodingKey {
      case linkSteps, linkFindings, fileSteps, fileFindings
    }

    func encode(to encoder: any Encoder) throws {
      try mounts?.encode(to: encoder)
      var container = encoder.container(keyedBy: Key.self)
      try container.encode(links.steps.map { "\($0)" }, forKey: .linkSteps)
      try container.encode(links.findings, forKey: .linkFindings)
      try container.encode(files.steps.map { "\($0)" }, forKey: .fileSteps)
      try container.encode(files.findings, forKey: .fileFindings)
    }
  }

  @Option(
    help: ArgumentHelp(
      "With --only links: the steps of a restore into this network namespace.", valueName: "name"))
  var netns: String?

  func validate() throws {
    guard (netns != nil) == (source.parts.only == "links") else {
      throw ValidationError("--only links wants --netns NAME, and the reverse.")
    }
  }

  private func plans() throws -> (mounts: RestorePlan?, links: LinkPlan, files: FilePlan) {
    guard let netns else {
      let plan = try RestoreOperation(source.options(), log: log.logger()).plan()
      return (plan.mounts, plan.links, plan.files)
    }
    var options = LinkRestoreOptions(images: source.imagesDir, namespace: netns)
    options.links = try source.linkOptions()
    options.scripts = source.scripts.scripts
    return (nil, try LinkRestoreOperation(options, log: log.logger()).plan(), FilePlan())
  }

  mutating func run() throws {
    let plan = try plans()
    let findings = (plan.mounts?.findings ?? []) + plan.links.findings + plan.files.findings
    if json {
      try Report.json(Result(mounts: plan.mounts, links: plan.links, files: plan.files))
    } else {
      // Links come first: the namespaces are there, and the mounts are not needed for them.
      // Files come last, for COMMAND.
      let steps =
        plan.links.steps.map { "\($0)" } + (plan.mounts?.steps ?? []).map { "\($0)" }
        + plan.files.steps.map { "\($0)" }
      Report.lines(steps.enumerated().map { "\($0 + 1). \($1)" })
      for finding in findings where finding.severity == .note {
        Report.complain("note: \(finding)")
      }
    }
    if findings.contains(where: { $0.severity == .problem }) {
      Report.failure(
        EngineFailure(
          .refused, "plan: the images cannot be restored like this", findings: findings))
      throw CommandStatus(code: EngineFailure.Status.refused.rawValue)
    }
  }
}
