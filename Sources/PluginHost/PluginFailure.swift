import CMooring
import LinuxKernel
import SystemPackage

/// A plugin, or the process that hosts plugins, that failed: one sentence with what was asked, of
/// whom, and what came of it.
public struct PluginFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// `dump`, `restore`, `plugins`.
  public var operation: String
  /// The file in the plugin folder, or the name of a plugin in Swift; `nil` where the failure is not
  /// one plugin's.
  public var plugin: String?
  /// What was called: `init`, `exit`, the name of a hook.
  public var hook: String?
  /// What it was called for, with a preposition: `for /data (mount 579)`.
  public var subject: String?
  /// What it did, and what to do about it: the rest of the sentence.
  public var reason: String
  /// What went wrong afterwards, while the plugins were told to clean up.
  public var attached: [String] = []
  /// Whether a plugin that the images need is not there: nothing has been changed then.
  public var isMissingPlugin = false

  public init(
    operation: String, plugin: String? = nil, hook: String? = nil, subject: String? = nil,
    reason: String
  ) {
    self.operation = operation
    self.plugin = plugin
    self.hook = hook
    self.subject = subject
    self.reason = reason
  }

  public var description: String {
    var sentence = operation + ": "
    if let plugin {
      sentence += "plugin \(plugin)"
      if let hook { sentence += ", \(hook)" }
      if let subject { sentence += " \(subject)" }
      sentence += ": "
    } else if let subject {
      sentence += subject + ": "
    }
    return ([sentence + reason] + attached.map { "also, while cleaning up: \($0)" })
      .joined(separator: "\n")
  }

  /// What a hook returned, as a person reads it: `-EPERM (-1, Operation not permitted)`.
  static func text(ofResult result: CInt) -> String {
    guard result < 0, result > -4096 else { return "\(result)" }
    let failure = Errno(rawValue: -result)
    return failure.symbol.hasPrefix("errno")
      ? "\(result)" : "-\(failure.symbol) (\(result), \(failure.text))"
  }

  static let lostSocket = "it closed descriptors that are not its own"

  /// How the host ended, from what `waitpid` says.
  static func text(ofStatus status: CInt) -> String {
    let signal = status & 0x7F
    if signal != 0 {
      let name = mooring_signal_name(signal).map { "SIG" + String(cString: $0) }
      return "it was killed by \(name ?? "signal \(signal)")"
    }
    if status >> 8 & 0xFF == PluginHost.lostSocketStatus { return lostSocket }
    return "it ended the process that hosts plugins with exit status \(status >> 8 & 0xFF); "
      + "a plugin must not call exit()"
  }
}
