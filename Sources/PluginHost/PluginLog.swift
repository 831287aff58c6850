import Logging
import MountTable

/// What plugins have to say, as lines of the engine's log.
///
/// Messages come in pieces: a line is what ends with a newline, and what is left when the plugin has
/// returned.
struct PluginLog {
  /// Where a piece came from; each has its own unfinished line.
  enum Stream: Hashable {
    case level(UInt8)
    case standardOutput
    case standardError
  }

  let log: Logger
  private var unfinished: [Stream: [UInt8]] = [:]
  /// The longest line that is kept together, in bytes.
  private static let mostBytes = 16 * 1024

  init(_ log: Logger) { self.log = log }

  /// The level of `criu-log.h` that this log shows.
  static func level(of log: Logger) -> UInt32 {
    switch log.logLevel {
    case .trace, .debug: 4
    case .info: 3
    case .notice, .warning: 2
    case .error, .critical: 1
    }
  }

  mutating func take(_ bytes: some Collection<UInt8>, from stream: Stream, plugin: String?) {
    var line = unfinished.removeValue(forKey: stream) ?? []
    for byte in bytes {
      if byte == 0x0A || line.count >= PluginLog.mostBytes {
        write(line, stream, plugin)
        line.removeAll(keepingCapacity: true)
        if byte == 0x0A { continue }
      }
      line.append(byte)
    }
    if !line.isEmpty { unfinished[stream] = line }
  }

  /// Writes what did not end with a newline.
  mutating func flush(plugin: String?) {
    guard !unfinished.isEmpty else { return }
    for (stream, line) in unfinished.sorted(by: { $0.value.count < $1.value.count }) {
      write(line, stream, plugin)
    }
    unfinished = [:]
  }

  private func write(_ line: [UInt8], _ stream: Stream, _ plugin: String?) {
    if line.isEmpty { return }
    log.log(level: level(of: stream), "\(plugin ?? "plugins"): \(PluginLog.text(line))")
  }

  private func level(of stream: Stream) -> Logger.Level {
    switch stream {
    case .level(1): .error
    case .level(2): .warning
    case .level(3): .info
    case .level(4): .debug
    case .level(0), .level(255): .notice
    case .level: .trace
    case .standardOutput: .info
    case .standardError: .warning
    }
  }

  /// The bytes as text that does nothing to a terminal.
  static func text(_ bytes: [UInt8]) -> String {
    visibleText(String(decoding: bytes, as: UTF8.self), keeping: ["\t"])
  }
}
