import LinkTable
import LinuxKernel
import PluginHost
import RestorePlan

/// Reading and classifying the networks of a container.
enum NetworkFacts {
  /// - Parameter places: the container's own namespace first.
  static func classify(
    _ places: [NetworkPlace], _ options: LinkOptions, _ chain: PluginChain?,
    withKeys: Bool = false
  ) throws -> LinkClassification {
    var findings: [Finding] = []
    let namespaces = try places.map { place in
      var facts = (table: NetworkTable(), findings: [Finding]())
      if options.key(ofNetwork: place.inode) == nil {
        facts = try table(place, among: places, withKeys: withKeys)
        facts.table = facts.table.leavingOut(options.leftOut)
        // What the restore would refuse.
        facts.findings += PacketFilterInspection.findings(facts.table, of: place.name)
      }
      findings += facts.findings
      return LinkClassifier.Namespace(inode: place.inode, table: facts.table)
    }
    let classifier = LinkClassifier(options: options) { link in
      try chain?.dumpExternalLink(
        index: link.index, type: Int32(link.type), kind: link.kind ?? "")
    }
    var classification = try classifier.classify(namespaces)
    classification.findings += findings
    return classification
  }

  /// A network as it is to be compared with a saved one: settings of links that are read only where they
  /// are their own are read where they were saved.
  static func table(_ place: NetworkPlace, for saved: SavedNetwork) throws -> NetworkTable {
    var table = try table(place).table
    let known = Set(table.sysctls.map(\.path))
    for setting in saved.table.sysctls where !known.contains(setting.path) {
      if let value = try place.setting(setting.path) {
        table.sysctls.append(Sysctl(path: setting.path, value: value))
      }
    }
    return table
  }

  /// A network with the rules of its packet filters.
  ///
  /// - Returns: findings where a tool is missing that these take.
  static func table(
    _ place: NetworkPlace, among others: [NetworkPlace] = [], withKeys: Bool = false
  ) throws -> (table: NetworkTable, findings: [Finding]) {
    var table = try NetworkReader.table(place, among: others, withKeys: withKeys)
    let findings = try PacketFilters.read(place, &table)
    return (table, findings)
  }
}
