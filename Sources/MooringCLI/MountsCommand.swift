import ArgumentParser
import Mooring
import MountTable
import RestorePlan

struct MountsCommand: SupervisedCommand {
  static let configuration = CommandConfiguration(
    commandName: "mounts",
    abstract: "Show a mount tree, classified: what comes from outside, and what settles it.",
    discussion: """
      Of a running container (-t), of a text in the format of /proc/PID/mountinfo (--file, - for \
      standard input), or of images (-D). Nothing is changed. A text can be looked at without root.

      A line for each mount: its path, file system, propagation, flags, and how a restore comes by \
      it. A number is a mount ID of /proc/PID/mountinfo (column 1) or a peer group.
        root                 the directory given with -r
        new                  a file system that is made anew
        bind of N            a part of what mount N shows
        external KEY         what --external names for KEY
        external from PATH   found at PATH of the host (--external 'mnt[]')
        external by plugin   a plugin answers for it (-L)
        device KEY           the device that --external names for KEY
        namespace file (K)   a file of the container's own namespace
        unsupported          nothing explains it yet: see the problem below

      The problems that a dump would find follow on standard error, each with the options that \
      settle it. Mappings and plugins are the same as for a dump: try them out here.

      Exit status: 0 (with problems too); 1 where the tree cannot be read or a plugin fails.

      Examples:
        mooring mounts -t 4711
        mooring mounts -t 4711 --external 'mnt[/data]:data' -L plugins
        mooring mounts --file /proc/self/mountinfo
      """)

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("A process of the container, by its PID here.", valueName: "pid"))
  var tree: Int32?

  @Option(
    help: ArgumentHelp(
      "A text in the format of mountinfo; - reads standard input.", valueName: "path")
  )
  var file: String?

  @Option(
    name: [.customShort("D"), .long],
    help: ArgumentHelp("A folder of images.", valueName: "dir"))
  var imagesDir: String?

  @OptionGroup var plugins: PluginFolderOptions
  @OptionGroup var mappings: MountMappingOptions
  @OptionGroup var log: LogOptions
  @OptionGroup var limit: TimeLimitOptions
  @Flag(help: "Print JSON on standard output.") var json = false

  func validate() throws {
    let sources = [tree != nil, file != nil, imagesDir != nil].filter { $0 }
    guard sources.count == 1 else {
      throw ValidationError("Give one of -t PID, --file MOUNTINFO and -D DIR.")
    }
  }

  private struct Row: Encodable {
    var mount: Mount
    var kind: MountKind
  }

  private struct Result: Encodable {
    var mounts: [Row]
    var findings: [Finding]
  }

  mutating func run() throws {
    let source: MountsOperation.Source =
      if let tree { .process(tree) } else if let file { .file(file) } else {
        .images(imagesDir ?? ".")
      }
    let operation = MountsOperation(
      source, mounts: try mappings.options(atDump: true), plugins: plugins.options,
      log: try log.logger())
    let found = try operation.run()
    if json {
      try Report.json(
        Result(
          mounts: zip(found.table.mounts, found.kinds).map { Row(mount: $0, kind: $1) },
          findings: found.findings))
      return
    }
    Report.lines(MountListing.lines(found))
    for finding in found.findings {
      Report.complain("\(finding.severity.rawValue): \(finding)")
    }
  }
}

/// The tree as columns.
enum MountListing {
  static func lines(_ found: Classification) -> [String] {
    let table = found.table
    let paths = renderTree(table) { "\($0.mountPoint)" }
    let order = table.preorder
    let width = min(paths.map(\.utf8.count).max() ?? 0, 44)
    var lines: [String] = []
    lines.reserveCapacity(order.count)
    for (path, index) in zip(paths, order) {
      let mount = table.mounts[index]
      var line = path
      let room = width - path.count
      if room > 0 { line += String(repeating: " ", count: room) }
      line += "  "
      line += "\(mount.fileSystem)"
      line += "  "
      line += propagation(mount)
      line += "  "
      line += "\(mount.attributes)"
      line += "  "
      line += "\(found.kinds[index])"
      lines.append(line)
    }
    return lines
  }

  private static func propagation(_ mount: Mount) -> String {
    if mount.isUnbindable { return "unbindable" }
    switch (mount.peerGroup, mount.master) {
    case (nil, nil): return "private"
    case (let group?, nil): return "shared:\(group)"
    case (nil, let master?): return "slave:\(master)"
    case (let group?, let master?): return "shared:\(group),slave:\(master)"
    }
  }
}
