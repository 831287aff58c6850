import FoundationEssentials
import Glibc
import Mooring
import MountTable
import RestorePlan

/// What the command says: results on standard output, everything else on standard error.
enum Report {
  static func complain(_ text: String) { write(visibleText(text) + "\n", to: 2) }

  static func failure(_ failure: EngineFailure) {
    complain(failure.description)
    for finding in failure.findings where finding.severity == .problem {
      complain("  problem: \(finding)")
    }
  }

  static func lines(_ lines: some Sequence<String>) {
    var text: [UInt8] = []
    for line in lines {
      text += visibleText(line).utf8
      text.append(0x0A)
    }
    write(text, to: 1)
  }

  /// A value as JSON, keys sorted, on standard output.
  static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    let text = String(decoding: try encoder.encode(value), as: UTF8.self)
    write(visibleJSON(text) + "\n", to: 1)
  }

  private static func write(_ text: String, to descriptor: CInt) {
    write(Array(text.utf8), to: descriptor)
  }

  /// All of it; a reader that has gone away ends the command as SIGPIPE would have.
  private static func write(_ bytes: [UInt8], to descriptor: CInt) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if written < 0 {
        if errno == EINTR { continue }
        if descriptor == 1 && errno != EPIPE {
          complain("standard output: \(String(cString: strerror(errno)))")
        }
        if descriptor == 1 { MooringCommand.leave(errno == EPIPE ? 141 : 1) }
        return
      }
      rest = rest.dropFirst(written)
    }
  }
}
