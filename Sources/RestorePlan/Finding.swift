import MountTable

/// A problem found before anything was changed, with what settles it.
public struct Finding: Hashable, Sendable, Codable, CustomStringConvertible {
  public enum Severity: String, Hashable, Sendable, Codable {
    /// The operation is refused.
    case problem
    /// The operation goes on; a person should know.
    case note
  }

  public var severity: Severity
  public var mount: MountID?
  public var path: MountPath?
  /// What is wrong, as a sentence without its full stop.
  public var message: String
  /// Options to paste, or commands to run first; any one of them settles it.
  public var cures: [String]

  public init(
    _ message: String, severity: Severity = .problem, on mount: Mount? = nil, cures: [String] = []
  ) {
    self.severity = severity
    self.mount = mount?.id
    self.path = mount?.mountPoint
    self.message = message
    self.cures = cures
  }

  public var description: String {
    var text = ""
    if let mount, let path { text = "\(path) (mount \(mount)): " }
    text += message
    if !cures.isEmpty { text += "; " + cures.joined(separator: ", or ") }
    // Whatever stands in it, a finding is one line.
    return visibleText(text, keeping: [])
  }
}
