import Glibc
import LinuxKernel
import MountTable
import Testing

@testable import CheckpointImages

/// Archives that are damaged, or made to reach out of the file system.
@Suite struct HostileArchiveTests {
  /// One block of a ustar header.
  static func header(_ name: String, type: Character, size: Int = 0, link: String = "") -> [UInt8] {
    var block = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, at place: Int) {
      block.replaceSubrange(place..<(place + text.utf8.count), with: text.utf8)
    }
    put(name, at: 0)
    put("0000644", at: 100)
    put("0000000", at: 108)
    put("0000000", at: 116)
    let digits = String(size, radix: 8)
    put(String(repeating: "0", count: 11 - digits.count) + digits, at: 124)
    put("00000000000", at: 136)
    put("        ", at: 148)
    put(String(type), at: 156)
    put(link, at: 157)
    put("ustar\u{0}00", at: 257)
    let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
    put(String(repeating: "0", count: 6 - sum.count) + sum + "\u{0} ", at: 148)
    return block
  }

  static let end = [UInt8](repeating: 0, count: 1024)

  private func extract(_ bytes: [UInt8]) throws -> TemporaryDirectory {
    let temporary = try TemporaryDirectory()
    let archive = try temporary.file("archive")
    defer { close(archive) }
    #expect(write(archive, bytes, bytes.count) == bytes.count)
    try ContentArchive.extract(from: archive, into: try temporary.directory("root"))
    return temporary
  }

  static let members: [(String, [UInt8], member: String)] = [
    ("absolute", header("/etc/x", type: "0"), "/etc/x"),
    ("climbing", header("../x", type: "0"), "../x"),
    ("climbing inside", header("./a/../../x", type: "0"), "./a/../../x"),
    ("climbing directory", header("..", type: "5"), ".."),
    ("hard link out", header("x", type: "1", link: "../../etc/passwd"), "x"),
    ("absolute hard link", header("x", type: "1", link: "/etc/passwd"), "x"),
    ("hard link to nothing", header("x", type: "1", link: "y"), "x"),
    (
      "hard link through a link",
      header("l", type: "2", link: "/etc")
        + header("x", type: "1", link: "l/passwd"), "x"
    ),
    (
      "file through a link",
      header("l", type: "2", link: "/tmp")
        + header("l/mooring-escape", type: "0"), "l/mooring-escape"
    ),
    (
      "file through a link inside",
      header("d", type: "5") + header("l", type: "2", link: "d")
        + header("l/x", type: "0"), "l/x"
    ),
    ("directory over a link", header("l", type: "2", link: "/tmp") + header("l", type: "5"), "l"),
    ("file over a directory", header("d", type: "5") + header("d", type: "0"), "d"),
    ("file below a file", header("f", type: "0") + header("f/x", type: "0"), "f/x"),
    ("link without target", header("l", type: "2"), "l"),
  ]

  @Test(arguments: members.indices)
  func isRefused(index: Int) {
    let (why, bytes, member) = Self.members[index]
    do {
      _ = try extract(bytes + Self.end)
      Issue.record("\(why): no error")
    } catch let error as ContentError {
      #expect(error.member == KernelString(member), "\(why): \(error)")
    } catch {
      Issue.record("\(why): \(error)")
    }
    #expect(access("/tmp/mooring-escape", F_OK) != 0)
  }

  @Test func aLinkThatLeadsOutIsOnlyData() throws {
    let temporary = try extract(Self.header("l", type: "2", link: "../../../etc") + Self.end)
    #expect(
      try FileCalls.linkTarget(Array("root/l".utf8), in: temporary.descriptor)
        == Array("../../../etc".utf8))
  }

  @Test func aLaterMemberOfTheSameNameCounts() throws {
    let temporary = try extract(
      Self.header("l", type: "2", link: "/etc") + Self.header("l", type: "0") + Self.end)
    var about = stat()
    #expect(fstatat(temporary.descriptor, "root/l", &about, AT_SYMLINK_NOFOLLOW) == 0)
    #expect(about.st_mode & S_IFMT == S_IFREG)
  }

  @Test func whatIsNoArchiveIsRefused() {
    for bytes: [UInt8] in [
      [], [1, 2, 3], [0x1F, 0x8B, 8, 0], Array(repeating: 0x41, count: 4096),
    ] {
      #expect(throws: ContentError.self) { try extract(bytes) }
    }
  }

  @Test func dataThatIsMissingIsAnError() {
    let file = Self.header("f", type: "0", size: 5000) + [UInt8](repeating: 0x41, count: 100)
    #expect(throws: ContentError.self) { try extract(file) }
  }

  @Test func everyTruncationIsRefused() throws {
    let bytes = try fixture("tmpfs-content/tmpfs-dev-44.tar.gz.img")
    for count in 0..<bytes.count - 8 {
      _ = try? extract(Array(bytes[..<count]))
    }
    let temporary = try TemporaryDirectory()
    let one = try temporary.directory("one")
    try ContentTree.make("file", in: one, String(repeating: "some data", count: 5000))
    let archive = try temporary.file("archive")
    _ = try ContentArchive.write(roots: [ContentRoot(descriptor: one)], to: archive)
    var ours = [UInt8](repeating: 0, count: 1 << 16)
    ours.removeLast(ours.count - pread(archive, &ours, ours.count, 0))
    for count in stride(from: 0, to: ours.count - 64, by: 3) {
      #expect(throws: ContentError.self, "\(count)") { try extract(Array(ours[..<count])) }
    }
  }

  @Test func everyFlippedByteIsRefusedOrRead() throws {
    let bytes = try fixture("tmpfs-content/tmpfs-dev-44.tar.gz.img")
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 0xFF
      _ = try? extract(changed)
    }
  }

  static let unlinked: [(String, [UInt8], isFile: Bool)] = [
    ("another name", header("x", type: "0"), true),
    ("a second member", header("unlinked", type: "0") + header("x", type: "0"), true),
    ("twice", header("unlinked", type: "0") + header("unlinked", type: "0"), true),
    ("a directory for a file", header("unlinked", type: "5"), true),
    ("a file for a directory", header("unlinked", type: "0"), false),
    ("a link out", header("unlinked", type: "1", link: "../../etc/passwd"), true),
    ("nothing", [], true),
  ]

  @Test(arguments: unlinked.indices)
  func whatWasUnlinkedIsOneMemberOfItsKind(index: Int) throws {
    let (_, bytes, isFile) = Self.unlinked[index]
    let temporary = try TemporaryDirectory()
    let archive = try temporary.file("archive")
    defer { close(archive) }
    let all = bytes + Self.end
    #expect(write(archive, all, all.count) == all.count)
    let root = try temporary.directory("root")
    #expect(throws: ContentError.self) {
      try ContentArchive.extractUnlinked(
        from: archive, into: root, as: Array("made".utf8), isFile: isFile)
    }
    // What the journal takes away: a file or directory of the name that it was told of, nothing else.
    let left = try ImageFiles.names(in: root)
    #expect(left.isEmpty || left == [Array("made".utf8)])
  }
}
