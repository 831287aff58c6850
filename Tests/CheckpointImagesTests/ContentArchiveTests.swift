import CMooring
import Glibc
import LinuxKernel
import MountTable
import Testing

@testable import CheckpointImages

/// Contents to archives and back, by ourselves and by GNU tar.
@Suite struct ContentArchiveTests {
  private func differences(_ archive: CInt, _ directory: CInt) throws -> [String] {
    try ContentArchive.differences(between: archive, and: directory).map(\.description)
  }

  /// Archives a tree, unpacks it, and compares both with the archive.
  @discardableResult
  private func roundTrip(
    _ build: (CInt) throws -> Void
  ) throws -> (directory: TemporaryDirectory, root: CInt) {
    let temporary = try TemporaryDirectory()
    let one = try temporary.directory("one")
    let two = try temporary.directory("two")
    try build(one)
    let archive = try temporary.file("archive.tar.gz")
    _ = try ContentArchive.write(roots: [ContentRoot(descriptor: one)], to: archive)
    #expect(try differences(archive, one) == [])
    try ContentArchive.extract(from: archive, into: two)
    #expect(try differences(archive, two) == [])
    let again = try temporary.file("again.tar.gz")
    _ = try ContentArchive.write(roots: [ContentRoot(descriptor: two)], to: again)
    #expect(try differences(again, one) == [])
    return (temporary, two)
  }

  @Test func everyKindOfFile() throws {
    let (temporary, two) = try roundTrip { try ContentTree.everything(in: $0) }
    defer { withExtendedLifetime(temporary) {} }
    let one = temporary.path + "/one"
    let first = shell("cd \(one) && find . -printf '%p %y %m %U:%G %s %T@ %n %l\\n' | sort")
    let second = shell(
      "cd \(temporary.path)/two && find . -printf '%p %y %m %U:%G %s %T@ %n %l\\n' | sort")
    #expect(first.output == second.output)
    var about = stat()
    #expect(fstatat(two, "socket", &about, 0) == 0 && about.st_mode == S_IFSOCK | 0o666)
    #expect(about.st_uid == 77 && about.st_nlink == 2)
  }

  @Test func anEmptyFileSystem() throws {
    let (temporary, _) = try roundTrip { _ in }
    var about = stat()
    #expect(stat(temporary.path + "/archive.tar.gz", &about) == 0 && about.st_size < 512)
  }

  @Test(arguments: [100, 3900, 9000])
  func deepPaths(bytes: Int) throws {
    var path: [UInt8] = []
    let (temporary, two) = try roundTrip { path = try ContentTree.deep(in: $0, bytes: bytes) }
    defer { withExtendedLifetime(temporary) {} }
    let slash = path.lastIndex(of: 0x2F)!
    let holder = try FileCalls.openDirectory(Array(path[..<slash]), below: two)
    #expect(try FileCalls.status(Array("end".utf8), in: holder.number).st_size == 4)
  }

  @Test func holesStayHoles() throws {
    let gigabyte = 1 << 30
    let (temporary, two) = try roundTrip { root in
      try ContentTree.sparse("first", in: root, size: 1 << 20, data: [0])
      try ContentTree.sparse("last", in: root, size: 1 << 20, data: [(1 << 20) - 4096])
      try ContentTree.sparse("none", in: root, size: 1 << 20, data: [])
      try ContentTree.sparse("huge", in: root, size: 900 * gigabyte + 7, data: [5 * gigabyte])
      try ContentTree.sparse("many", in: root, size: 1 << 22, data: (0..<100).map { $0 * 32768 })
    }
    defer { withExtendedLifetime(temporary) {} }
    for name in ["first", "last", "none", "huge"] {
      var about = stat()
      #expect(fstatat(two, name, &about, 0) == 0 && about.st_blocks <= 16, "\(name)")
    }
    var about = stat()
    #expect(stat(temporary.path + "/archive.tar.gz", &about) == 0 && about.st_size < 1 << 20)
    let listed = shell("tar -tvzf \(temporary.path)/archive.tar.gz")
    #expect(listed.status == 0 && listed.output.contains("966367641607"), "\(listed.output)")
    let compared = shell(
      "mkdir \(temporary.path)/three && cd \(temporary.path)/three && tar -xzf ../archive.tar.gz"
        + " && cmp first ../one/first && cmp last ../one/last && cmp none ../one/none"
        + " && cmp many ../one/many && stat -c %s huge")
    #expect(compared.status == 0 && compared.output == "966367641607\n", "\(compared.output)")
  }

  @Test func namesOfAttributesThatTarCannotHold() throws {
    try roundTrip { root in
      try ContentTree.make("file", in: root)
      for name in ["user.a=b", "user.50%", "user.%41", "user.é", "user.plain"] {
        try ContentTree.attribute(name, Array(name.utf8), of: "file", in: root)
      }
    }
  }

  @Test func partsOfAFileSystem() throws {
    let temporary = try TemporaryDirectory()
    let whole = try temporary.directory("whole")
    for path in ["whole/a", "whole/a/b", "whole/c"] { _ = try temporary.directory(path) }
    try ContentTree.make("a/b/file", in: whole, "1")
    try expectZero(linkat(whole, "a/b/file", whole, "c/link", 0), "linkat")
    try ContentTree.make("c/unreachable", in: whole, "2")
    let archive = try temporary.file("archive")
    let roots = [
      ContentRoot(path: "/a/b", descriptor: try temporary.directory("unused")),
      ContentRoot(
        path: "/c/link", descriptor: open(temporary.path + "/whole/c/link", CInt(MOORING_O_PATH))),
    ]
    let b = openat(whole, "a/b", CInt(MOORING_O_PATH) | O_DIRECTORY)
    let parts = [ContentRoot(path: "/a/b", descriptor: b), roots[1]]
    let summary = try ContentArchive.write(
      roots: parts + [ContentRoot(path: "/a/b/x", descriptor: b)], to: archive)
    #expect(summary.members == 3)
    #expect(try ContentArchive.differences(between: archive, and: parts) == [])
    let two = try temporary.directory("two")
    try ContentArchive.extract(from: archive, into: two)
    var one = stat()
    var other = stat()
    #expect(fstatat(two, "a/b/file", &one, 0) == 0 && fstatat(two, "c/link", &other, 0) == 0)
    #expect(one.st_ino == other.st_ino)
    #expect(try temporary.names("two/c") == ["link"])
  }

  @Test(arguments: imageSets)
  func whatCRIUArchived(name: String) throws {
    let directory = try ImageDirectory.open("\(fixtures)/\(name)")
    for device in try directory.load().archivedDevices {
      guard let archive = try directory.openContents(of: device) else { continue }
      let temporary = try TemporaryDirectory()
      try ContentArchive.extract(from: archive.number, into: temporary.descriptor)
      let found = try differences(archive.number, temporary.descriptor)
      #expect(found == [])
      var about = stat()
      #expect(fstat(temporary.descriptor, &about) == 0 && about.st_mode & 0o7777 == 0o1777)
      if name == "tmpfs-content" && device == .init(major: 0, minor: 44) {
        let listing = shell(
          "cd \(temporary.path) && find . -printf '%p %y %m %U:%G %s %l\\n' | sort")
        #expect(
          listing.output == """
            . d 1777 0:0 \(about.st_size)\u{20}
            ./d d 755 12:34 \(try sizeOfDirectory(temporary))\u{20}
            ./d/f f 4711 0:0 6\u{20}
            ./dev c 644 0:0 0\u{20}
            ./h f 4711 0:0 6\u{20}
            ./p p 644 0:0 0\u{20}
            ./s l 777 0:0 3 d/f
            ./sparse f 644 0:0 40960\u{20}
            ./z f 644 0:0 0\u{20}

            """)
      }
    }
  }

  private func sizeOfDirectory(_ temporary: TemporaryDirectory) throws -> Int {
    Int(try FileCalls.status(Array("d".utf8), in: temporary.descriptor).st_size)
  }

  @Test(.enabled(if: hasTool("tar"))) func tarReadsOurs() throws {
    let temporary = try TemporaryDirectory()
    let one = try temporary.directory("one")
    try ContentTree.everything(in: one)
    let archive = try temporary.file("a.tar.gz")
    _ = try ContentArchive.write(roots: [ContentRoot(descriptor: one)], to: archive)
    let listed = shell("tar -tzf \(temporary.path)/a.tar.gz")
    #expect(listed.status == 0 && !listed.output.contains("socket"), "\(listed.output)")
    let two = try temporary.directory("two")
    let unpacked = shell(
      "tar --extract --gzip --no-unquote --no-wildcards --directory=\(temporary.path)/two "
        + "--preserve-permissions --numeric-owner --xattrs --xattrs-include='*' --acls"
        + " < \(temporary.path)/a.tar.gz")
    #expect(unpacked.status == 0, "\(unpacked.output)")
    let left = try differences(archive, two)
    #expect(
      left.allSatisfy { $0.contains("ocket") || $0.contains(": extended attribute") }, "\(left)")
    #expect(left.filter { !$0.contains("ocket") } == [], "\(left)")
  }

  @Test(.enabled(if: hasTool("tar"))) func weReadTars() throws {
    let temporary = try TemporaryDirectory()
    let one = try temporary.directory("one")
    try ContentTree.everything(in: one, sockets: false)
    try ContentTree.sparse("sparse", in: one, size: 1 << 24, data: [4096, 1 << 20])
    _ = try ContentTree.deep(in: one, bytes: 3000)
    ContentTree.setTime(".", in: one, 1_111_111_111, 222_222_222)
    let made = shell(
      "tar --create --gzip --file=\(temporary.path)/a.tar.gz --sparse --xattrs --acls "
        + "--numeric-owner --preserve-permissions --one-file-system --no-wildcards "
        + "--directory=\(temporary.path)/one .")
    #expect(made.status == 0, "\(made.output)")
    let archive = openat(temporary.descriptor, "a.tar.gz", O_RDONLY)
    #expect(try differences(archive, one) == [])
    let two = try temporary.directory("two")
    try ContentArchive.extract(from: archive, into: two)
    #expect(try differences(archive, two) == [])
    let ours = try temporary.file("b.tar.gz")
    _ = try ContentArchive.write(roots: [ContentRoot(descriptor: one)], to: ours)
    #expect(try differences(ours, two) == [])
  }
}
