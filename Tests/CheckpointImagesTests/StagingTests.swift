import Glibc
import LinuxKernel
import MountTable
import RestorePlan
import Testing

@testable import CheckpointImages

/// How a set takes its place, and what stays when it does not.
@Suite struct StagingTests {
  private func write(_ path: String, hostName: KernelString = "new") throws {
    let writer = try ImageWriter.stage(for: path)
    var container = try ImageSetTests.container()
    container.namespaces.hostName = hostName
    try writer.write(container)
    try writer.commit()
  }

  @Test func aDirectoryThatWasNotThereIsMade() throws {
    let temporary = try TemporaryDirectory()
    try write(temporary.path + "/new/")
    #expect(try temporary.names() == ["new"])
  }

  @Test func nothingIsLeftOfAnUncommittedSet() throws {
    let temporary = try TemporaryDirectory()
    _ = try temporary.directory("old")
    try temporary.write([1], to: "old/inventory.img")
    for path in ["/new", "/old", ""] {
      let writer = try ImageWriter.stage(for: temporary.path + path)
      try writer.write(try ImageSetTests.container())
      try expectZero(mkdirat(writer.descriptor, "of-a-plugin", 0o700), "mkdirat")
    }
    #expect(try temporary.names() == ["old"])
    #expect(try temporary.names("old") == ["inventory.img"])
  }

  @Test func aFormerSetGoesAndOthersFilesStay() throws {
    let temporary = try TemporaryDirectory()
    _ = try temporary.directory("images")
    for name in ["mountpoints-99.img", "inventory.img", "dump.log", "disk.img"] {
      try temporary.write([1], to: "images/" + name)
    }
    try expectZero(fchmodat(temporary.descriptor, "images", 0o751, 0), "fchmodat")
    _ = try temporary.directory("images/notes")
    try temporary.write([2], to: "images/notes/mountpoints-1.img")
    try write(temporary.path + "/images")
    #expect(try temporary.names() == ["images"])
    let names = try temporary.names("images")
    #expect(names.contains("dump.log") && names.contains("disk.img") && names.contains("notes"))
    #expect(!names.contains("mountpoints-99.img"))
    #expect(try temporary.names("images/notes") == ["mountpoints-1.img"])
    #expect(
      try ImageDirectory.open(temporary.path + "/images").load().namespaces.hostName == "new")
    var about = stat()
    #expect(stat(temporary.path + "/images", &about) == 0 && about.st_mode & 0o7777 == 0o751)
  }

  @Test(arguments: ["images", "link"])
  func whatPluginsPutBesideAFormerSetGoesWithIt(path: String) throws {
    let temporary = try TemporaryDirectory()
    let images = try temporary.directory("images")
    try expectZero(symlinkat("images", temporary.descriptor, "link"), "symlinkat")
    let writer = try ImageWriter.stage(for: temporary.path + "/" + path)
    try writer.write(try ImageSetTests.container())
    try ImageFiles.write([1], to: "of-a-plugin", in: writer.descriptor)
    try writer.noteOtherFiles()
    try writer.commit()
    try temporary.write([1], to: "images/dump.log")
    #expect(try temporary.names("images").contains("of-a-plugin"))
    try write(temporary.path + "/" + path)
    let names = try temporary.names("images")
    #expect(names.contains("dump.log") && !names.contains("of-a-plugin"))
    close(images)
  }

  @Test func aLinkedDirectoryIsFilledFileByFile() throws {
    let temporary = try TemporaryDirectory()
    let images = try temporary.directory("images")
    try expectZero(symlinkat("images", temporary.descriptor, "link"), "symlinkat")
    for name in ["mountpoints-99.img", "inventory.img", "dump.log"] {
      try temporary.write([1], to: "images/" + name)
    }
    try write(temporary.path + "/link")
    let names = try temporary.names("images")
    #expect(names.contains("dump.log") && !names.contains("mountpoints-99.img"))
    #expect(names.allSatisfy { $0.first != "." })
    #expect(
      try ImageDirectory.open(temporary.path + "/link").load().namespaces.hostName == "new")
    var about = stat()
    #expect(fstat(images, &about) == 0 && about.st_nlink == 2)
  }

  @Test func whatWasThereIsThereAgainWhenTheCommitFails() throws {
    let temporary = try TemporaryDirectory()
    _ = try temporary.directory("images")
    try expectZero(symlinkat("images", temporary.descriptor, "link"), "symlinkat")
    try write(temporary.path + "/link", hostName: "old")
    _ = try temporary.directory("images/a-plugins")
    let before = try temporary.names("images")
    for path in ["/link", "/images"] {
      let writer = try ImageWriter.stage(for: temporary.path + path)
      try writer.write(try ImageSetTests.container())
      // A directory that a file of the new set would have to replace.
      try expectZero(mkdirat(writer.descriptor, "a-plugins", 0o700), "mkdirat")
      let file = openat(writer.descriptor, "a-plugins/x", O_CREAT | O_WRONLY, 0o600)
      close(file)
      let inside = openat(temporary.descriptor, "images/a-plugins/y", O_CREAT | O_WRONLY, 0o600)
      close(inside)
      var failure: SystemCallFailure?
      do throws(SystemCallFailure) { try writer.commit() } catch { failure = error }
      #expect(failure != nil)
      #expect(try temporary.names("images") == before)
      #expect(
        try ImageDirectory.open(temporary.path + path).load().namespaces.hostName == "old")
    }
    #expect(try temporary.names() == ["images", "link"])
  }

  @Test func aFileIsNoDestination() throws {
    let temporary = try TemporaryDirectory()
    try temporary.write([1], to: "file")
    #expect(throws: SystemCallFailure.self) {
      _ = try ImageWriter.stage(for: temporary.path + "/file").descriptor
    }
    #expect(throws: SystemCallFailure.self) {
      _ = try ImageWriter.stage(for: temporary.path + "/not/there").descriptor
    }
  }

  @Test func namesOfSets() {
    for name in ["inventory.img", "tmpfs-dev-41.tar.gz.img", "mountpoints-10.img", "pages-1.img"] {
      #expect(ImageName.isPartOfSet(name), "\(name)")
    }
    for name in ["disk.img", "mountpoints-.img", "mountpoints-x.img", "notes-1.img", "dump.log"] {
      #expect(!ImageName.isPartOfSet(name), "\(name)")
    }
  }
}
