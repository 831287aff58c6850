import ArgumentParser
import LinkTable
import Mooring
import RestorePlan

struct LinksCommand: SupervisedCommand {
  static let configuration = CommandConfiguration(
    commandName: "links",
    abstract: "Show the network links of a container, classified.",
    discussion: """
      Of a running container (-t) with the network namespaces nested in it, of a named network \
      namespace (--netns, as ip netns names it, or a path), or of images (-D). Nothing is changed.

      A line for each link: its name and index, kind, how a restore comes by it, its state, and \
      the parameters of its kind.
        native               made again
        made by the kernel   comes with the namespace
        external by plugin   a plugin answers for it (-L); the setup-namespaces script brings it
        external KEY         a mapping brings it

      The problems that a dump would find follow on standard error, each with the options that \
      settle it.

      Exit status: 0 (with problems too); 1 where the links cannot be read or a plugin fails.

      Examples:
        mooring links -t 4711
        mooring links -t 4711 -L plugins
        mooring links --netns blue
      """)

  @OptionGroup var subject: SubjectOptions

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
    guard subject.count + (imagesDir == nil ? 0 : 1) == 1 else {
      throw ValidationError("Give one of -t PID, --netns NAME and -D DIR.")
    }
  }

  private struct Row: Encodable {
    var name: String
    var index: Int32
    var kind: String?
    var `class`: String
    var reason: String?
    var type: UInt16
    var isUp: Bool
    var mtu: UInt32?
    var address: String?
    var master: String?
    var lower: Int32?
    var lowerNamespace: Int32?
    var alternativeNames: [String]
    var parameters: [String: String]
  }

  private struct Network: Encodable {
    var inode: UInt64
    var key: String?
    var links: [Row]
  }

  private struct Result: Encodable {
    var networks: [Network]
    var findings: [Finding]
  }

  mutating func run() throws {
    let source: LinksOperation.Source =
      if let tree = subject.tree { .process(tree) } else if let netns = subject.netns {
        .network(netns)
      } else {
        .images(imagesDir ?? ".")
      }
    let found = try LinksOperation(
      source, links: try mappings.linkOptions(), plugins: plugins.options,
      log: try log.logger()
    ).run()
    let networks = zip(found.networks, found.verdicts).map { network, verdicts in
      Network(
        inode: network.inode, key: network.externalKey,
        links: zip(network.table.links, verdicts).map { row($0, $1, network.table) })
    }
    if json {
      try Report.json(Result(networks: networks, findings: found.findings))
      return
    }
    for (place, network) in networks.enumerated() {
      if place > 0 || network.key != nil {
        Report.lines([
          "network namespace \(network.inode)" + (network.key.map { ": external \($0)" } ?? "")
        ])
      }
      Report.lines(lines(network.links))
    }
    for finding in found.findings {
      Report.complain("\(finding.severity.rawValue): \(finding)")
    }
  }

  private func row(_ link: Link, _ verdict: LinkVerdict, _ table: NetworkTable) -> Row {
    let word =
      switch verdict.linkClass {
      case .native: "native"
      case .madeByKernel: "made by the kernel"
      case .externalByPlugin: "external by plugin"
      case .externalByKey(let key): "external \(key)"
      }
    return Row(
      name: link.displayName, index: link.index, kind: link.kind, class: word,
      reason: verdict.reason, type: link.type, isUp: link.isUp, mtu: link.mtu,
      address: link.address.map(hardwareAddress),
      master: link.master.flatMap { index in
        table.links.first { $0.index == index }?.displayName
      }, lower: link.lower, lowerNamespace: link.lowerNamespace,
      alternativeNames: link.alternativeNames.map { String(decoding: $0, as: UTF8.self) },
      parameters: Dictionary(
        LinkKind.parameters(of: link).map { ($0.name, $0.value) },
        uniquingKeysWith: { first, _ in first }))
  }

  private func lines(_ rows: [Row]) -> [String] {
    let names = rows.map { "\($0.name) (\($0.index))" }
    let width = names.map(\.utf8.count).max() ?? 0
    let kinds = rows.map { $0.kind ?? ($0.type == 772 ? "loopback" : "-") }
    let kindWidth = kinds.map(\.utf8.count).max() ?? 0
    return rows.indices.map { place in
      let row = rows[place]
      var line = padded(names[place], width) + "  " + padded(kinds[place], kindWidth) + "  "
      line += row.class + (row.reason.map { " (\($0))" } ?? "")
      line += row.isUp ? "  up" : "  down"
      if let mtu = row.mtu { line += " mtu \(mtu)" }
      if let address = row.address { line += " address \(address)" }
      if let master = row.master { line += " master \(master)" }
      if let lower = row.lower {
        line += " on \(lower)" + (row.lowerNamespace.map { " in namespace \($0)" } ?? "")
      }
      for (name, value) in row.parameters.sorted(by: { $0.key < $1.key }) {
        line += " \(name) \(value)"
      }
      return line
    }
  }

  private func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.utf8.count))
  }
}
