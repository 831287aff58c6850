import MountTable
import RestorePlan
import TestSupport
import Testing

/// Mounts of a container that are tied to groups of the host other than that of what they are a part of.
@Suite("Ties to the host")
struct TieTests {
  static let container = """
    1 0 8:1 /srv/root / type=ext4
    2 1 8:1 /srv/root/data/sub /data/sub type=ext4 master=7
    """

  private func classify(_ host: String, _ external: String...) throws -> Classification {
    var options = MountOptions()
    options.external = try external.map { try ExternalOption(parsing: $0) }
    return try Classifier(options: options, host: table(host)).classify(table(Self.container))
  }

  private func restore(_ saved: MountTable, on host: String) throws -> RestorePlan {
    var request = RestoreRequest(table: saved, root: "/srv/root", host: try table(host))
    request.options = MountOptions()
    return request.plan()
  }

  static let disk = "20 10 8:1 / / type=ext4"
  static let shared = disk + "\n21 20 8:1 /srv/root/data/sub /srv/root/data/sub type=ext4 shared=7"

  @Test func theMountOfTheHostAtItsPlaceIsJoined() throws {
    let found = try classify(Self.shared)
    #expect(found.problems.isEmpty)
    #expect(found.table.mounts[1].isTiedAtItsPlace)
    let steps = try restore(found.table, on: Self.shared).steps
    #expect(
      steps.contains {
        if case .joinGroupOutside(.path("/srv/root/data/sub"), mount: _, _) = $0 {
          true
        } else {
          false
        }
      })
  }

  @Test func whereTheHostHasNoSuchMountNowTheRestoreIsRefused() throws {
    let saved = try classify(Self.shared).table
    let problems = try restore(saved, on: Self.disk).findings.filter { $0.severity == .problem }
    #expect(problems.count == 1)
    #expect(problems.first?.cures.first?.contains("mount --make-shared /srv/root/data/sub") == true)
    // A root that is shared itself is another group.
    let other = "20 10 8:1 / / type=ext4 shared=1"
    #expect(try restore(saved, on: other).findings.contains { $0.severity == .problem })
  }

  @Test func aGroupThatTheHostHasElsewhereIsAProblemOrDetected() throws {
    let host = Self.disk + "\n21 20 8:1 /srv/root/data/sub /mnt type=ext4 shared=7"
    let found = try classify(host)
    #expect(found.problems.map(\.mount) == [2])
    let detected = try classify(host, "mnt[]:m")
    #expect(detected.problems.isEmpty)
    #expect(detected.kinds[1] == .externalDetected(path: "/mnt"))
  }

  @Test func aGroupThatNobodyHasIsAProblem() throws {
    #expect(try classify(Self.disk).problems.map(\.mount) == [2])
  }
}
