import FoundationEssentials
import MountTable
import Testing

@testable import CheckpointImages

/// Mounts of every kind, each to and from its entry.
@Suite struct MountEntryTests {
  static let plain = Mount(
    id: MountID(5), parent: MountID(4), device: .init(major: 0, minor: 41), root: "/",
    mountPoint: "/a",
    fileSystem: "tmpfs")

  private static func mount(_ change: (inout Mount) -> Void) -> Mount {
    var mount = plain
    change(&mount)
    return mount
  }

  static let mounts: [(String, Mount)] = [
    ("plain", plain),
    (
      "every flag",
      mount {
        $0.attributes = MountAttributes(
          [.readOnly, .noSUID, .noDevices, .noExecution, .noDirectoryAccessTime, .noSymbolicLinks],
          accessTime: .never)
      }
    ),
    ("strict times", mount { $0.attributes.accessTime = .strict }),
    ("shared", mount { $0.peerGroup = .init(3) }),
    (
      "slave",
      mount {
        $0.master = .init(3)
        $0.propagateFrom = .init(2)
      }
    ),
    (
      "both",
      mount {
        $0.peerGroup = .init(4)
        $0.master = .init(3)
      }
    ),
    ("unbindable", mount { $0.isUnbindable = true }),
    (
      "deleted root",
      mount {
        $0.root = "/gone"
        $0.isRootDeleted = true
      }
    ),
    (
      "climbing root",
      mount {
        $0.root = "/../../user.slice"
        $0.fileSystem = "cgroup2"
      }
    ),
    (
      "namespace",
      mount {
        $0.root = "net:[4026531840]"
        $0.fileSystem = "nsfs"
      }
    ),
    ("unknown type", mount { $0.fileSystem = "zfs" }),
    (
      "bytes",
      mount {
        $0.mountPoint = MountPath([0x2F, 0xFF, 0x0A, 0x20])
        $0.source = .bytes(0xC3, 0x28)
        $0.superblockOptions = .bytes(0xFE)
        $0.fileSystem = .bytes(0xFF)
      }
    ),
    ("empty source", mount { $0.source = "" }),
    (
      "superblock",
      mount {
        $0.superblockFlags = [.readOnly, .lazyTime, .synchronous]
        $0.superblockOptions = "size=64k"
      }
    ),
    ("key", mount { $0.mooring = .key("thekey") }),
    (
      "detected",
      mount {
        $0.mooring = .detected(path: "/srv/ext")
        $0.source = "/dev/vda"
      }
    ),
    (
      "device",
      mount {
        $0.mooring = .device("disk")
        $0.source = "/dev/vdb"
      }
    ),
    ("plugin", mount { $0.mooring = .plugin(isFile: nil) }),
    (
      "plugin, file",
      mount {
        $0.mooring = .plugin(isFile: true)
        $0.isFile = true
      }
    ),
    ("file", mount { $0.isFile = true }),
    ("directory", mount { $0.isFile = false }),
    (
      "statmount",
      mount {
        $0.uniqueID = 1 << 40
        $0.idMapping = IDMapping(
          users: [.init(inside: 0, outside: 1000, count: 10)],
          groups: [.init(inside: 5, outside: .max - 1, count: 1)])
      }
    ),
    (
      "largest numbers",
      mount {
        $0.id = MountID(.max)
        $0.parent = MountID(.max - 1)
        $0.device = DeviceNumber(major: 4095, minor: 0xFFFFF)
      }
    ),
  ]

  @Test(arguments: mounts.indices, [true, false])
  func roundTrip(index: Int, needsName: Bool) throws {
    let mount = Self.mounts[index].1
    let bytes = try (MountEntry.entry(of: mount, needsName: needsName).serializedBytes() as [UInt8])
    let entry = try ImageMountEntry(serializedBytes: bytes)
    #expect(try MountEntry.mount(entry, file: "x", offset: 0) == mount, "\(Self.mounts[index].0)")
  }

  @Test func fieldsAreThoseOfCRIU() {
    var mount = Self.plain
    mount.peerGroup = .init(7)
    mount.master = .init(8)
    mount.mooring = .detected(path: "/srv/ext")
    mount.isRootDeleted = true
    let entry = MountEntry.entry(of: mount, needsName: false)
    #expect(entry.flags == 0x38_0000)
    #expect(entry.fstype == 5)
    #expect(entry.sharedID == 7 && entry.masterID == 8)
    #expect(Array(entry.source) == Array("//srv/ext".utf8))
    #expect(entry.deleted && Array(entry.root) == Array("/".utf8))
    let unknown = Self.mounts.first { $0.0 == "unknown type" }!.1
    #expect(MountEntry.entry(of: unknown, needsName: true).fstype == 16)
    #expect(MountEntry.entry(of: unknown, needsName: false).fstype == 0)
  }

  @Test func oldImagesHaveTheKeyInTheRoot() throws {
    var entry = MountEntry.entry(of: Self.plain, needsName: false)
    entry.root = Data(Array("oldkey".utf8))
    entry.extMount = true
    let mount = try MountEntry.mount(entry, file: "x", offset: 0)
    #expect(mount.mooring == .key("oldkey"))
    #expect(mount.root == .root)
  }

  @Test func aDeviceKeyWithoutBracketsIsRead() throws {
    var entry = MountEntry.entry(of: Self.plain, needsName: false)
    entry.extKey = Data(Array("CRIU:EXTERNAL_DEV".utf8))
    entry.source = Data(Array("disk".utf8))
    #expect(try MountEntry.mount(entry, file: "x", offset: 0).mooring == .device("disk"))
  }

  @Test func unknownFieldsAreKept() throws {
    let entry =
      try (MountEntry.entry(of: Self.plain, needsName: false).serializedBytes() as [UInt8])
    let bytes = entry + [0xFA, 0x7F, 0x02, 0x41, 0x42]  // field 2047, bytes
    let again: [UInt8] = try ImageMountEntry(serializedBytes: bytes).serializedBytes()
    #expect(again == bytes)
  }
}
