import MountTable

/// One command of those that build a tree: a line of text, understood by the model and by `make-tree`.
///
/// ```
/// directory PATH            file PATH               remove PATH
/// tmpfs PATH [OPTIONS]      bind SOURCE PATH        rbind SOURCE PATH     move SOURCE PATH
/// shared PATH  slave PATH  private PATH  unbindable PATH     rshared PATH …
/// flags PATH ro,nosuid,nodev,noexec                 read-only PATH        umount PATH
/// ```
/// Paths have no spaces.
public struct TreeCommand: Hashable, Sendable, CustomStringConvertible {
  public var words: [String]

  public init(line: String) {
    words = line.split(separator: " ").map(String.init)
  }
  public var description: String { words.joined(separator: " ") }
}

extension ModelKernel {
  /// Carries out a command; what the kernel would refuse it with is thrown.
  public mutating func perform(
    _ command: TreeCommand, _ process: Process
  ) throws(ModelFailure) {
    let words = command.words
    let path = words.count > 1 ? words[1] : "/"
    switch words.first ?? "" {
    case "directory": try make(path, isDirectory: true, process)
    case "file": try make(path, isDirectory: false, process)
    case "remove": try remove(path, process)
    case "tmpfs":
      try mountNew("tmpfs", options: words.count > 2 ? words[2] : "", at: path, process)
    case "bind": try bind(path, at: words[2], process)
    case "rbind": try bind(path, at: words[2], recursive: true, process)
    case "move": try move(path, to: words[2], process)
    case "umount": try unmount(path, process)
    case "flags":
      var flags: MountAttributes.Flags = []
      for word in words[2].split(separator: ",") {
        flags.formUnion(Self.flagNames[String(word)] ?? [])
      }
      try addFlags(path, flags, process)
    case "read-only": try makeReadOnly(path, process)
    case let word:
      let isRecursive = word.hasPrefix("r") && word != "remove"
      let name = isRecursive ? String(word.dropFirst()) : word
      guard let propagation = ModelPropagation(rawValue: name) else {
        preconditionFailure("no such command: \(command)")
      }
      try changePropagation(path, propagation, recursive: isRecursive, process)
    }
  }

  private static let flagNames: [String: MountAttributes.Flags] = [
    "ro": .readOnly, "nosuid": .noSUID, "nodev": .noDevices, "noexec": .noExecution,
  ]
}
