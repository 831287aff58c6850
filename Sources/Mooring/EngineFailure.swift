import LinuxKernel
import PluginHost
import RestorePlan

/// Why an operation did not succeed, with the exit status that the command gives.
public struct EngineFailure: Error, Sendable, CustomStringConvertible {
  public enum Status: Int32, Sendable {
    /// The kernel, a plugin or a script said no.
    case failed = 1
    /// Refused before anything was changed.
    case refused = 2
    /// Verification found a difference.
    case different = 3
    case usage = 64
  }

  public var status: Status
  public var message: String
  /// What stood in the way, for a refusal.
  public var findings: [Finding] = []
  /// What went wrong while cleaning up; never instead of the message.
  public var attached: [String] = []
  /// Where COMMAND could not begin: the status that shells give (126, 127), or 125.
  public internal(set) var commandStatus: Int32?
  /// Whether it is why the worker has ended.
  private(set) var isWorkersEnd = false

  public init(_ status: Status = .failed, _ message: String, findings: [Finding] = []) {
    self.status = status
    self.message = message
    self.findings = findings
  }

  init(workersEnd message: String) {
    self.init(.failed, message)
    isWorkersEnd = true
  }

  public var description: String {
    ([message] + attached.map { "also, while cleaning up: \($0)" }).joined(separator: "\n")
  }

  /// A refusal because of problems, `nil` where there is none.
  static func refusal(_ operation: String, _ findings: [Finding]) -> EngineFailure? {
    let problems = findings.filter { $0.severity == .problem }
    guard !problems.isEmpty else { return nil }
    let count = problems.count == 1 ? "1 problem" : "\(problems.count) problems"
    return EngineFailure(
      .refused, "\(operation): \(count) found, nothing was changed", findings: findings)
  }
}

extension EngineFailure {
  /// An error of another layer, as the operation's.
  init(_ error: any Error, _ operation: String) {
    if let failure = error as? EngineFailure {
      self = failure
    } else if let failure = error as? PluginFailure {
      self.init(failure.isMissingPlugin ? .refused : .failed, "\(failure)")
    } else if let failure = error as? ReadFailure, failure.isRefusal {
      self.init(.refused, "\(operation): \(failure)")
    } else {
      self.init(.failed, "\(operation): \(error)")
    }
  }

  /// Runs `body`; what it throws becomes an `EngineFailure` that names the operation.
  static func wrapping<Result>(_ operation: String, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let failure as EngineFailure {
      throw failure
    } catch {
      throw EngineFailure(error, operation)
    }
  }
}
