import MountTable
import RestorePlan
import TestSupport
import Testing

@Suite("What a plan writes to")
struct WriteTests {
  private func plan(
    _ lines: String, host: String? = nil, archives: Set<DeviceNumber>? = nil,
    change: (inout RestoreRequest) -> Void = { _ in }
  ) throws -> RestorePlan {
    let mounts = try table(lines)
    var request = RestoreRequest(
      table: mounts,
      archivedDevices: archives
        ?? Set(mounts.mounts.filter { $0.fileSystem == "tmpfs" }.map(\.device)),
      root: "/srv", host: try host.map { try table($0) })
    change(&request)
    return request.plan()
  }

  private static let one = DeviceNumber(major: 0, minor: 5)

  private func writes(_ plan: RestorePlan) -> [RestoreStep] {
    plan.steps.filter {
      switch $0 {
      case .unpack, .makePlaceholder, .setSuperblockFlags: true
      case .attach(_, _, _, _, .make): true
      default: false
      }
    }
  }

  @Test(arguments: [
    "devtmpfs", "sysfs", "debugfs", "tracefs", "securityfs", "binfmt_misc", "configfs", "pstore",
    "efivarfs", "fusectl", "cgroup", "cgroup2", "proc", "devpts", "mqueue", "hugetlbfs", "bpf",
    "nsfs", "ext4", "selinuxfs", "overlay",
  ])
  func archivesAreForMemoryThatIsMadeAnew(type: String) throws {
    let plan = try plan(
      "1 0 8:1 /r / type=ext4\n2 1 0:5 / /a type=\(type)", archives: [Self.one]
    ) { $0.options.enabledFileSystems = ["all"] }
    #expect(plan.problems.contains { $0.mount == 2 && $0.message.contains("content") })
    #expect(plan.steps.isEmpty)
  }

  @Test func archivesAreNotForWhatComesFromOutside() throws {
    let plan = try plan("1 0 8:1 /r / type=ext4\n2 1 0:5 / /a") {
      $0.table.annotate([1]) { $0.mooring = .key("k") }
      $0.options.external = [.mountForKey("k", path: "/host")]
    }
    #expect(plan.problems.map(\.mount) == [2])
  }

  /// The mount that stands for the file system is the one with the smallest ID; the first in the table is another.
  @Test(arguments: ["devtmpfs", "cgroup2", "mqueue"])
  func oneDeviceIsOneFileSystem(type: String) throws {
    let lines = "1 0 8:1 /r / type=ext4\n3 1 0:5 / /a\n2 1 0:5 / /b type=\(type)\n4 3 0:6 / /a/c"
    let found = try plan(lines)
    #expect(
      found.problems.contains {
        $0.message.contains("it is a") || $0.message.contains("that it is")
      })
    #expect(found.steps.isEmpty)
    let other = try plan(lines, archives: [DeviceNumber(major: 0, minor: 6)])
    #expect(!other.problems.isEmpty)
  }

  @Test func mountPointsAreMadeInOwnMemoryAndBelowTheRootOnly() throws {
    let lines = """
      1 0 8:1 /r / type=ext4
      2 1 0:5 / /m
      3 2 0:6 / /m/a
      4 1 0:9 / /dev type=devtmpfs
      5 4 0:7 / /dev/b
      6 1 0:10 / /out
      7 6 0:8 / /out/c
      """
    let plan = try plan(
      lines, archives: Set([5, 6, 7, 8].map { DeviceNumber(major: 0, minor: $0) })
    ) {
      $0.table.annotate([5]) { $0.mooring = .key("k") }
      $0.options.external = [.mountForKey("k", path: "/host")]
    }
    #expect(plan.problems.isEmpty, "\(plan.problems)")
    let made = plan.steps.compactMap { (step) -> MountID? in
      if case .attach(_, _, _, let id, .make) = step { id } else { nil }
    }
    #expect(made.sorted() == [2, 3, 4, 6])
  }

  @Test(arguments: ["devtmpfs", "mqueue", "hugetlbfs", "proc", "cgroup2"])
  func nothingUnlinkedIsMadeInWhatIsNotOwnMemory(type: String) throws {
    for name in [type, "tmpfs"] {
      let plan = try plan(
        "1 0 8:1 /r / type=ext4\n2 1 0:5 / /a type=\(type)\n3 1 0:5 /x /b deleted type=\(name)",
        archives: []
      ) { $0.archivedRoots = [3] }
      #expect(plan.problems.contains { $0.mount == 3 }, "\(name)")
      #expect(writes(plan).isEmpty)
    }
  }

  @Test func optionsNameNothingOutside() throws {
    func problems(_ words: String, host: String? = nil) throws -> Int {
      try plan("1 0 8:1 /r / type=ext4\n2 1 0:9 / /a \(words)", host: host).problems.count
    }
    #expect(try problems("type=proc pidns=/proc/1/ns/pid") == 1)
    #expect(try problems("type=proc hidepid=2") == 0)
    let agent = "type=cgroup name=x,release_agent=/bin/agent"
    #expect(try problems(agent) == 1)
    let line = "20 10 8:1 / / type=ext4\n21 20 0:9 / /cg "
    #expect(try problems(agent, host: line + agent) == 0)
    #expect(try problems(agent, host: line + "type=cgroup name=x,release_agent=/bin/other") == 1)
    #expect(try problems(agent, host: line + "type=cgroup name=y,release_agent=/bin/agent") == 1)
  }

  // MARK: Flags of places

  private func flags(_ plan: RestorePlan) -> [MountID: MountAttributes.Flags] {
    Dictionary(uniqueKeysWithValues: plan.expected.mounts.map { ($0.id, $0.attributes.flags) })
  }

  private static let lines = """
    1 0 8:1 /r / type=ext4
    2 1 8:1 /r/etc /etc type=ext4 ro
    3 1 8:2 /x /data type=ext4
    4 1 8:2 /x/y /deep type=ext4
    5 1 0:5 / /m
    """

  @Test func theStricterOfBothIsTaken() throws {
    var host = try table(
      "20 10 8:1 / / type=ext4\n21 20 8:2 / /host type=ext4 ro\n22 20 8:3 / /srv type=ext4")
    host.annotate([1]) { $0.attributes.flags.formUnion([.noSUID, .noExecution]) }
    host.annotate([2]) { $0.attributes.flags.insert(.noDevices) }
    func plan(loose: Bool) throws -> RestorePlan {
      var request = RestoreRequest(
        table: try table(Self.lines), archivedDevices: [Self.one], root: "/srv", host: host)
      request.table.annotate([2]) { $0.mooring = .key("k") }
      request.options.external = [.mountForKey("k", path: "/host/sub")]
      request.options.allowsLooserFlags = loose
      return request.plan()
    }
    let strict = try plan(loose: false)
    #expect(strict.problems.isEmpty)
    let outside: MountAttributes.Flags = [.readOnly, .noSUID, .noExecution]
    #expect(
      flags(strict) == [
        1: .noDevices, 2: [.readOnly, .noDevices], 3: outside, 4: outside, 5: [],
      ])
    #expect(strict.findings.map(\.mount) == [1, 3])
    #expect(strict.findings.allSatisfy { $0.severity == .note })
    // What is announced is what is done.
    for case .setAttributes(_, let attributes) in strict.steps {
      #expect(
        attributes.flags.isDisjoint(with: outside) || attributes.flags.isSuperset(of: outside)
          || attributes.flags == [.readOnly, .noDevices])
    }
    let loose = try plan(loose: true)
    #expect(flags(loose) == [1: [], 2: .readOnly, 3: [], 4: [], 5: []])
    #expect(loose.findings.isEmpty)
  }

  @Test func verifyTakesTheFlagsThatThePlaceHas() throws {
    let host = try table("20 10 8:1 / / type=ext4\n21 20 8:2 /x /host type=ext4 ro")
    let expected = try table("1 0 8:1 / / type=ext4\n2 1 9:9 /old /data type=ext4\n3 1 0:5 / /m")
    var rules = ComparisonRules { $0.id == 2 }
    let places = PlaceFlags(host: host)
    func compare(_ found: String) throws -> Bool {
      rules.permittedFlags = { places.flags(explaining: $0) }
      return MountTreeComparison(expected: expected, found: try table(found), rules: rules).isEqual
    }
    let rest = "\n3 1 0:5 / /m"
    #expect(try compare("1 0 8:1 / / type=ext4\n2 1 8:2 /x/y /data type=ext4 ro" + rest))
    #expect(try compare("1 0 8:1 / / type=ext4\n2 1 8:2 /x/y /data type=ext4" + rest))
    #expect(try !compare("1 0 8:1 / / type=ext4\n2 1 8:2 /z /data type=ext4 ro" + rest))
    #expect(try !compare("1 0 8:1 / / type=ext4\n2 1 8:2 /x /data type=ext4\n3 1 8:2 /x /m ro"))
  }
}
