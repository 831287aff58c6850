import MountTable

/// A program of others that did not do what it was asked for.
public struct ToolFailure: Error, CustomStringConvertible {
  public var words: [String]
  /// As `waitpid` says it.
  public var status: Int32
  /// What its standard error says, on one line.
  public var text: String

  public init(words: [String], status: Int32, errors: [UInt8]) {
    self.words = words
    self.status = status
    text = Self.text(errors)
  }

  public var description: String {
    let how =
      status & 0x7F == 0
      ? "exited with \((status >> 8) & 0xFF)" : "ended by signal \(status & 0x7F)"
    return "\(words.joined(separator: " ")): \(how)" + (text.isEmpty ? "" : ": \(text)")
  }

  private static let mostLines = 12
  private static let mostBytes = 240

  /// The lines that say something, escaped; of many, or long ones, the beginnings.
  ///
  /// nft writes the reason first, then the rule, then a line of carets below it, which says nothing
  /// where lines are joined.
  static func text(_ errors: [UInt8]) -> String {
    let lines = errors.split(separator: 0x0A).map { line in
      Array(line.drop { $0 == 0x20 || $0 == 0x09 })
    }.filter { line in !line.allSatisfy { " ^~\t".utf8.contains($0) } }
    var shown = lines.prefix(mostLines).map { line in
      visibleText(String(decoding: line.prefix(mostBytes), as: UTF8.self), keeping: [])
        + (line.count > mostBytes ? "…" : "")
    }
    if lines.count > mostLines { shown.append("and \(lines.count - mostLines) more lines") }
    return shown.joined(separator: "; ")
  }
}
