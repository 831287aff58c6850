import Glibc
import LinuxKernel
import MountTable
import Testing

@testable import CheckpointImages

/// Each thing that can differ, changed alone, is found and named with both values.
@Suite struct ContentDifferenceTests {
  static let changes: [(why: String, change: @Sendable (CInt) throws -> Void, found: [String])] = [
    ("nothing", { _ in }, []),
    ("rights", { fchmodat($0, "plain", 0o600, 0) }, ["/plain: permissions: 644 saved, 600 there"]),
    ("owner", { fchownat($0, "plain", 9, 0, 0) }, ["/plain: owner: 0 saved, 9 there"]),
    ("group", { fchownat($0, "fifo", 0, 9, 0) }, ["/fifo: group: 0 saved, 9 there"]),
    ("missing", { unlinkat($0, "fifo", 0) }, ["/fifo: file: fifo saved, missing there"]),
    (
      "additional",
      {
        mkdirat($0, "new", 0)
        mkdirat($0, "new/below", 0)
      },
      ["/new: file: missing saved, directory there"]
    ),
    (
      "type",
      {
        unlinkat($0, "fifo", 0)
        mkdirat($0, "fifo", 0)
      },
      ["/fifo: type: fifo saved, directory there"]
    ),
    (
      "target",
      {
        unlinkat($0, "dangling", 0)
        unlinkat($0, "d/dangling", 0)
        symlinkat("/there", $0, "dangling")
        linkat($0, "dangling", $0, "d/dangling", 0)
        fchownat($0, "dangling", 5, 6, AT_SYMLINK_NOFOLLOW)
        try ContentTree.attribute("trusted.three", Array("on a link".utf8), of: "dangling", in: $0)
      }, ["/dangling: target: \"/nowhere\" saved, \"/there\" there"]
    ),
    (
      "attribute", { try ContentTree.attribute("user.one", [0x41], of: "plain", in: $0) },
      ["/plain: extended attribute user.one: \"\\000\\001\\002\\377\\012\" saved, \"A\" there"]
    ),
    (
      "hard link broken",
      {
        unlinkat($0, "zlast", 0)
        try ContentTree.make("zlast", in: $0, "hello")
      },
      ["/zlast: hard link: another name of /plain saved, another file there"]
    ),
    (
      "hard link made",
      {
        unlinkat($0, "two", 0)
        linkat($0, "one", $0, "two", 0)
      },
      ["/two: hard link: a file of its own saved, another name of /one there"]
    ),
  ]

  @Test(arguments: changes.indices)
  func isFound(index: Int) throws {
    let (why, change, found) = Self.changes[index]
    let temporary = try TemporaryDirectory()
    let root = try temporary.directory("root")
    try ContentTree.everything(in: root)
    try ContentTree.make("one", in: root, "same")
    try ContentTree.make("two", in: root, "same")
    let archive = try temporary.file("archive")
    _ = try ContentArchive.write(roots: [ContentRoot(descriptor: root)], to: archive)
    try change(root)
    let all = try ContentArchive.differences(between: archive, and: root)
    let differences = all.filter { $0.property != .modificationTime }
    #expect(differences.map(\.description) == found, "\(why)")
    #expect(why == "nothing" ? all.isEmpty : !all.isEmpty)
    #expect(try ContentArchive.differences(between: archive, and: root, limit: 0) == [])
  }

  @Test func dataSizeAndTime() throws {
    let temporary = try TemporaryDirectory()
    let root = try temporary.directory("root")
    try ContentTree.make("file", in: root, String(repeating: "x", count: 100_000))
    try ContentTree.sparse("holes", in: root, size: 1 << 20, data: [8192])
    for name in ["file", "holes", "."] { ContentTree.setTime(name, in: root, 10, 5) }
    let archive = try temporary.file("archive")
    _ = try ContentArchive.write(roots: [ContentRoot(descriptor: root)], to: archive)
    let file = openat(root, "file", O_WRONLY)
    let holes = openat(root, "holes", O_WRONLY)
    pwrite(file, "y", 1, 70_000)
    pwrite(holes, "z", 1, 500_000)
    func found() throws -> [String] {
      try ContentArchive.differences(between: archive, and: root, ignoringTimesOf: ["/holes"])
        .map(\.description)
    }
    ContentTree.setTime("file", in: root, 11, 6)
    #expect(
      try found() == [
        "/file: modification time: 10.000000005 saved, 11.000000006 there",
        "/file: data: byte 120 at 70000 saved, byte 121 there",
        "/holes: data: byte 0 at 500000 saved, byte 122 there",
      ])
    ftruncate(file, 50)
    ContentTree.setTime("file", in: root, 10, 5)
    #expect(try found().first == "/file: size: 100000 bytes saved, 50 bytes there")
  }
}
