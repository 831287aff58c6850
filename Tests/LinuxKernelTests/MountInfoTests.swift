import Glibc
import MountTable
import Testing

@testable import LinuxKernel

/// A file below `fixtures`.
func fixture(_ name: String, file: StaticString = #filePath) -> String {
  let folder = "\(file)".split(separator: "/").dropLast(3).joined(separator: "/")
  return "/\(folder)/fixtures/\(name)"
}

@Suite("Reading mountinfo as text")
struct MountInfoTests {
  private func mount(_ line: String) throws -> Mount {
    try #require(MountInfoReader.mounts(in: Array(line.utf8)).first)
  }

  @Test(
    arguments: [
      ("runc-container", 16), ("systemd-host", 17), ("docker-overlay-host", 11),
      ("kubernetes-pod", 9),
    ])
  func realTables(name: String, count: Int) throws {
    let table = try readMountTable(file: fixture("mountinfo/\(name).txt"))
    #expect(table.mounts.count == count)
    #expect(table.root.mountPoint.isRoot)
  }

  @Test func aHostOfSystemd() throws {
    let table = try readMountTable(file: fixture("mountinfo/systemd-host.txt"))
    let films = try #require(table[MountID(36)])
    #expect(films.source == "media@nas:/vol/my films")
    #expect(films.fileSystem == "fuse.sshfs")
    #expect(
      films.attributes
        == MountAttributes([.noSUID, .noDevices, .noSymbolicLinks], accessTime: .never))
    #expect(films.peerGroup == PeerGroupID(31))
    let network = try #require(table[MountID(37)])
    #expect(network.root == "net:[4026532301]")
    #expect(network.attributes.accessTime == .strict)
    let labelled = try #require(table[MountID(38)])
    #expect(labelled.idMapping == IDMapping(users: [], groups: []))
    #expect(labelled.superblockFlags == .lazyTime)
    #expect(
      labelled.superblockOptions
        == "context=\"system_u:object_r:svirt_t:s0:c1,c2\",attr2,inode64")
    let gone = try #require(table[MountID(39)])
    #expect(gone.isRootDeleted)
    #expect(gone.root == "/var/lost")
  }

  @Test func propagationAndSources() throws {
    let table = try readMountTable(file: fixture("mountinfo/docker-overlay-host.txt"))
    let shared = try #require(table[MountID(1215)])
    #expect(shared.peerGroup == PeerGroupID(88))
    #expect(shared.master == PeerGroupID(1))
    #expect(shared.propagateFrom == PeerGroupID(7))
    // libmount makes of it the device that the host's root happens to be on.
    #expect(shared.source == "/dev/root")
    #expect(table[MountID(1210)]?.root == "/../../user.slice")
    let pod = try readMountTable(file: fixture("mountinfo/kubernetes-pod.txt"))
    #expect(pod[MountID(2415)]?.isUnbindable == true)
    #expect(
      pod[MountID(2418)]?.superblockFlags
        == [.synchronous, .synchronousDirectories, .mandatoryLocks, .lazyTime])
    #expect(pod[MountID(2418)]?.superblockOptions == "size=1024k")
  }

  @Test(
    "names are bytes",
    arguments: [
      "a b", "a\tb", "a\nb", "a\\b", "a\\040b", "#a", "a\\040(deleted)", "a (deleted)", "ü",
      "LABEL=a", "UUID=\"x\"", "a,b", "-", "\u{1}\u{7F}", String(repeating: "x/y", count: 1333),
    ])
  func unusualNames(name: String) throws {
    let escaped = mountinfoEscaped(Array(name.utf8))
    let line =
      Array("7 1 0:5 /".utf8) + escaped + Array(" /".utf8) + escaped
      + Array(" rw - tmpfs ".utf8) + escaped + Array(" rw,x=".utf8) + escaped + [0x0A]
    let mount = try #require(MountInfoReader.mounts(in: line).first)
    #expect(mount.root.bytes == Array("/\(name)".utf8))
    #expect(mount.mountPoint.bytes == Array("/\(name)".utf8))
    #expect(mount.source == KernelString(name))
    #expect(mount.superblockOptions == KernelString("x=\(name)"))
  }

  @Test func bytesThatAreNotText() throws {
    let bytes: [UInt8] = [0x2F, 0xFF, 0xFE, 0x80]
    let mount = try #require(
      MountInfoReader.mounts(
        in: Array("7 1 0:5 / ".utf8) + bytes + Array(" rw - tmpfs  rw".utf8)
      ).first)
    #expect(mount.mountPoint.bytes == bytes)
    #expect(mount.source.isEmpty)
  }

  @Test func deviceNumbersKeepAllBits() throws {
    let mount = try mount("7 1 4095:1048575 / /a rw - tmpfs none rw")
    #expect(mount.device == DeviceNumber(major: 4095, minor: 1_048_575))
  }

  @Test func nothingAndRemarks() throws {
    #expect(try MountInfoReader.mounts(in: []) == [])
    #expect(try MountInfoReader.mounts(in: Array("# a remark\n\n  \n".utf8)) == [])
  }

  @Test(
    "malformed lines",
    arguments: [
      ("x 1 0:5 / /a rw - tmpfs none rw", .badMountID),
      ("-7 1 0:5 / /a rw - tmpfs none rw", .badMountID),
      ("5000000000 1 0:5 / /a rw - tmpfs none rw", .badMountID),
      ("7a 1 0:5 / /a rw - tmpfs none rw", .badMountID),
      ("7 y 0:5 / /a rw - tmpfs none rw", .badParentID),
      ("7", .badMountID),
      ("7 1 05 / /a rw - tmpfs none rw", .badDevice),
      ("7 1 0:5x / /a rw - tmpfs none rw", .badDevice),
      ("7 1 0:99999999999 / /a rw - tmpfs none rw", .badDevice),
      ("7 1 0:5 /", .missingMountPoint),
      ("7 1 0:5 / a rw - tmpfs none rw", .mountPointNotAbsolute),
      ("7 1 0:5 / /a", .missingMountOptions),
      ("7 1 0:5 / /a rw", .missingSeparator),
      ("7 1 0:5 / /a rw tmpfs none rw", .missingSeparator),
      ("7 1 0:5 / /a rw - ", .missingFileSystem),
      ("7 1 0:5 / /a rw - tmpfs", .missingSource),
      ("7 1 0:5 / /a rw - tmpfs none", .missingSuperblockOptions),
      ("7 1 0:5 / /a nosuid - tmpfs none rw", .notReadOnlyNorWritable),
      ("7 1 0:5 / /a rw - tmpfs none size=1k", .notReadOnlyNorWritable),
      ("7 1 0:5 / /a rw,shiny - tmpfs none rw", .unknownMountOption("shiny")),
      ("7 1 0:5 / /a rw shared:x - tmpfs none rw", .badPeerGroup("shared:x")),
      ("7 1 0:5 / /a rw master: - tmpfs none rw", .badPeerGroup("master:")),
      ("7 1 0:5 / /a\0b rw - tmpfs none rw", .holdsNUL),
      ("/dev/sda1 / ext4 rw 0 0", .badMountID),
    ] as [(String, MountInfoError.Reason)])
  func malformed(line: String, reason: MountInfoError.Reason) {
    let good = "1 0 0:4 / / rw - tmpfs none rw\n# a remark\n"
    for (text, number) in [(line, 1), (good + line, 3), (good + line + "\n" + good, 3)] {
      #expect(throws: MountInfoError(line: number, reason)) {
        try MountInfoReader.mounts(in: Array(text.utf8))
      }
    }
  }

  @Test func offsetsOfClocks() {
    let text = Array("monotonic           3600         5\nboottime      -2 500000000\n".utf8)
    #expect(clockOffset("monotonic", in: text) == 3_600_000_000_005)
    #expect(clockOffset("boottime", in: text) == -1_500_000_000)
    #expect(clockOffset("other", in: text) == nil)
  }
}

/// As the kernel writes names into mountinfo.
func mountinfoEscaped(_ bytes: [UInt8]) -> [UInt8] {
  bytes.flatMap { byte -> [UInt8] in
    switch byte {
    case 0x20: Array("\\040".utf8)
    case 0x09: Array("\\011".utf8)
    case 0x0A: Array("\\012".utf8)
    case 0x5C: Array("\\134".utf8)
    case 0x23: Array("\\043".utf8)
    default: [byte]
    }
  }
}
