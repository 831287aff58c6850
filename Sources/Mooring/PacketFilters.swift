import CMooring
import Glibc
import LinkTable
import LinuxKernel
import RestorePlan
import SystemPackage

/// Rules of packet filters, by the tools that own their formats: `nft`, `iptables-save` and its kin.
enum PacketFilters {
  private static func missing(_ filter: PacketFilter, _ tool: String) -> Finding {
    let package = filter == .nftables ? "nftables" : "iptables"
    return Finding(
      "the network has rules of \(filter.rawValue), and \(tool) is not installed",
      cures: ["apt-get install \(package)"])
  }

  /// Saves the rules of the filters that a namespace uses.
  static func read(
    _ place: NetworkPlace, _ table: inout NetworkTable
  ) throws -> [Finding] {
    var findings: [Finding] = []
    for filter in try place.filtersInUse() {
      guard let tool = FilterProgram.installed(filter, saving: true) else {
        findings.append(missing(filter, FilterProgram.commands(filter, saving: true).last![0]))
        continue
      }
      table.packetFilters[filter] = try place.run(tool, input: [])
    }
    return findings
  }

  /// What is missing for loading these rules here, and what in them is not loaded.
  static func findings(_ networks: [SavedNetwork]) -> [Finding] {
    let faults = networks.enumerated().flatMap { number, network in
      PacketFilterInspection.findings(
        network.table, of: number == 0 ? "the network" : "nested network \(number)")
    }
    return faults
      + Set(networks.flatMap { $0.table.packetFilters.keys }).sorted { $0.rawValue < $1.rawValue }
      .filter { FilterProgram.installed($0, saving: false) == nil }
      .map { missing($0, FilterProgram.commands($0, saving: false).last![0]) }
  }

  /// Rules that are in a namespace already, of a filter whose rules are to be loaded there.
  static func clashes(_ saved: SavedNetwork, _ place: NetworkPlace) throws -> [Finding] {
    var now = NetworkTable()
    var findings = try read(place, &now)
    for (filter, rules) in now.packetFilters
    where saved.table.packetFilters[filter] != nil && PacketFilterText.hasRules(rules) {
      findings.append(
        Finding(
          "\(place.name) has rules of \(filter.rawValue) already",
          cures: ["take them away there, or restore into another namespace"]))
    }
    return findings
  }

  /// Takes rules away that were loaded where there were none.
  static func clear(_ filter: PacketFilter, _ rules: [UInt8], _ place: NetworkPlace) throws {
    // Whoever never came so far has loaded none.
    guard try place.filtersInUse().contains(filter) else { return }
    try load(filter, PacketFilterText.clearing(filter, rules), place)
  }

  static func load(_ filter: PacketFilter, _ rules: [UInt8], _ place: NetworkPlace) throws {
    guard let tool = FilterProgram.installed(filter, saving: false) else {
      throw EngineFailure(.failed, "restore: \(missing(filter, filter.rawValue))")
    }
    // Whatever the plan says.
    let links = Set(try NetworkReader.links(place).map(\.name))
    if let fault = PacketFilterInspection.faults(filter, rules, links: links).first {
      throw EngineFailure(
        .failed,
        "restore: load the rules of \(filter.rawValue) into \(place.name): line \(fault.line): "
          + "\(fault.reason); nothing was given to \(tool[0])")
    }
    _ = try place.run(tool, input: rules)
  }
}
