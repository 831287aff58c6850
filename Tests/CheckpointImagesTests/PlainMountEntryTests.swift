import FoundationEssentials
import MountTable
import Testing

@testable import CheckpointImages

/// The quick reader of entries against SwiftProtobuf and `MountEntry`.
@Suite struct PlainMountEntryTests {
  private static func message(_ mount: Mount, needsName: Bool = false) throws -> [UInt8] {
    try MountEntry.entry(of: mount, needsName: needsName).serializedBytes()
  }

  private static func careful(_ message: [UInt8]) -> Mount? {
    (try? ImageMountEntry(serializedBytes: message)).flatMap {
      try? MountEntry.mount($0, file: "x", offset: 0)
    }
  }

  private static func quick(_ message: [UInt8]) -> Mount? {
    // Not at the front of the bytes, and not at their end.
    var reader = PlainMountEntry()
    let bytes = [0x08] + message + [0x08, 0x01]
    return reader.mount(bytes, 1..<1 + message.count)
  }

  @Test(arguments: MountEntryTests.mounts.indices)
  func agreesOnEveryKind(index: Int) throws {
    let (name, mount) = MountEntryTests.mounts[index]
    let found = Self.quick(try Self.message(mount))
    if mount.mooring != nil || mount.idMapping != nil {
      #expect(found == nil, "\(name)")
    } else {
      #expect(found == mount, "\(name)")
    }
  }

  @Test func neighboursThatDiffer() throws {
    var reader = PlainMountEntry()
    for (name, mount) in MountEntryTests.mounts + MountEntryTests.mounts.reversed() {
      let message = try Self.message(mount)
      let found = reader.mount(message, 0..<message.count)
      #expect(found == nil || found == mount, "\(name)")
    }
  }

  @Test func whatIsNotPlainIsLeft() throws {
    let plain = try Self.message(MountEntryTests.plain)
    #expect(Self.quick(plain) != nil)
    let additions: [(String, [UInt8])] = [
      ("an unknown field", [0xFA, 0x7F, 0x02, 0x41, 0x42]),
      ("a wrong type", [0x12, 0x01, 0x41]),
      ("field 0", [0x00, 0x01]),
      ("a number of 33 bits", [0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]),
      ("a number without end", [0x10, 0xFF]),
      ("a number of eleven bytes", [0x10] + Array(repeating: 0xFF, count: 10) + [0x01]),
      ("a text longer than the message", [0x3A, 0x05, 0x2F]),
      ("a text as long as can be", [0x3A] + Array(repeating: 0xFF, count: 8) + [0x7F]),
      ("a NUL", [0x3A, 0x03, 0x2F, 0x00, 0x61]),
      ("an empty root", [0x32, 0x00]),
      ("a root marked as deleted", [0x32, 0x0B] + Array("/a//deleted".utf8)),
      ("half a key", [0x80]),
    ]
    for (why, bytes) in additions { #expect(Self.quick(plain + bytes) == nil, "\(why)") }
  }

  @Test func theLastOfTwoCounts() throws {
    let twice = try Self.message(MountEntryTests.plain) + [0x10, 0x07, 0x3A, 0x02, 0x2F, 0x62]
    #expect(Self.quick(twice)?.id == MountID(7))
    #expect(Self.quick(twice)?.mountPoint == "/b")
    #expect(Self.quick(twice) == Self.careful(twice))
  }

  @Test func everyRequiredFieldIsAskedFor() throws {
    for field in 1...9 {
      var entry = MountEntry.entry(of: MountEntryTests.plain, needsName: false)
      switch field {
      case 1: entry.clearFstype()
      case 2: entry.clearMntID()
      case 3: entry.clearRootDev()
      case 4: entry.clearParentMntID()
      case 5: entry.clearFlags()
      case 6: entry.clearRoot()
      case 7: entry.clearMountpoint()
      case 8: entry.clearSource()
      default: entry.clearOptions()
      }
      let message: [UInt8] = try entry.serializedBytes(partial: true)
      #expect(Self.quick(message) == nil, "field \(field)")
    }
  }

  /// Bytes changed, left out, doubled: the quick reader says what the careful one says, or nothing.
  @Test func damagedMessages() throws {
    var random = SeededNumbers(state: 7)
    var readings = 0
    for (_, mount) in MountEntryTests.mounts {
      let message = try Self.message(mount, needsName: Bool.random(using: &random))
      for _ in 0..<2000 {
        var damaged = message
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          let place = Int.random(in: 0..<damaged.count, using: &random)
          switch Int.random(in: 0..<4, using: &random) {
          case 0: damaged[place] = .random(in: 0...255, using: &random)
          case 1: damaged[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
          case 2: damaged.insert(damaged[place], at: place)
          default: damaged.remove(at: place)
          }
        }
        guard let found = Self.quick(damaged) else { continue }
        readings += 1
        #expect(found == Self.careful(damaged), "\(damaged)")
      }
    }
    #expect(readings > 1000)
  }
}

/// Numbers that look random and are the same in every run (SplitMix64).
private struct SeededNumbers: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
