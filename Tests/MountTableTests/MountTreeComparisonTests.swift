import MountTable
import TestSupport
import Testing

@Suite("Comparing mount trees")
struct MountTreeComparisonTests {
  static let base = """
    1 0 8:1 /roots/a / type=ext4
    2 1 0:10 / /data source=x size=64k shared=7
    3 1 0:10 /sub /data2 source=x size=64k shared=7
    4 1 0:11 / /slave master=7
    5 1 8:1 /roots/a/etc /etc type=ext4
    6 2 0:12 / /data/inner directory
    7 1 0:13 / /outside master=99
    """

  /// The same tree with other numbers, another root and other words for the same options.
  @Test func renumberedTreeIsEqual() throws {
    let found = try table(
      """
      107 101 0:53 / /outside master=11
      101 100 9:9 /elsewhere / type=xfs source=/dev/x noquota
      105 101 9:9 /elsewhere/etc /etc type=xfs source=/dev/x
      103 101 0:50 /sub /data2 source=x inode64 size=65536 shared=3
      102 101 0:50 / /data source=x size=65536 mode=1777 shared=3
      104 101 0:51 / /slave master=3
      106 102 0:52 / /data/inner directory
      """)
    let comparison = MountTreeComparison(expected: try table(Self.base), found: found)
    #expect(comparison.differences == [])
    #expect(comparison.isEqual)
    #expect(comparison.description == "")
  }

  @Test(
    "each property by itself",
    arguments: [
      (
        "2 1 0:10 / /data source=x size=64k shared=7",
        "2 1 0:10 / /data source=x size=64k ro shared=7", "attributes"
      ),
      ("6 2 0:12 / /data/inner directory", "6 2 0:12 / /data/inner file", "kind"),
      ("6 2 0:12 / /data/inner directory", "6 2 0:12 / /data/inner unbindable", "unbindable"),
      ("6 2 0:12 / /data/inner directory", "6 2 0:12 / /data/inner deleted", "deleted root"),
      ("6 2 0:12 / /data/inner directory", "6 2 0:12 /x /data/inner", "root"),
      ("6 2 0:12 / /data/inner directory", "6 2 0:12 / /data/inner type=ramfs", "file system"),
      ("6 2 0:12 / /data/inner directory", "6 2 0:12 / /data/inner source=y", "source"),
      ("6 2 0:12 / /data/inner directory", "6 2 0:12 / /data/inner sync", "superblock flags"),
      ("6 2 0:12 / /data/inner directory", "6 2 0:12 / /data/inner size=1k", "superblock options"),
      ("6 2 0:12 / /data/inner directory", "6 2 0:12 / /data/inner mapped=5", "ID mapping"),
      ("6 2 0:12 / /data/inner directory", "6 2 0:12 / /data/inner shared=70", "peer group"),
      ("6 2 0:12 / /data/inner directory", "6 2 0:12 / /data/inner master=98", "master"),
      ("6 2 0:12 / /data/inner directory", "6 2 0:11 / /data/inner", "superblock"),
      ("4 1 0:11 / /slave master=7", "4 1 0:11 / /slave master=98", "master"),
      ("5 1 8:1 /roots/a/etc /etc", "5 1 8:1 /roots/a/var /etc", "root"),
      ("5 1 8:1 /roots/a/etc /etc", "5 1 8:2 /roots/a/etc /etc", "superblock"),
      (
        "3 1 0:10 /sub /data2 source=x size=64k shared=7",
        "3 1 0:10 /sub /data2 source=x size=64k shared=8", "peer group"
      ),
      ("7 1 0:13 / /outside master=99", "7 1 0:13 / /outside", "master"),
    ])
  func oneChange(line: String, altered: String, property: String) throws {
    let expected = try table(Self.base)
    let text = Self.base.replacing(line, with: altered)
    #expect(text != Self.base)
    let differences = MountTreeComparison(expected: expected, found: try table(text)).differences
    #expect(differences.count == 1, "\(differences)")
    guard case .changed(_, let found, _, _)? = differences.first else {
      Issue.record("no change: \(differences)")
      return
    }
    #expect(found.rawValue == property)
  }

  @Test func missingAndExtraMounts() throws {
    let found = try table(
      Self.base.replacing("6 2 0:12 / /data/inner directory", with: "6 1 0:12 / /new"))
    let comparison = MountTreeComparison(expected: try table(Self.base), found: found)
    #expect(
      comparison.differences == [
        .missing(path: "/data/inner", fileSystem: "tmpfs"),
        .extra(path: "/new", fileSystem: "tmpfs"),
      ])
    #expect(
      comparison.description == """
          / (ext4)
            /data (tmpfs)
        -     /data/inner (tmpfs)
        +   /new (tmpfs)
        """)
  }

  @Test func aChangeIsDrawnBelowItsMount() throws {
    let found = try table(Self.base.replacing("/slave", with: "/slave noatime"))
    let comparison = MountTreeComparison(expected: try table(Self.base), found: found)
    #expect(
      comparison.description == """
          / (ext4)
        ~   /slave (tmpfs)
        ~     attributes: expected rw,relatime, found rw,noatime
        """)
  }

  @Test func externalMountsAreComparedByPlaceOnly() throws {
    let expected = try table(
      "1 0 8:1 / /\n2 1 8:7 /srv/a /a type=ext4 x=1\n3 2 8:7 /srv/a/b /a/c type=ext4 x=1")
    let found = try table("1 0 8:2 / /\n2 1 0:9 / /a type=nfs\n3 2 0:9 /b /a/c type=nfs")
    let rules = ComparisonRules { $0.mountPoint == "/a" }
    #expect(MountTreeComparison(expected: expected, found: found, rules: rules).isEqual)
    #expect(!MountTreeComparison(expected: expected, found: found).isEqual)
  }

  @Test func cgroupRootsAreComparedRelativeToEachOther() throws {
    let expected = try table(
      "1 0 8:1 / /\n2 1 0:9 /old/web /c type=cgroup2\n3 1 0:9 /old/web/x /d type=cgroup2")
    let found = try table(
      "1 0 8:1 / /\n2 1 0:9 /new /c type=cgroup2\n3 1 0:9 /new/x /d type=cgroup2")
    #expect(MountTreeComparison(expected: expected, found: found).isEqual)
    let other = try table(
      "1 0 8:1 / /\n2 1 0:9 /new /c type=cgroup2\n3 1 0:9 /new/y /d type=cgroup2")
    #expect(MountTreeComparison(expected: expected, found: other).differences.count == 1)
  }

  @Test func aChainOfTenThousandMounts() throws {
    let mounts = (0..<10_000).map { index in
      Mount(
        id: MountID(UInt32(index + 1)), parent: MountID(UInt32(index)),
        device: DeviceNumber(major: 0, minor: UInt32(index)), root: "/", mountPoint: "/",
        fileSystem: "tmpfs")
    }
    let chain = try MountTable(mounts)
    var altered = mounts
    altered[9_999].attributes.flags.insert(.readOnly)
    let comparison = MountTreeComparison(expected: chain, found: try MountTable(altered))
    #expect(comparison.differences.count == 1)
    #expect(comparison.lines.count == 10_001)
    #expect(renderTree(chain) { "\($0.mountPoint)" }.count == 10_000)
  }
}
