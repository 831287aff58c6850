import Glibc
import KernelModel
import MountTable
import RestorePlan
import Testing

/// Thousands of trees from seeds: built in the model, classified, planned, restored in the model, compared.
@Suite("Generated trees")
struct GeneratedTreeTests {
  private struct Tally: Sendable {
    var equal = 0
    var refused: [String: Int] = [:]
    var features: [TreeFeature: Int] = [:]
    var failures: [String] = []
  }

  /// Fewer where somebody says so, as scripts/mutants does.
  private static let treeCount =
    getenv("MOORING_GENERATED_TREES").flatMap { Int(String(cString: $0)) } ?? 10_000

  @Test func everyTreeComesBack() async throws {
    let share = Self.treeCount / 8
    let total = try await withThrowingTaskGroup(of: Tally.self) { tasks in
      for part in 0..<8 {
        let seeds = UInt64(part * share + 1)...UInt64((part + 1) * share)
        tasks.addTask { try Self.tally(seeds) }
      }
      var sum = Tally()
      for try await tally in tasks {
        sum.equal += tally.equal
        sum.refused.merge(tally.refused, uniquingKeysWith: +)
        sum.features.merge(tally.features, uniquingKeysWith: +)
        sum.failures += tally.failures
      }
      return sum
    }
    for failure in total.failures.prefix(3) { Issue.record("\(failure)") }
    for feature in TreeFeature.allCases {
      let count = total.features[feature] ?? 0
      print("\(feature.rawValue): \(count) trees")
      #expect(count >= min(50, Self.treeCount / 200), "\(feature.rawValue)")
    }
    print("\(total.equal) equal, refused by a finding: \(total.refused)")
    // What a dump refuses is what it has to: nothing else may come under it.
    #expect(total.refused.keys.allSatisfy { Self.expectedRefusals.contains($0) })
    #expect(total.equal >= Self.treeCount / 2)
  }

  /// Without their numbers and names.
  private static let expectedRefusals: Set<String> = [
    "it shows what has been unlinked in a file system from outside",
    // A directory that was made in a file system of the host's and is covered there.
    "it shows a path of a file system",
  ]

  private static func tally(_ seeds: ClosedRange<UInt64>) throws -> Tally {
    var tally = Tally()
    for seed in seeds {
      let outside = ModelContainer.Outside.allCases[Int(seed % 5)]
      let newUser = seed % 7 == 0
      let generator = try TreeGenerator(
        seed: seed, size: 10 + Int(seed % 30), outside: outside, newUser: newUser)
      let container = generator.container
      let features = TreeFeature.of(try container.table(), host: try container.hostTable())
      for feature in features { tally.features[feature, default: 0] += 1 }
      switch RestoreTrial(container, newUser: newUser).outcome() {
      case .equal: tally.equal += 1
      case .refused(let finding): tally.refused[kind(of: finding), default: 0] += 1
      case .failed(let failure):
        tally.failures.append(
          "seed \(seed): \(failure)\n"
            + (try report(generator.commands, outside: outside, newUser: newUser)))
      }
    }
    return tally
  }

  private static func kind(of finding: String) -> String {
    if finding.hasPrefix("it shows \"") { return "it shows a path of a file system" }
    return finding.split(separator: " (", maxSplits: 1).first.map(String.init) ?? finding
  }

  /// The shortest list of commands that still fails, and the tree as mountinfo has it.
  private static func report(
    _ commands: [TreeCommand], outside: ModelContainer.Outside, newUser: Bool
  ) throws -> String {
    let shrinker = TreeShrinker(outside: outside, newUser: newUser) {
      if case .failed = RestoreTrial($0, newUser: newUser).outcome() { true } else { false }
    }
    let short = try shrinker.shrink(commands)
    let container = try shrinker.build(short)
    var text = "outside: \(outside)\(newUser ? ", in a user namespace" : "")\n"
    text += short.map(\.description).joined(separator: "\n")
    text += "\n" + mountInfoText(try container.table())
    if case .failed(let failure) = RestoreTrial(container, newUser: newUser).outcome() {
      text += "\n" + failure
    }
    return text
  }
}
