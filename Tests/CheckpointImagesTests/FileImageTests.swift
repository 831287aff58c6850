import FileTable
import FoundationEssentials
import MountTable
import RestorePlan
import Testing

@testable import CheckpointImages

/// Open files in images: round trips, what other writers say, what is damaged or lies.
@Suite struct FileImageTests {
  private static let header: [UInt8] = [0x19, 0x43, 0x56, 0x54]
  private static let filesHeader = header + [0x38, 0x31, 0x30, 0x56]
  private static let descriptorsHeader = header + [0x32, 0x37, 0x21, 0x56]

  private static func framed(_ entry: some ImageEntry) -> [UInt8] {
    let bytes: [UInt8] = try! entry.serializedBytes()
    return withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { Array($0) } + bytes
  }

  private static func external(
    _ id: UInt32, _ change: (inout ImageFileEntry) -> Void = { _ in }
  ) -> [UInt8] {
    var file = OpenFile(
      id: id, kind: .characterDevice, name: "/dev/thing", inode: 5, mount: MountID(6),
      flags: .readWrite, device: DeviceNumber(major: 10, minor: 229))
    file.descriptors = []
    var entry = FileEntries.entry(file, .externalByPlugin("some"))
    change(&entry)
    return framed(entry)
  }

  private static func socket(
    _ id: UInt32, _ change: (inout ImageFileEntry) -> Void = { _ in }
  ) -> [UInt8] {
    var entry = FileEntries.entry(Self.socketFile(id), .externalByPlugin("some"))
    change(&entry)
    return framed(entry)
  }

  private static func socketFile(_ id: UInt32) -> OpenFile {
    var file = OpenFile(
      id: id, kind: .unixSocket, name: "socket:[77]", inode: 77, mount: MountID(9),
      flags: [.readWrite, .nonBlocking])
    file.socket = UnixSocket(type: 2)
    file.socket?.peer = .socket(78)
    file.socket?.peerName = [0, 0x61, 0xFF, 0]
    file.socket?.name = Array("/run/client".utf8)
    file.socket?.sendBuffer = 4096
    file.socket?.sendTimeout = 0
    return file
  }

  private static func descriptor(
    _ number: UInt32, file: UInt32, _ change: (inout ImageDescriptorEntry) -> Void = { _ in }
  ) -> [UInt8] {
    var entry = ImageDescriptorEntry()
    entry.id = file
    entry.flags = 0
    entry.type = 16
    entry.fd = number
    change(&entry)
    return framed(entry)
  }

  private func read(_ files: [UInt8], _ tables: [UInt32: [UInt8]]) throws -> ClassifiedFiles {
    let directory = try TemporaryDirectory()
    try directory.write(files, to: "files.img")
    for (number, bytes) in tables { try directory.write(bytes, to: "fdinfo-\(number).img") }
    return try FileImages(directory: directory.descriptor).read(
      first: 2, pid: 1, among: try directory.names())
  }

  @Test func `what is written is read back`() throws {
    var device = OpenFile(
      id: 1, kind: .characterDevice, name: .bytes(0x2F, 0xFF, 0x0A), inode: 5,
      mount: MountID(6), flags: [.readWrite, .append], device: DeviceNumber(major: 10, minor: 229))
    device.descriptors = [
      HeldDescriptor(holder: 0, number: 5, closesOnExec: true),
      HeldDescriptor(holder: 0, number: 100, closesOnExec: false),
      HeldDescriptor(holder: 1, number: 7, closesOnExec: false),
    ]
    device.position = 1 << 40
    var socket = Self.socketFile(2)
    socket.descriptors = [HeldDescriptor(holder: 0, number: 3, closesOnExec: false)]
    var keyed = Self.socketFile(3)
    keyed.inode = 99
    keyed.name = "socket:[99]"
    keyed.descriptors = [HeldDescriptor(holder: 1, number: 8, closesOnExec: true)]
    var left = device
    left.id = 4
    let files = ClassifiedFiles(
      table: FileTable(
        holders: [FileHolder(pid: 0, innerPID: 1), FileHolder(pid: 0, innerPID: 12)],
        files: [device, socket, keyed, left]),
      classes: [
        .externalByPlugin("some"), .externalByPlugin("other"), .externalByKey("a key"), .skipped,
      ])
    let directory = try TemporaryDirectory()
    try FileImages(directory: directory.descriptor).write(files)
    #expect(try directory.names() == ["fdinfo-2.img", "fdinfo-3.img", "files.img"])
    let found = try FileImages(directory: directory.descriptor).read(
      first: 2, pid: 1, among: try directory.names())
    #expect(found == files.external)
    // The peer of the socket that a plugin brings has an entry of its own, as CRIU has it.
    let image = directory.path + "/files.img"
    if hasTool("crit") {
      let decoded = shell("crit decode -i \(image)")
      #expect(decoded.status == 0, "\(decoded.output)")
      #expect(decoded.output.contains("\"ino\": 78"), "\(decoded.output)")
      #expect(shell("crit decode -i \(directory.path)/fdinfo-3.img").status == 0)
    }
  }

  @Test func `files of CRIU's that no plugin brings are left alone`() throws {
    let images = try ImageDirectory.open("\(fixtures)/external-plugin")
    #expect(try images.parts() == [.mounts, .files])
    let container = try images.load()
    #expect(container.files.table.files.isEmpty)
  }

  @Test func `entries as CRIU writes them`() throws {
    var entry = ImageFileEntry()
    entry.type = 16
    entry.id = 5
    entry.ext.id = 5
    entry.ext.fown = FileEntries.entry(Self.socketFile(1), .skipped).usk.fown
    let found = try read(
      Self.filesHeader + Self.framed(entry)
        + Self.socket(6) { entry in
          for clear in [
            { (entry: inout ImageFileEntry) in entry.clearOpenFlags() }, { $0.clearKind() },
            { $0.clearLink() }, { $0.clearPlugin() }, { $0.clearInode() }, { $0.clearPeerName() },
          ] { clear(&entry) }
        },
      [2: Self.descriptorsHeader + Self.descriptor(3, file: 5) + Self.descriptor(4, file: 6)])
    #expect(found.classes == [.externalByPlugin(""), .externalByPlugin("")])
    #expect(found.table.files.map(\.kind) == [.regular, .unixSocket])
    #expect(found.table.files[1].flags == [.readWrite, .nonBlocking])
    #expect(found.table.files[1].name == "socket:[77]")
  }

  static let damaged: [(why: String, files: [UInt8], table: [UInt8], problem: ImageError.Problem)] =
    [
      ("no header", [1, 2], descriptorsHeader, .noHeader),
      (
        "another image", header + [0x30, 0x30, 0x27, 0x50], descriptorsHeader,
        .wrongMagic(found: 0x5027_3030, expected: 0x5630_3138)
      ),
      (
        "two files with one id", filesHeader + external(1) + external(1), descriptorsHeader,
        .duplicate("files with the id", value: "1")
      ),
      (
        "an external file without its entry", filesHeader + external(1) { $0.clearExt() },
        descriptorsHeader, .missingField
      ),
      (
        "a socket without its entry", filesHeader + socket(1) { $0.clearUsk() }, descriptorsHeader,
        .missingField
      ),
      (
        "an entry of another file", filesHeader + external(1) { $0.ext.id = 9 }, descriptorsHeader,
        .badValue(field: "the file's id", value: "9")
      ),
      (
        "an unknown kind", filesHeader + external(1) { $0.kind = Data("nonsense".utf8) },
        descriptorsHeader, .badValue(field: "the kind of a file", value: "\"nonsense\"")
      ),
      (
        "a socket that is no socket", filesHeader + socket(1) { $0.kind = Data("char".utf8) },
        descriptorsHeader, .badValue(field: "the kind of a file", value: "\"char\"")
      ),
      (
        "an unknown type of socket", filesHeader + socket(1) { $0.usk.type = 77 },
        descriptorsHeader, .badValue(field: "a socket's type", value: "77")
      ),
      (
        "a long name of a socket",
        filesHeader + socket(1) { $0.usk.name = Data(repeating: 0x61, count: 109) },
        descriptorsHeader, .badValue(field: "a socket's name", value: "109 bytes long")
      ),
      (
        "two descriptors of one number", filesHeader + external(1),
        descriptorsHeader + descriptor(5, file: 1) + descriptor(5, file: 1),
        .duplicate("descriptors with the number", value: "5")
      ),
      (
        "a number out of range", filesHeader + external(1),
        descriptorsHeader + descriptor(.max, file: 1),
        .badValue(field: "a descriptor", value: "4294967295")
      ),
      (
        "a descriptor of no file", filesHeader + external(1),
        descriptorsHeader + descriptor(5, file: 3),
        .badValue(field: "the file of descriptor 5", value: "3")
      ),
    ]

  @Test(arguments: damaged.indices)
  func `damaged and lying images`(index: Int) throws {
    let damage = Self.damaged[index]
    do {
      _ = try read(damage.files, [2: damage.table])
      Issue.record("\(damage.why): it was read")
    } catch let error as ImageError {
      #expect(error.problem == damage.problem, "\(damage.why): \(error)")
    }
  }

  @Test func `any byte of a set may be another`() throws {
    let files = Self.filesHeader + Self.external(1) + Self.socket(2)
    let table =
      Self.descriptorsHeader + Self.descriptor(5, file: 1) + Self.descriptor(6, file: 2)
    var dice = Dice(5)
    for _ in 0..<400 {
      var (one, other) = (files, table)
      one[Int.random(in: 0..<one.count, using: &dice)] = UInt8.random(in: 0...255, using: &dice)
      other[Int.random(in: 0..<other.count, using: &dice)] = UInt8.random(
        in: 0...255, using: &dice)
      do { _ = try read(one, [2: other]) } catch is ImageError {}
    }
  }
}
