import MountTable
import RestorePlan
import TestSupport
import Testing

@Suite("Classification")
struct ClassifierTests {
  /// A root on a disk, a tmpfs, a bind of it, and a directory from outside.
  static let lines = """
    1 0 8:1 /srv/root / type=ext4
    2 1 0:5 / /run
    3 1 0:5 /lock /lock
    4 1 8:1 /home/data /data type=ext4
    5 1 8:1 /srv/root/etc /mnt type=ext4
    """

  private func classify(
    _ lines: String = lines, _ external: String..., host: String? = nil,
    plugin: String? = nil, change: (inout MountTable) -> Void = { _ in }
  ) throws -> Classification {
    var options = MountOptions()
    options.external = try external.map { try ExternalOption(parsing: $0) }
    var mounts = try table(lines)
    change(&mounts)
    return try Classifier(
      options: options, host: try host.map { try table($0) },
      askPlugin: { _ in plugin }
    ).classify(mounts)
  }

  @Test func whatNothingExplainsIsAProblemWithItsCure() throws {
    let found = try classify()
    #expect(
      found.kinds == [.namespaceRoot, .newSuperblock, .bind(of: 2), .unsupported, .bind(of: 1)])
    let problem = try #require(found.problems.first)
    #expect(found.problems.count == 1)
    #expect(problem.mount == 4)
    #expect(problem.cures.contains { $0.contains("--external 'mnt[/data]:KEY'") })
  }

  @Test func aMappingOfOwnersThatNobodyKnowsIsAProblem() throws {
    let lines = """
      1 0 8:1 /srv/root / type=ext4
      2 1 0:5 / /run
      3 1 0:5 /lock /lock mapped
      4 1 0:5 /other /other mapped=5000
      """
    let problem = try #require(try classify(lines).problems.first)
    #expect(try classify(lines).problems.count == 1)
    #expect(problem.mount == 3)
    #expect(problem.cures.contains("leave it out: --skip-mnt /lock"))
    #expect(try classify(lines, "mnt[/lock]:d").problems.isEmpty)
  }

  @Test func aKeyAndAPluginExplain() throws {
    #expect(try classify(Self.lines, "mnt[/data]:d").kinds[3] == .externalByKey("d"))
    let asked = try classify(plugin: "p")
    #expect(asked.kinds[3] == .externalByPlugin("p"))
    #expect(asked.problems.isEmpty)
  }

  @Test func pluginsAreAskedOnceAndOnlyWhereTheyAreNeeded() throws {
    var asked: [MountID] = []
    _ = try Classifier(
      options: MountOptions(),
      askPlugin: {
        asked.append($0.id)
        return nil
      }
    ).classify(table(Self.lines))
    #expect(asked == [4])
  }

  @Test func theEnginesOwnMountsExplain() throws {
    let host = "20 10 8:1 / / type=ext4 shared=1"
    let found = try classify(Self.lines, "mnt[]", host: host)
    #expect(found.kinds[3] == .externalDetected(path: "/home/data"))
    // Without the option the cure names it.
    let cures = try classify(host: host).problems[0].cures
    #expect(cures.contains { $0.contains("--external 'mnt[]'") })
  }

  @Test func aMasterOutsideWantsItsLetter() throws {
    let host = "20 10 8:1 / / type=ext4 shared=7"
    let lines = """
      1 0 8:1 /srv/root / type=ext4
      4 1 8:1 /home/data /data type=ext4 master=7
      """
    #expect(try classify(lines, "mnt[]", host: host).kinds[1] == .unsupported)
    #expect(
      try classify(lines, "mnt[]:m", host: host).kinds[1] == .externalDetected(path: "/home/data"))
    let cures = try classify(lines, host: host).problems[0].cures
    #expect(cures.contains { $0.contains("'mnt[]:m'") })
  }

  @Test(arguments: [
    ("mnt[/nowhere]:k", "nothing is mounted"), ("dev[9/9]:k", "no mount of the container"),
  ])
  func aMappingThatMatchesNothing(option: String, words: String) throws {
    let found = try classify(Self.lines, option)
    #expect(found.problems.contains { $0.message.contains(words) })
  }

  @Test func allProblemsAtOnce() throws {
    let lines = (0..<50).map { "\($0 + 10) 1 8:1 /out/\($0) /m\($0) type=ext4" }
    let found = try classify("1 0 8:1 /srv/root / type=ext4\n" + lines.joined(separator: "\n"))
    #expect(found.problems.count == 50)
  }

  @Test func aWholeRootInMemoryIsSavedAndAPartIsNoted() throws {
    let host = "20 10 8:1 / / type=ext4"
    let whole = try classify("1 0 0:5 / /", host: host)
    #expect(whole.findings.isEmpty && whole.savedDevices.count == 1)
    let part = try classify("1 0 0:5 /part /", host: host)
    #expect(part.findings.map(\.severity) == [.note] && part.savedDevices.isEmpty)
    let disk = try classify("1 0 8:1 / / type=ext4", host: host)
    #expect(disk.findings.isEmpty && disk.savedDevices.isEmpty)
  }

  @Test func whatTheKernelTakesNoMoreIsRefused() throws {
    let long = String(repeating: "x", count: 256)
    let found = try classify("1 0 8:1 /r / type=ext4\n2 1 0:5 / /t\n3 1 0:6 / /u") { table in
      table.annotate([1]) { $0.source = KernelString(long) }
      table.annotate([2]) { $0.superblockOptions = KernelString("size=64k,mpol=\(long)") }
    }
    #expect(found.problems.map(\.mount) == [2, 3])
    #expect(found.problems[1].message.contains("its option mpol has more than 255 bytes"))
  }

  @Test(arguments: [
    ("proc", "/812", true), ("proc", "/812/fd", true), ("proc", "/1/fd", false),
    ("proc", "/sys", false), ("devpts", "/0", true), ("devpts", "/ptmx", false),
    ("mqueue", "/q", true), ("hugetlbfs", "/f", true), ("sysfs", "/class", false),
  ])
  func whatIsNotThereAnewIsRefused(type: String, root: String, isRefused: Bool) throws {
    let lines = """
      1 0 8:1 /r / type=ext4
      2 1 0:5 / /a type=\(type)
      3 1 0:5 \(root) /b type=\(type)
      """
    let found = try classify(lines)
    #expect(found.problems.map(\.mount) == (isRefused ? [3] : []))
    #expect(found.kinds[2] == (isRefused ? .unsupported : .bind(of: 2)))
    #expect(try classify(lines, "mnt[/b]:k").problems.isEmpty)
    if isRefused { #expect(try classify(lines, plugin: "p").kinds[2] == .externalByPlugin("p")) }
  }

  @Test func aMappingMeansWhatNothingElseExplains() throws {
    let lines = """
      1 0 8:1 /r / type=ext4
      2 1 0:5 / /t
      3 1 8:1 /out/file /file type=ext4
      4 3 0:5 /f /file
      5 3 8:1 /r/f /file type=ext4
      """
    let found = try classify(lines, "mnt[/file]:k")
    #expect(
      found.kinds
        == [.namespaceRoot, .newSuperblock, .externalByKey("k"), .bind(of: 2), .bind(of: 1)])
  }

  @Test func whatHasBeenUnlinkedIsSavedWhereItCanBeMadeAgain() throws {
    let found = try classify("1 0 8:1 /r / type=ext4\n2 1 0:5 / /t\n3 1 0:5 /x /y deleted")
    #expect(found.findings.isEmpty)
    #expect(found.unlinkedRoots.map(\.index) == [2])
    let root = try classify("1 0 8:1 /r / type=ext4\n2 1 8:1 /r/x /y deleted")
    #expect(root.findings.isEmpty)
    #expect(root.unlinkedRoots.map(\.anchor) == [0])
    let proc = try classify(
      "1 0 8:1 /r / type=ext4\n2 1 0:5 / /proc type=proc\n3 1 0:5 /9 /y type=proc deleted")
    #expect(proc.problems.map(\.mount) == [3])
  }
}

@Suite("Values of --external")
struct ExternalOptionTests {
  @Test(arguments: [
    ("mnt[/a]:k", ExternalOption.mountAtPath("/a", key: "k")),
    ("mnt[/a]b]:k", .mountAtPath("/a]b", key: "k")),
    ("mnt[/a\\012b/]:k", .mountAtPath("/a\nb", key: "k")),
    ("mnt[k]:/a", .mountForKey("k", path: "/a")),
    ("mnt[]", .detect(masters: false, sharing: false)),
    ("mnt[]:ms", .detect(masters: true, sharing: true)),
    ("dev[8/1]:k", .device(DeviceNumber(major: 8, minor: 1), key: "k")),
    ("dev[k]:/dev/sda", .deviceForKey("k", path: "/dev/sda")),
  ])
  func good(text: String, option: ExternalOption) throws {
    #expect(try ExternalOption(parsing: text) == option)
  }

  @Test(arguments: [
    "", "mnt", "mnt[", "mnt[/a", "mnt[/a]", "mnt[/a]:", "mnt[/a]k", "mnt[]:x", "mnt[k]:",
    "mnt[/a/../b]:k", "dev[8]:k", "dev[k]:", "net[1]:k",
  ])
  func bad(text: String) { #expect(throws: OptionError.self) { try ExternalOption(parsing: text) } }

  @Test func pathsAtRestoreMayBeRelative() throws {
    #expect(
      try ExternalOption(parsing: "mnt[k]:a/b").atRestore(in: "/here")
        == .mountForKey("k", path: "/here/a/b"))
    #expect(
      try ExternalOption(parsing: "mnt[/a]:b").atRestore(in: "/here")
        == .sourceAtPath("/a", path: "/here/b"))
  }

  @Test func theOlderSpelling() throws {
    #expect(
      try ExternalOption(parsingMap: "/a:/b", atDump: true) == .mountAtPath("/a", key: "/b"))
    #expect(
      try ExternalOption(parsingMap: "k:/b", atDump: false) == .mountForKey("k", path: "/b"))
    #expect(throws: OptionError.self) { try ExternalOption(parsingMap: "k", atDump: true) }
  }
}

extension MountID: ExpressibleByIntegerLiteral {
  public init(integerLiteral value: UInt32) { self.init(value) }
}

@Suite("User namespaces")
struct UserNamespaceTests {
  typealias Range = IDMapping.Range

  @Test(arguments: [
    ([Range(inside: 0, outside: 1000, count: 10)], 0),
    ([Range(inside: 5, outside: 9, count: 1), Range(inside: 0, outside: 1000, count: 1)], 0),
    ([Range(inside: 1, outside: 1000, count: 10)], 1),
    ([Range(inside: 0, outside: 1000, count: 0)], 1),
    ([], 1),
  ])
  func withoutAnID0TheyAreRefused(ranges: [Range], problems: Int) throws {
    let zero = [Range(inside: 0, outside: 1000, count: 1)]
    for mapping in [
      IDMapping(users: ranges, groups: zero), IDMapping(users: zero, groups: ranges),
    ] {
      var namespaces = ContainerNamespaces(own: [.user: 1])
      namespaces.mapping = mapping
      let mounts = try table("1 0 8:1 /r / type=ext4")
      let found = try Classifier(options: MountOptions(), namespaces: namespaces).classify(mounts)
      #expect(found.problems.count == problems)
      namespaces.own = [:]
      #expect(
        try Classifier(options: .init(), namespaces: namespaces).classify(mounts).problems.isEmpty)
    }
  }
}
