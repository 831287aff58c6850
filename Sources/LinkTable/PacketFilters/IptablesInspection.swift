/// What `iptables-restore` is not given: see `PacketFilterInspection`.
///
/// ```
/// # comment
/// *table
/// :CHAIN POLICY [packets:bytes]
/// [packets:bytes] -A CHAIN option…
/// COMMIT
/// ```
///
/// A line of rules is a command line: it could name a program to load modules with (`--modprobe`), an object
/// in a file (`--object-pinned`), or matches and targets that make files of the machine's. So options of the command
/// itself are those that a saved rule has, and matches and targets those that are known to stay in the namespace.
struct IptablesInspection {
  /// Longer lines are cut in pieces by some versions, each of which is then a line.
  private static let longestLine = 8000

  private static let tables = words("filter nat mangle raw security")
  private static let options = words("-s -d -p -i -o -f -m -j -g -c -4 -6")
  /// What the command itself would do for these is not for a rule; it takes abbreviations too.
  private static let refused = [
    "--modprobe", "--table", "--wait", "--wait-interval", "--append", "--delete", "--check",
    "--insert", "--replace", "--list", "--list-rules", "--flush", "--zero", "--new-chain",
    "--delete-chain", "--policy", "--rename-chain", "--exact", "--line-numbers", "--numeric",
    "--verbose", "--version", "--help", "--object-pinned",
  ].map { Array($0.utf8) }
  /// Each takes a text, whatever that begins with.
  private static let textual = words(
    "--comment --log-prefix --nflog-prefix --ulog-prefix --string --hex-string")

  private static let matches = words(
    """
    addrtype ah bpf cgroup cluster comment connbytes connlabel connlimit connmark conntrack cpu dccp devgroup \
    dscp dst ecn esp eui64 frag hashlimit hbh helper hl icmp icmp6 icmpv6 iprange ipv6-icmp \
    ipv6header ipvs length limit mac mark mh multiport nfacct osf owner physdev pkttype policy quota rateest \
    realm recent rpfilter rt sctp set socket srh state statistic string tcp tcpmss time tos ttl \
    u32 udp udplite
    """)
  private static let targets = words(
    """
    ACCEPT DROP QUEUE RETURN AUDIT CHECKSUM CLASSIFY CONNMARK CONNSECMARK CT DNAT DNPT DSCP ECN HL HMARK \
    LOG MARK MASQUERADE NETMAP NFLOG NFQUEUE NOTRACK RATEEST REDIRECT REJECT SECMARK SET SNAT \
    SNPT SYNPROXY TCPMSS TCPOPTSTRIP TEE TOS TPROXY TRACE TTL
    """)
  /// Targets that make what the whole machine has: a chain with such a name would stand for them.
  private static let machines = words("LED IDLETIMER CLUSTERIP SYSRQ ACCOUNT ECHO")
  private static let policies = words("ACCEPT DROP QUEUE RETURN -")

  private static func words(_ text: String) -> Set<[UInt8]> {
    Set(text.split(separator: " ").map { Array($0.utf8) })
  }

  private var faults: [PacketFilterFault] = []
  private var line = 0
  private var isInTable = false
  private var chains: Set<[UInt8]> = []

  static func faults(_ bytes: [UInt8]) -> [PacketFilterFault] {
    var inspection = IptablesInspection()
    for line in bytes.split(separator: 0x0A, omittingEmptySubsequences: false) {
      if inspection.faults.count >= PacketFilterInspection.most { break }
      inspection.add(line)
    }
    if inspection.isInTable, inspection.faults.isEmpty {
      inspection.fault("a table lacks its COMMIT")
    }
    return inspection.faults
  }

  private mutating func add(_ text: ArraySlice<UInt8>) {
    line += 1
    if text.isEmpty { return }
    if text.count > Self.longestLine { return fault("the line is too long") }
    if text.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F }) {
      return fault("a character stands there that no saved rules have")
    }
    switch text.first {
    case 0x23: break
    case 0x2A:
      chains = []
      if isInTable { fault("the table before lacks its COMMIT") }
      isInTable = true
      if !Self.tables.contains(trimmed(text.dropFirst())) { fault("there is no such table") }
    case _ where trimmed(text).elementsEqual("COMMIT".utf8):
      if !isInTable { fault("no table has begun") }
      isInTable = false
    case 0x3A: addChain(text.dropFirst())
    case 0x2D, 0x5B: addRule(text)
    default: fault("it is neither a table, a chain nor a rule")
    }
  }

  private func trimmed(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var text = text
    while text.last == 0x20 { text.removeLast() }
    return Array(text)
  }

  private mutating func addChain(_ text: ArraySlice<UInt8>) {
    let words = text.split(separator: 0x20).map { Array($0) }
    guard isInTable, (2...3).contains(words.count), words[0].first != 0x2D,
      Self.policies.contains(words[1]), words.count == 2 || Self.isCounter(words[2])
    else { return fault("it is no chain: \"NAME POLICY [packets:bytes]\"") }
    if Self.machines.contains(words[0]) || words[0].contains(0x2F) {
      fault("a chain \"\(shown(words[0]))\" would be taken for more than a chain")
    }
    chains.insert(words[0])
  }

  private static func isCounter(_ word: [UInt8]) -> Bool {
    guard word.first == 0x5B, word.last == 0x5D else { return false }
    let numbers = word.dropFirst().dropLast().split(
      separator: 0x3A, omittingEmptySubsequences: false)
    return numbers.count == 2
      && numbers.allSatisfy { !$0.isEmpty && $0.allSatisfy { (0x30...0x39).contains($0) } }
  }

  private mutating func addRule(_ text: ArraySlice<UInt8>) {
    guard isInTable else { return fault("no table has begun") }
    guard var words = Self.arguments(text) else {
      return fault("quotes stand there as no saved rules have them")
    }
    if words.first.map(Self.isCounter) ?? false { words.removeFirst() }
    guard words.count >= 2, words[0].elementsEqual("-A".utf8), words[1].first != 0x2D else {
      return fault("a rule begins with -A CHAIN")
    }
    var place = 2
    while place < words.count {
      let word = words[place]
      let value = place + 1 < words.count ? words[place + 1] : nil
      place += 1
      guard word.first == 0x2D else { continue }
      if Self.textual.contains(word) {
        place += 1
        continue
      }
      if word.starts(with: [0x2D, 0x2D]) {
        checkLong(word, value)
      } else if !Self.options.contains(word) {
        fault("the option \"\(shown(word))\" is not one of a saved rule")
      } else {
        check(word, value)
      }
    }
  }

  private mutating func checkLong(_ word: [UInt8], _ value: [UInt8]?) {
    let name = Array(word.prefix { $0 != 0x3D })
    // "--to" is an option of its own; what is shorter stands for anything.
    if name.count < 4 || Self.refused.contains(where: { $0.starts(with: name) }) {
      fault("the option \"\(shown(name))\" is not one of a saved rule, or names a file")
    }
    for (long, short) in [("--match", "-m"), ("--jump", "-j"), ("--goto", "-g")]
    where Array(long.utf8).starts(with: name) {
      fault("a saved rule says \(short) for \"\(shown(name))\"")
    }
    if let value, value.contains(0x2F),
      name.elementsEqual("--name".utf8) || name.elementsEqual("--hashlimit-name".utf8)
    {
      fault("\"\(shown(value))\" would be a file of /proc elsewhere")
    }
  }

  private mutating func check(_ option: [UInt8], _ value: [UInt8]?) {
    switch option[1] {
    case 0x6D where !Self.matches.contains(value ?? []):
      fault("the match \"\(shown(value ?? []))\" is not known to stay in the namespace")
    case 0x6A where !Self.targets.contains(value ?? []) && !chains.contains(value ?? []):
      fault("the target \"\(shown(value ?? []))\" is not known to stay in the namespace")
    case 0x67 where !chains.contains(value ?? []):
      fault("there is no chain \"\(shown(value ?? []))\"")
    case 0x70 where (value ?? []).contains(0x2F):
      fault("there is no protocol \"\(shown(value ?? []))\"")
    default: break
    }
  }

  /// The arguments, as the tool splits them: by blanks; a quoted one with `\` before what is meant as such.
  /// `nil` where a quote stands within a word, or does not end with one.
  private static func arguments(_ text: ArraySlice<UInt8>) -> [[UInt8]]? {
    var words: [[UInt8]] = []
    var place = text.startIndex
    while place < text.endIndex {
      if text[place] == 0x20 || text[place] == 0x09 {
        place += 1
        continue
      }
      var word: [UInt8] = []
      if text[place] == 0x22 {
        place += 1
        while place < text.endIndex, text[place] != 0x22 {
          if text[place] == 0x5C { place += 1 }
          if place < text.endIndex { word.append(text[place]) }
          place += 1
        }
        guard place < text.endIndex else { return nil }
        place += 1
        if place < text.endIndex, text[place] != 0x20, text[place] != 0x09 { return nil }
      } else {
        while place < text.endIndex, text[place] != 0x20, text[place] != 0x09 {
          if [0x22, 0x27, 0x5C].contains(text[place]) { return nil }
          word.append(text[place])
          place += 1
        }
      }
      words.append(word)
    }
    return words
  }

  private mutating func fault(_ reason: String) {
    faults.append(PacketFilterFault(line: line, reason))
  }

  private func shown(_ word: [UInt8]) -> String { printable(Array(word.prefix(64))) }
}
