/// The parts that a set of images can have; `--only` chooses among them.
public struct SavedParts: OptionSet, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: UInt32

  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let mounts = SavedParts(rawValue: 1)
  public static let links = SavedParts(rawValue: 2)
  /// Open files that come from outside.
  public static let files = SavedParts(rawValue: 4)

  /// The words of the command line, which the inventory has too.
  static let words: [(part: SavedParts, word: String)] = [
    (.mounts, "mounts"), (.links, "links"), (.files, "files"),
  ]

  /// One of the words of `--only`.
  public init?(word: String) {
    guard let found = Self.words.first(where: { $0.word == word }) else { return nil }
    self = found.part
  }

  var words: [String] { Self.words.filter { contains($0.part) }.map(\.word) }

  public var description: String { words.joined(separator: ",") }
}
