/// What `nft -f` is not given: see `PacketFilterInspection`.
///
/// ```
/// statement:  ("table" | "add" | "create" | "insert" | "flush") … (newline | ";" | "{" … "}")
/// token:      word | "quoted" | symbol
/// ```
///
/// Words of the language that read files or make variables are found anywhere outside of quotes and comments: they
/// are reserved, so that nothing can be called like them.
struct NftInspection {
  private enum Token: Hashable {
    case word([UInt8])
    case quoted([UInt8])
    case symbol(UInt8)
    case newline
  }

  private static let statements = Set(
    ["table", "add", "create", "insert", "flush"].map { Array($0.utf8) })
  private static let reserved = ["include", "define", "redefine", "undefine"].map {
    Array($0.utf8)
  }
  private static let deepest = 32

  private let bytes: [UInt8]
  private let links: Set<[UInt8]>
  private var position = 0
  private var line = 1
  private var faults: [PacketFilterFault] = []

  static func faults(_ bytes: [UInt8], _ links: Set<[UInt8]>) -> [PacketFilterFault] {
    var inspection = NftInspection(bytes: bytes, links: links)
    inspection.run()
    return inspection.faults
  }

  private init(bytes: [UInt8], links: Set<[UInt8]>) {
    self.bytes = bytes
    self.links = links
  }

  private mutating func run() {
    var depth = 0
    var isAtStart = true
    while faults.count < PacketFilterInspection.most, let token = next() {
      switch token {
      case .newline, .symbol(0x3B):
        if depth == 0 { isAtStart = true }
        continue
      case .symbol(0x7B):
        if depth == 0, isAtStart { fault("no statement begins with a brace") }
        depth += 1
        if depth > Self.deepest { return fault("braces lie too deep") }
      case .symbol(0x7D):
        depth -= 1
        if depth < 0 { return fault("a brace ends what none began") }
        isAtStart = depth == 0
        continue
      case .word(let word):
        if depth == 0, isAtStart, !Self.statements.contains(word) {
          fault("\"\(text(word))\" is no statement of a saved ruleset")
        }
        check(word)
      case .quoted, .symbol:
        if depth == 0, isAtStart { fault("no statement begins like this") }
      }
      isAtStart = false
    }
    if depth > 0 { fault("a brace does not end") }
  }

  private mutating func check(_ word: [UInt8]) {
    if let reserved = Self.reserved.first(where: { Self.isRead(word, as: $0) }) {
      fault("\"\(text(reserved))\" reads files or makes variables, which saved rules do not")
    } else if word.elementsEqual("device".utf8) || word.elementsEqual("devices".utf8) {
      checkDevices()
    }
  }

  /// Whether the tool would see this keyword in a run of letters, digits, `.`, `_`, `/` and `-`. A name begins
  /// with a letter, `.` or `_`; of a run that begins otherwise the tool takes a number or a sign first.
  private static func isRead(_ word: [UInt8], as keyword: [UInt8]) -> Bool {
    guard let first = word.first, !isNameStart(first) else { return word == keyword }
    return word.split(whereSeparator: { $0 == 0x2D || $0 == 0x2F }).contains {
      $0.suffix(keyword.count).elementsEqual(keyword)
    }
  }

  /// `device NAME`, `devices = { NAME, … }`: of links of the namespace; a pattern takes what there is.
  private mutating func checkDevices() {
    var isList = false
    while let token = next() {
      switch token {
      case .symbol(0x3D) where !isList: continue
      case .newline where isList: continue
      case .symbol(0x7B) where !isList: isList = true
      case .symbol(0x2C) where isList: continue
      case .symbol(0x7D) where isList: return
      case .word(let name), .quoted(let name):
        if name.last != 0x2A, !links.contains(name) {
          fault("it names the device \"\(text(name))\", and no link of the network is called so")
        }
        // The star of a pattern is a sign of its own.
        if !isList { return }
      case .symbol(0x2A) where isList: continue
      default: return fault("what follows \"device\" is no name")
      }
    }
    fault("a list of devices does not end")
  }

  // MARK: Tokens

  private mutating func next() -> Token? {
    while position < bytes.count {
      let byte = bytes[position]
      switch byte {
      case 0x20, 0x09: position += 1
      case 0x0A:
        position += 1
        line += 1
        return .newline
      case 0x23:  // A comment ends with its line, whatever stands before that.
        while position < bytes.count, bytes[position] != 0x0A { position += 1 }
      case 0x22: return quoted()
      case _ where Self.isWordByte(byte): return word()
      case 0x5C where position + 1 < bytes.count && bytes[position + 1] == 0x2A:
        position += 2  // A star that is meant as such.
        return .symbol(0x2A)
      case 0x24, 0x5C, 0x60, ...0x1F, 0x7F...:
        fault("a character stands there that no saved rules have outside of quotes")
        position = bytes.count
      default:
        position += 1
        return .symbol(byte)
      }
    }
    return nil
  }

  private mutating func word() -> Token {
    let start = position
    while position < bytes.count, Self.isWordByte(bytes[position]) { position += 1 }
    return .word(Array(bytes[start..<position]))
  }

  /// There is no escape: the next quote ends it.
  private mutating func quoted() -> Token? {
    let start = position + 1
    let first = line
    position += 1
    while position < bytes.count, bytes[position] != 0x22 {
      if bytes[position] == 0x0A { line += 1 }
      if bytes[position] == 0 { break }
      position += 1
    }
    guard position < bytes.count, bytes[position] == 0x22 else {
      faults.append(PacketFilterFault(line: first, "a quoted text does not end"))
      position = bytes.count
      return nil
    }
    position += 1
    return .quoted(Array(bytes[start..<(position - 1)]))
  }

  private static func isNameStart(_ byte: UInt8) -> Bool {
    (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F || byte == 0x2E
  }

  private static func isWordByte(_ byte: UInt8) -> Bool {
    isNameStart(byte) || (0x2D...0x39).contains(byte)
  }

  private mutating func fault(_ reason: String) {
    faults.append(PacketFilterFault(line: line, reason))
  }

  private func text(_ word: [UInt8]) -> String { printable(Array(word.prefix(64))) }
}
