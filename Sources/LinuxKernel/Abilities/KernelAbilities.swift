import CMooring
import Glibc
import LinkTable
import RestorePlan
import SystemPackage

/// What this kernel, the caller's rights and the machine's programs allow. The one place that is asked: by
/// `mooring check`, by plans and by the tests.
///
/// | what | how it is tried |
/// |---|---|
/// | rights | a call that changes nothing and is refused without them |
/// | calls on mounts | each in a mount namespace of a process that ends then |
/// | namespaces | each made by a process that ends then |
/// | kinds of links | a list of links by kind; else the list of modules. No module is loaded |
/// | programs | looked for in `PATH`, `/usr/sbin` and `/sbin` |
public struct KernelAbilities: Sendable {
  /// What stands in the way, by feature; `nil` where nothing does.
  private var answers: [KernelFeature: String?] = [:]

  /// What stands in the way of a feature that was tried: a clause, with the kernel's words. `nil` where
  /// nothing does.
  public func missing(_ feature: KernelFeature) -> String? { answers[feature] ?? nil }

  /// Tries out these features.
  ///
  /// Forks: call it from a process that has no second thread.
  ///
  /// - Throws: `SystemCallFailure` where no process could be made.
  public static func probe(_ features: [KernelFeature]) throws(SystemCallFailure) -> Self {
    var abilities = KernelAbilities()
    for feature in features {
      switch feature {
      case .mountRights, .networkRights, .fileComparison, .threadDescriptors, .unixDiagnosis,
        .linkKind:
        abilities.answers[feature] = Trial.failure { try Trial.run(feature) }
      case .packetFilter(let name):
        abilities.answers[feature] = PacketFilter(rawValue: name).flatMap { filter in
          FilterProgram.installed(filter, saving: false) == nil
            ? "\(FilterProgram.commands(filter, saving: false).last![0]) is not installed" : nil
        }
      default: abilities.answers[feature] = try inProcess(feature)
      }
    }
    return abilities
  }

  /// Tries it in a process of its own, with which all ends that it makes.
  private static func inProcess(_ feature: KernelFeature) throws(SystemCallFailure) -> String? {
    let child = try PacketSocket.fork("the process that tries things out") { socket in
      // A call that hangs is one that does not work.
      alarm(30)
      let failure = Trial.failure { try Trial.run(feature) }
      try? PacketSocket.send(Array((failure ?? "").utf8) + [0], over: socket.number)
      mooring_exit(0)
    }
    let answer = try PacketSocket.receive(from: child.socket.number)
    mooring_wait(child.pid, nil)
    guard let answer else { return "the process that tried it ended early" }
    return answer.bytes.count == 1 ? nil : String(decoding: answer.bytes.dropLast(), as: UTF8.self)
  }
}

/// One ability, for people and programs.
public struct KernelAbility: Hashable, Sendable, Codable {
  /// `KernelFeature.id`.
  public var feature: String
  public var name: String
  /// The version of Linux it came with; empty where it does not depend on that.
  public var since: String
  /// What stands in the way; `nil` where nothing does.
  public var missing: String?
  /// What is lost without it.
  public var cost: String
  /// Whether no restore is possible without it.
  public var isRequired: Bool

  public init(_ feature: KernelFeature, missing: String?) {
    self.feature = feature.id
    name = feature.title
    since = feature.since
    self.missing = missing
    cost = feature.cost
    isRequired = feature.isRequired
  }
}
