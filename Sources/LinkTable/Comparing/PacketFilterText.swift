/// What the tools of packet filters write.
public enum PacketFilterText {
  /// Whether there is more than empty tables with chains that accept.
  public static func hasRules(_ bytes: [UInt8]) -> Bool {
    rules(bytes).contains { line in
      let words = line.split(separator: " ")
      return !(line.hasPrefix("*") || line == "COMMIT" || words.count > 1 && words[1] == "ACCEPT")
    }
  }

  /// What takes away the rules that were loaded where there were none.
  public static func clearing(_ filter: PacketFilter, _ rules: [UInt8]) -> [UInt8] {
    if filter == .nftables { return Array("flush ruleset\n".utf8) }
    // Tables are replaced as a whole; chains with a policy are the kernel's own.
    var text = ""
    for line in String(decoding: rules, as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ")
      if line.hasPrefix("*") || line == "COMMIT" {
        text += line + "\n"
      } else if line.hasPrefix(":"), words.count > 1, words[1] != "-" {
        text += "\(words[0]) ACCEPT [0:0]\n"
      }
    }
    return Array(text.utf8)
  }

  /// The lines without comments, counters and what CRIU locks networks with.
  static func rules(_ bytes: [UInt8]) -> Set<String> {
    var lines: Set<String> = []
    for line in withoutLocks(bytes).split(separator: 0x0A) {
      var text = String(decoding: line, as: UTF8.self)
      if text.hasPrefix("#") { continue }
      if text.hasPrefix(":"), let counters = text.lastIndex(of: "[") {
        text = String(text[..<counters])
      }
      let words = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
      if words.count > 1 { lines.insert(words) }
    }
    return lines
  }

  /// CRIU saves while chains of its own, called CRIU, keep packets out: these are not the container's.
  static func withoutLocks(_ bytes: [UInt8]) -> [UInt8] {
    var kept: [UInt8] = []
    var end: [UInt8]?
    for line in bytes.split(separator: 0x0A, omittingEmptySubsequences: false) {
      let indent = Array(line.prefix { $0 == 0x09 || $0 == 0x20 })
      let words = line.split(whereSeparator: { $0 == 0x09 || $0 == 0x20 }).map {
        String(decoding: $0, as: UTF8.self)
      }
      if end == nil {
        switch words.prefix(3) {
        case ["chain", "CRIU", "{"], ["table", "inet", "CRIU"]: end = indent + [0x7D]
        default:
          let isLock =
            words.first == ":CRIU" || words.starts(with: ["-A", "CRIU"])
            || ["jump", "-j"].contains(words.dropLast().last) && words.last == "CRIU"
          if !isLock { kept += Array(line) + [0x0A] }
        }
      } else if let last = end, Array(line) == last {
        end = nil
      }
    }
    if bytes.last != 0x0A, kept.last == 0x0A { kept.removeLast() }
    return kept
  }
}

extension RecordKind {
  /// A record for people: `route 10.0.0.0/24 link eth0`.
  public func text(_ record: NetlinkRecord, _ names: [Int32: String]) -> String {
    let family = record.header.first ?? 0
    func address(_ type: UInt16) -> String? {
      record.attributes[type].map { Self.address($0.payload) }
    }
    var words = [noun]
    switch self {
    case .addresses:
      words.append("\(address(2) ?? address(1) ?? "?")/\(record.header[1])")
    case .routes:
      words.append(
        (address(1) ?? (family == 2 ? "0.0.0.0" : "::")) + "/\(record.header[1])")
      if let gateway = address(5) { words += ["via", gateway] }
      words.append("table \(record.attributes[15]?.u32 ?? UInt32(record.header[4]))")
    case .rules:
      words.append("\(record.attributes[6]?.u32 ?? 0) of \(family == 2 ? "IPv4" : "IPv6")")
    case .nextHops: words.append("\(record.attributes[1]?.u32 ?? 0)")
    case .neighbours: words.append(address(1) ?? "?")
    case .forwarding: words.append(record.attributes[2].map { hardwareAddress($0.payload) } ?? "?")
    }
    for index in links(record) { words.append("link \(names[index] ?? "\(index)")") }
    return words.joined(separator: " ")
  }

  private static func address(_ bytes: [UInt8]) -> String {
    if bytes.count == 4 { return bytes.map { "\($0)" }.joined(separator: ".") }
    return stride(from: 0, to: bytes.count - 1, by: 2).map {
      String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
    }.joined(separator: ":")
  }
}
