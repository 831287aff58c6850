import RestorePlan

/// A place in the rules of a packet filter that a restore does not hand to the tool that loads them.
public struct PacketFilterFault: Hashable, Sendable {
  /// From 1 on.
  public var line: Int
  /// What stands there, as the end of a sentence.
  public var reason: String

  public init(line: Int, _ reason: String) {
    self.line = line
    self.reason = reason
  }
}

/// Looks at rules of packet filters before they are given to `nft` or `iptables-restore`, which run with the
/// engine's rights and would read files, or run programs, where rules say so.
///
/// Pure, and stricter than the tools: what their `list` and `save` write passes, and whatever these would never
/// write does not. A text that the tools would read otherwise than it is read here is refused: quotes that do not
/// end, lines that go on, characters that neither prints.
///
/// Not for judging what the rules do to packets: that stays in the namespace.
public enum PacketFilterInspection {
  /// The most faults that are worth listing.
  static let most = 8

  /// - Parameters:
  ///   - rules: the text that will be loaded, to the byte.
  ///   - links: names of the links of the namespace.
  /// - Returns: none where all is well; O(n).
  public static func faults(
    _ filter: PacketFilter, _ rules: [UInt8], links: Set<[UInt8]>
  ) -> [PacketFilterFault] {
    switch filter {
    case .nftables: NftInspection.faults(rules, links)
    case .iptables, .ip6tables: IptablesInspection.faults(rules)
    }
  }

  /// What is wrong with the rules of a network, for a dump or a plan.
  public static func findings(_ table: NetworkTable, of network: String) -> [Finding] {
    let links = Set(table.links.map(\.name))
    return table.packetFilters.sorted { $0.key.rawValue < $1.key.rawValue }.flatMap {
      filter, rules in
      let loaded = filter == .nftables ? PacketFilterText.withoutLocks(rules) : rules
      return faults(filter, loaded, links: links).prefix(most).map {
        Finding(
          "the rules of \(filter.rawValue) of \(network), line \($0.line): \($0.reason)",
          cures: ["take that rule away before the dump"])
      }
    }
  }
}
