import ArgumentParser
import Glibc
import Mooring

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Say what this kernel and these privileges allow, and what that costs.",
    discussion: """
      Each line is an ability that was tried out just now, in a process of its own: yes, or no \
      with what stands in the way and what is lost. Kinds of links share two lines: those that can \
      be made, if need be by a module that is loaded then, and those that cannot. The last two \
      lines are limits. --json has a name for each feature, and is what tests should ask. Nothing \
      is changed, no module is loaded. A restore itself wants root.

      Exit status: 0; 1 where nothing can be restored here.
      """)

  @Flag(help: "Print JSON on standard output.") var json = false

  private struct Result: Encodable {
    var abilities: [KernelAbility]
    var openFiles: UInt
    var mostMounts: Int?
  }

  mutating func run() throws {
    let abilities = try CheckOperation.abilities()
    let kinds = try CheckOperation.linkKinds()
    let limits = CheckOperation.limits()
    if json {
      try Report.json(
        Result(
          abilities: abilities + kinds, openFiles: limits.openFiles, mostMounts: limits.mostMounts))
    } else {
      Report.lines(
        abilities.map { ability in
          let name = ability.name + (ability.since.isEmpty ? "" : " (Linux \(ability.since))")
          guard let missing = ability.missing else { return "yes  \(name)" }
          return "no   \(name): \(missing); \(ability.cost)"
        } + lines(ofKinds: kinds) + [
          "     \(limits.openFiles) open files: a restore needs one for each superblock with several "
            + "mounts, and a few",
          "     \(limits.mostMounts.map(String.init) ?? "?") mounts a namespace (fs.mount-max)",
        ])
    }
    if abilities.contains(where: { $0.isRequired && $0.missing != nil }) {
      throw CommandStatus(code: 1)
    }
  }

  private func lines(ofKinds kinds: [KernelAbility]) -> [String] {
    func names(_ isThere: Bool) -> String {
      kinds.filter { ($0.missing == nil) == isThere }.map { String($0.feature.dropFirst(5)) }
        .joined(separator: " ")
    }
    var lines = ["yes  links of the kinds \(names(true))"]
    if !names(false).isEmpty {
      lines.append(
        "no   links of the kinds \(names(false)): this kernel has neither them nor their modules; "
          + "containers with such links cannot be restored")
    }
    return lines
  }
}
