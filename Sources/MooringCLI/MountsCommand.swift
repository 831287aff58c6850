import ArgumentParser
import Mooring
import MountTable
import RestorePlan

struct MountsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mounts",
    abstract: "Show a mount tree, classified: what comes from outside, and what settles it.",
    discussion: """
      Of a running container (-t), of a text in the format of /proc/PID/mountinfo (--file, - for \
      standard input), or of images (-D).

      Example: mooring mounts -t 4711
      """)

  @Option(name: .shortAndLong, help: ArgumentHelp("A process of the container.", valueName: "pid"))
  var tree: Int32?

  @Option(help: ArgumentHelp("A text in the format of mountinfo.", valueName: "path"))
  var file: String?

  @Option(
    name: [.customShort("D"), .long],
    help: ArgumentHelp("A folder of images.", valueName: "dir"))
  var imagesDir: String?

  @OptionGroup var plugins: PluginFolderOptions
  @OptionGroup var mappings: MountMappingOptions
  @OptionGroup var log: LogOptions
  @Flag(help: "Print JSON.") var json = false

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
