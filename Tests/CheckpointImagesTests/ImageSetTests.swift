import Glibc
import LinuxKernel
import MountTable
import RestorePlan
import Testing

@testable import CheckpointImages

/// Whole sets: CRIU's are read, ours are read back and decoded by CRIU's own tool.
@Suite struct ImageSetTests {
  @Test(arguments: imageSets)
  func aSetOfCRIUSaysWhatTheKernelSaid(name: String) throws {
    let container = try ImageDirectory.open("\(fixtures)/\(name)").load()
    let lines = String(decoding: try fixture("\(name)/mountinfo.txt"), as: UTF8.self)
      .split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    #expect(container.mounts.mounts.count == lines.count)
    for (mount, line) in zip(container.mounts.mounts, lines) {
      #expect("\(mount.id)" == line[0] && "\(mount.parent)" == line[1])
      #expect("\(mount.device)" == line[2])
      #expect("\(mount.root)" == line[3] && "\(mount.mountPoint)" == line[4])
      #expect(mount.attributes == MountAttributes() && line[5] == "rw,relatime")
      #expect((mount.peerGroup.map { "shared:\($0)" }) == line.first { $0.hasPrefix("shared:") })
      #expect((mount.master.map { "master:\($0)" }) == line.first { $0.hasPrefix("master:") })
      let dash = line.firstIndex(of: "-")!
      if mount.fileSystem != "unsupported" { #expect("\(mount.fileSystem)" == line[dash + 1]) }
      if mount.mooring == nil { #expect("\(mount.source)" == line[dash + 2]) }
      let options = line[dash + 3].split(separator: ",").dropFirst().joined(separator: ",")
      #expect("\(mount.superblockOptions)" == options)
    }
    #expect(container.pid == 1)
    #expect(container.pluginNames == [])
    var own: Set<NamespaceKind> = [.mount, .process]
    if name == "net" { own.insert(.network) }
    #expect(Set(container.namespaces.own.keys) == own)
    let archived = Set(
      container.mounts.mounts.filter { $0.fileSystem == "tmpfs" }.map(\.device))
    #expect(container.archivedDevices == archived)
  }

  @Test func whatCRIUMoors() throws {
    func moorings(_ set: String) throws -> [String: SavedMooring] {
      let mounts = try ImageDirectory.open("\(fixtures)/\(set)").load().mounts.mounts
      return Dictionary(
        uniqueKeysWithValues: mounts.compactMap { mount in
          mount.mooring.map { ("\(mount.mountPoint)", $0) }
        })
    }
    #expect(try moorings("external-key") == ["/dir": .key("thedir"), "/file": .key("thefile")])
    #expect(
      try moorings("external-plugin") == ["/dir": .plugin(isFile: nil), "/file": .key("thefile")])
    #expect(
      try moorings("external-auto") == [
        "/dir": .detected(path: "/srv/demo/ext"), "/file": .detected(path: "/srv/demo/ext/f"),
      ])
  }

  static func container() throws -> SavedContainer {
    var mounts = MountEntryTests.mounts.map(\.1).enumerated().map { index, mount in
      var mount = mount
      mount.id = MountID(UInt32(index + 2))
      mount.parent = MountID(1)
      return mount
    }
    mounts.insert(
      Mount(
        id: MountID(1), parent: MountID(0), device: .init(major: 254, minor: 0), root: "/r",
        mountPoint: "/", fileSystem: "ext4", source: "/dev/vda"), at: 0)
    var namespaces = ContainerNamespaces(
      own: [.mount: 4_026_531_841, .uts: 7, .user: 8, .time: 9, .process: 10])
    namespaces.hostName = "anchor"
    namespaces.mapping = IDMapping(
      users: [.init(inside: 0, outside: 100_000, count: 65536)],
      groups: [.init(inside: 0, outside: 100_000, count: 65536)])
    namespaces.monotonicOffset = -5
    namespaces.bootTimeOffset = 86_400_000_000_000
    return SavedContainer(
      mounts: try MountTable(mounts), namespaces: namespaces, pid: 7,
      pluginNames: ["one", "two"])
  }

  @Test func ourSetIsReadBack() throws {
    let temporary = try TemporaryDirectory()
    var container = try Self.container()
    let device = DeviceNumber(major: 0, minor: 41)
    do {
      let writer = try ImageWriter.stage(for: temporary.path + "/images")
      try writer.write(container)
      let archive = try writer.createContents(of: device)
      let content = try temporary.directory("content")
      _ = try ContentArchive.write(
        roots: [ContentRoot(descriptor: content)], to: archive.number)
      try writer.commit()
    }
    container.archivedDevices = [device]
    let directory = try ImageDirectory.open(temporary.path + "/images")
    #expect(try directory.load() == container)
    let archive = try directory.openContents(of: device)
    let isThere = archive != nil
    #expect(isThere)
    let none = try directory.openContents(of: .init(major: 1, minor: 1))
    let isMissing = none == nil
    #expect(isMissing)
    #expect(try temporary.names() == ["content", "images"])
  }

  @Test func clocksOfOtherWritersBecomeOffsets() throws {
    var namespaces = ContainerNamespaces(own: [.time: 1])
    namespaces.monotonicOffset = 3_600_000_000_000
    namespaces.bootTimeOffset = 7_200_000_000_000
    var read = ContainerNamespaces(own: [.time: 1])
    try NamespaceImages.setOffsets(
      of: &read, from: NamespaceImages.clocks(namespaces), file: "timens-5.img")
    #expect(abs(read.monotonicOffset! - namespaces.monotonicOffset!) < 60_000_000_000)
    #expect(abs(read.bootTimeOffset! - namespaces.bootTimeOffset!) < 60_000_000_000)
  }

  @Test(.enabled(if: hasTool("crit")))
  func critDecodesWhatWeWrite() throws {
    let temporary = try TemporaryDirectory()
    var container = try Self.container()
    // crit takes the bytes for UTF-8.
    container.mounts = try MountTable(
      container.mounts.mounts.filter { $0.fileSystem.description.first != "\\" })
    let writer = try ImageWriter.stage(for: temporary.path + "/images")
    try writer.write(container)
    try writer.commit()
    let images = try temporary.names("images")
    #expect(
      images == [
        "ids-7.img", "inventory.img", "mountpoints-12.img", "pstree.img", "timens-11.img",
        "userns-13.img", "utsns-10.img",
      ])
    for image in images {
      let decoded = shell("crit decode -i \(temporary.path)/images/\(image)")
      #expect(decoded.status == 0, "\(image): \(decoded.output)")
    }
    let mounts = shell("crit decode --pretty -i \(temporary.path)/images/mountpoints-12.img")
    #expect(mounts.output.contains("\"ext_key\": \"CRIU:AUTOGENERATED\""))
    #expect(mounts.output.contains("\"source\": \"//srv/ext\""))
  }

  @Test func aSetWithoutProcessesHasOneImageOfMounts() throws {
    let temporary = try TemporaryDirectory()
    try temporary.write(try fixture("bind10/mountpoints-10.img"), to: "mountpoints-3.img")
    #expect(throws: ImageError("inventory.img", .missing)) {
      try ImageDirectory.open(temporary.path).load()
    }
    try temporary.write(try fixture("bind10/inventory.img"), to: "inventory.img")
    let container = try ImageDirectory.open(temporary.path).load()
    #expect(container.namespaceIDs == [.mount: 3])
    #expect(Set(container.namespaces.own.keys) == [.mount])
    try temporary.write(try fixture("bind10/mountpoints-10.img"), to: "mountpoints-4.img")
    #expect(
      throws: ImageError(
        temporary.path, .ambiguous(["mountpoints-3.img", "mountpoints-4.img"]))
    ) { try ImageDirectory.open(temporary.path).load() }
  }

  @Test func anEmptyDirectoryIsNoSet() throws {
    let temporary = try TemporaryDirectory()
    #expect(throws: ImageError(temporary.path, .missing)) {
      try ImageDirectory.open(temporary.path).load()
    }
  }

  @Test func whatIsNoRegularFileIsNotOpened() throws {
    let temporary = try TemporaryDirectory()
    try temporary.write(try fixture("bind10/inventory.img"), to: "inventory.img")
    try expectZero(mkfifoat(temporary.descriptor, "mountpoints-1.img", 0o600), "mkfifoat")
    #expect(throws: ImageError("mountpoints-1.img", .notRegular)) {
      try ImageDirectory.open(temporary.path).load()
    }
    try expectZero(symlinkat("/etc/passwd", temporary.descriptor, "pstree.img"), "symlinkat")
    #expect(throws: ImageError("pstree.img", .notRegular)) {
      try ImageDirectory.open(temporary.path).load()
    }
  }
}
