import FoundationEssentials
import MountTable
import Testing

@testable import CheckpointImages

/// Images that are damaged or made to harm: an error that says where, never a crash.
@Suite struct MalformedImageTests {
  private static let header: [UInt8] = [0x19, 0x43, 0x56, 0x54, 0x28, 0x39, 0x56, 0x55]

  private static func entry(_ change: (inout ImageMountEntry) -> Void) -> [UInt8] {
    var entry = MountEntry.entry(of: MountEntryTests.plain, needsName: false)
    change(&entry)
    let bytes: [UInt8] = try! entry.serializedBytes()
    return withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { Array($0) } + bytes
  }

  static let root = entry {
    $0.mntID = 1
    $0.mountpoint = Data([0x2F])
  }
  static func child(_ change: (inout ImageMountEntry) -> Void) -> [UInt8] {
    entry {
      $0.mntID = 2
      $0.parentMntID = 1
      change(&$0)
    }
  }

  static let images: [(why: String, bytes: [UInt8], problem: ImageError.Problem, at: Int?)] = [
    ("empty", [], .noHeader, 0),
    ("half a number", [0x19, 0x43], .noHeader, 0),
    ("one number", Array(header[..<4]), .noHeader, 4),
    (
      "something else", [1, 2, 3, 4, 5, 6, 7, 8],
      .wrongMagic(found: 0x0403_0201, expected: 0x5456_4319), 0
    ),
    (
      "another image", Array(header[..<4]) + [0x30, 0x30, 0x27, 0x50],
      .wrongMagic(found: 0x5027_3030, expected: 0x5556_3928), 4
    ),
    ("half a length", header + [1, 2], .truncated(entry: 4, rest: 2), 8),
    ("a length beyond the file", header + [9, 0, 0, 0, 1], .truncated(entry: 9, rest: 1), 8),
    ("a huge length", header + [0xFF, 0xFF, 0xFF, 0xFF], .entryTooLarge(.max), 8),
    ("no message", header + [2, 0, 0, 0, 0xFF, 0xFF], .malformed, 8),
    ("a message cut off", header + [2, 0, 0, 0, 0x32, 0x09], .malformed, 8),
    ("an empty message", header + [0, 0, 0, 0], .missingField, 8),
    ("no mounts", header, .table(.empty), nil),
    ("the same ID twice", header + root + root, .table(.duplicateID(MountID(1))), nil),
    (
      "a mount point with ..", header + root + child { $0.mountpoint = Data("/a/../b".utf8) },
      .table(.badMountPoint(MountID(2))), nil
    ),
    (
      "a relative mount point", header + root + child { $0.mountpoint = Data("a".utf8) },
      .table(.badMountPoint(MountID(2))), nil
    ),
    (
      "an empty mount point", header + root + child { $0.mountpoint = Data() },
      .table(.badMountPoint(MountID(2))), nil
    ),
    (
      "no parent", header + root + child { $0.parentMntID = 77 },
      .table(.severalRoots(MountID(2), MountID(1))), nil
    ),
    (
      "a circle",
      header + root
        + child {
          $0.mntID = 2
          $0.parentMntID = 3
        }
        + child {
          $0.mntID = 3
          $0.parentMntID = 2
        }, .table(.cycle(MountID(3))), nil
    ),
    (
      "NUL in a source", header + root + child { $0.source = Data([0x61, 0]) },
      .badValue(field: "source", value: "\"a\\000\""), 8 + root.count
    ),
    (
      "NUL in a root", header + child { $0.root = Data([0x2F, 0]) },
      .badValue(field: "root", value: "\"/\\000\""), 8
    ),
    (
      "no root", header + child { $0.root = Data() },
      .badValue(field: "root", value: "empty"), 8
    ),
  ]

  @Test(arguments: images.indices)
  func isRefused(index: Int) {
    let image = Self.images[index]
    #expect(throws: ImageError("m.img", image.problem, at: image.at), "\(image.why)") {
      try MountImage.table(image.bytes, file: "m.img")
    }
  }

  @Test func messagesNameFileAndPlace() {
    let error = ImageError("m.img", .truncated(entry: 9, rest: 1), at: 8)
    #expect(
      error.description == "m.img, byte 8: cut off: an entry of 9 bytes begins where 1 are left")
  }

  @Test(arguments: ["bind10/mountpoints-10.img", "external-auto/mountpoints-10.img"])
  func everyPrefixIsRefusedOrRead(name: String) throws {
    let bytes = try fixture(name)
    let whole = try MountImage.table(bytes, file: name).mounts.count
    for count in 0..<bytes.count {
      let table = try? MountImage.table(Array(bytes[..<count]), file: name)
      #expect((table?.mounts.count ?? 0) < whole)
    }
  }

  @Test(arguments: [
    "bind10/mountpoints-10.img", "external-auto/mountpoints-10.img", "random15/mountpoints-10.img",
  ])
  func everyFlippedBitIsRefusedOrRead(name: String) throws {
    let bytes = try fixture(name)
    for index in bytes.indices {
      for mask: UInt8 in [0x01, 0x80, 0xFF] {
        var changed = bytes
        changed[index] ^= mask
        _ = try? MountImage.table(changed, file: name)
      }
    }
  }

  @Test(arguments: ["inventory.img", "pstree.img", "ids-1.img", "mountpoints-10.img"])
  func everyFlippedByteOfASetIsRefusedOrRead(name: String) throws {
    let temporary = try TemporaryDirectory()
    let names = ["inventory.img", "pstree.img", "ids-1.img", "mountpoints-10.img"]
    for other in names where other != name {
      try temporary.write(try fixture("external-plugin/\(other)"), to: other)
    }
    let bytes = try fixture("external-plugin/\(name)")
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 0xFF
      try temporary.write(changed, to: name)
      _ = try? ImageDirectory.open(temporary.path).load()
      DirectoryTree.remove(Array(name.utf8), in: temporary.descriptor)
    }
  }

  @Test func anUnknownVersionIsRefused() throws {
    let temporary = try TemporaryDirectory()
    try temporary.write(try fixture("bind10/mountpoints-10.img"), to: "mountpoints-10.img")
    try temporary.write([0x16, 0x31, 0x31, 0x58, 2, 0, 0, 0, 0x08, 9], to: "inventory.img")
    #expect(throws: ImageError("inventory.img", .version(9))) {
      try ImageDirectory.open(temporary.path).load()
    }
  }
}
