import FileTable
import MountTable
import RestorePlan
import Testing

@Suite struct FileClassifierTests {
  private func classify(
    _ table: FileTable, _ options: FileOptions = .init(), plugin: Set<UInt32> = []
  ) throws -> ClassifiedFiles {
    try FileClassifier(options: options) { plugin.contains($0.id) ? "some" : nil }.classify(table)
  }

  @Test(arguments: [
    (OpenFileKind.regular, true), (.directory, true), (.fifo, true), (.symbolicLink, true),
    (.namespace, true),
  ])
  func `what the tree gives back needs nobody`(kind: OpenFileKind, isReachable: Bool) throws {
    var file = OpenFile.of(kind)
    file.isReachable = isReachable
    #expect(try classify(.of([file])).classes == [.inTree])
    file.isReachable = false
    #expect(try classify(.of([file])).classes == [.unsupported])
  }

  @Test(arguments: [
    OpenFileKind.terminal, .tunnel, .socket, .memoryFile, .anonymous("eventfd"),
    .anonymous("timerfd"),
  ])
  func `what ends with processes is left to who restores them`(kind: OpenFileKind) throws {
    #expect(try classify(.of([.of(kind)])).classes == [.processState])
  }

  @Test(arguments: [
    OpenFileKind.blockDevice, .characterDevice, .anonymous("io_uring"), .anonymous("unheard of"),
  ])
  func `what nobody else can make is a plugin's`(kind: OpenFileKind) throws {
    let table = FileTable.of([.of(kind)])
    #expect(try classify(table, plugin: [1]).classes == [.externalByPlugin("some")])
    let refused = try classify(table)
    #expect(refused.classes == [.unsupported])
    #expect(refused.findings.count == 1)
  }

  @Test func `devices of memory are the same everywhere`() throws {
    var null = OpenFile.of(.characterDevice)
    null.device = DeviceNumber(major: 1, minor: 3)
    #expect(try classify(.of([null])).classes == [.processState])
    null.isReachable = true
    #expect(try classify(.of([null])).classes == [.inTree])
  }

  @Test func `a device that is a path only has no state`() throws {
    var device = OpenFile.of(.characterDevice)
    device.flags = .pathOnly
    device.isReachable = true
    #expect(try classify(.of([device])).classes == [.inTree])
    device.isReachable = false
    #expect(try classify(.of([device])).classes == [.unsupported])
  }

  @Test func `a pipe with an end outside`() throws {
    var pipe = OpenFile.of(.pipe)
    #expect(try classify(.of([pipe])).classes == [.processState])
    pipe.isHalfOutside = true
    #expect(try classify(.of([pipe])).classes == [.unsupported])
  }

  @Test func `sockets are outside where their peers are`() throws {
    let inside = OpenFile.socket(10, peer: .socket(11), id: 1)
    let other = OpenFile.socket(11, peer: .socket(10), id: 2)
    let outside = OpenFile.socket(12, peer: .socket(99), id: 3)
    let alone = OpenFile.socket(13, peer: .none, id: 4)
    let waiting = OpenFile.socket(14, peer: .unknown, id: 5)
    var listener = OpenFile.socket(15, peer: .none, id: 6)
    listener.socket?.isListening = true
    let table = FileTable.of([inside, other, outside, alone, waiting, listener])
    #expect(
      try classify(table).classes == [
        .processState, .processState, .unsupported, .processState, .unsupported, .processState,
      ])
    // One that waits at a listener of the tree is inside.
    var known = table
    known.files[5].socket?.waitingClients = [14]
    #expect(try classify(known).classes[4] == .processState)
    var options = FileOptions()
    options.includesListening = true
    #expect(try classify(table, options).classes[5] == .unsupported)
  }

  @Test func `options come before plugins`() throws {
    var options = FileOptions()
    options.skipped = [try SkippedFile(parsing: "5"), try SkippedFile(parsing: "block")]
    options.external = [try #require(try ExternalFileOption(parsing: "unix[12]"))]
    options.inherited = [try InheritedDescriptor(parsing: "fd[8]:the log")]
    let files = [
      OpenFile.of(.characterDevice, id: 1, at: [5]), .of(.blockDevice, id: 2, at: [6]),
      .socket(12, peer: .socket(99), id: 3), .of(.regular, id: 4, at: [8]),
    ]
    let found = try classify(.of(files), options, plugin: [1, 2, 3, 4])
    #expect(
      found.classes == [.skipped, .skipped, .externalByKey("unix[12]"), .externalByKey("the log")])
    #expect(found.findings.isEmpty)
  }

  @Test func `options that match nothing are problems, all at once`() throws {
    var options = FileOptions()
    options.skipped = [
      try SkippedFile(parsing: "5"), try SkippedFile(parsing: "77/5"),
      try SkippedFile(parsing: "pipe"),
    ]
    options.external = [try #require(try ExternalFileOption(parsing: "file[1f:aa]"))]
    options.inherited = [try InheritedDescriptor(parsing: "fd[8]:the log")]
    let found = try classify(.of([.of(.characterDevice)]), options)
    #expect(found.findings.count == 5)
    #expect(
      found.findings.contains { $0.description.hasPrefix("--external 'file[1f:aa]': the con") })
  }

  @Test func `anonymous inodes have no key of their own`() throws {
    var table = FileTable.of([
      .of(.anonymous("perf_event"), id: 1, at: [3]), .of(.anonymous("eventfd"), id: 2, at: [4]),
    ])
    table.holders.append(FileHolder(pid: 4712, innerPID: 2))
    table.files[0].inode = 9
    table.files[1].inode = 9
    var options = FileOptions()
    options.external = [try #require(try ExternalFileOption(parsing: "file[10:9]"))]
    let found = try classify(table, options)
    #expect(found.classes == [.unsupported, .processState])
    #expect(found.findings.count == 2)
    #expect(found.findings[1].description.contains("--inherit-fd 'fd[3]:KEY'"))
    table.files[0].descriptors[0].holder = 1
    options.external = []
    options.inherited = [try InheritedDescriptor(parsing: "fd[4712/3]:event")]
    #expect(try classify(table, options).classes == [.externalByKey("event"), .processState])
  }

  @Test func `options that contradict each other are problems`() throws {
    let table = FileTable.of([
      .of(.characterDevice, id: 1, at: [3, 4]), .of(.pipe, id: 2, at: [5]),
    ])
    func problems(_ inherited: [String], skipped: [String] = []) throws -> Int {
      var options = FileOptions()
      options.inherited = try inherited.map { try InheritedDescriptor(parsing: $0) }
      options.skipped = try skipped.map { try SkippedFile(parsing: $0) }
      return try classify(table, options, plugin: [1]).findings.count
    }
    #expect(try problems(["fd[3]:a", "fd[4]:b"]) == 1)
    #expect(try problems(["fd[3]:a", "fd[5]:a"]) == 1)
    #expect(try problems(["fd[3]:a", "fd[4]:a"]) == 0)
    #expect(try problems(["fd[5]:a"], skipped: ["5"]) == 1)
    // All of a kind but one.
    #expect(try problems(["fd[5]:a"], skipped: ["pipe"]) == 0)
  }

  @Test func `a problem names what settles it`() throws {
    var table = FileTable.of([.of(.characterDevice, id: 7, at: [5])])
    table.holders.append(FileHolder(pid: 4712, innerPID: 2))
    table.files[0].descriptors = [HeldDescriptor(holder: 1, number: 9, closesOnExec: false)]
    let text = try classify(table).findings[0].description
    for part in [
      "descriptor 4712/9", "--external 'file[10:7]'", "-L DIR", "--skip-file 4712/9",
    ] {
      #expect(text.contains(part), "\(text)")
    }
  }
}

extension OpenFile {
  static func of(_ kind: OpenFileKind, id: UInt32 = 1, at numbers: [Int32] = [3]) -> OpenFile {
    var file = OpenFile(
      id: id, kind: kind, name: "/dev/thing", inode: UInt64(id), mount: MountID(16), flags: [])
    file.descriptors = numbers.map { HeldDescriptor(holder: 0, number: $0, closesOnExec: false) }
    return file
  }

  static func socket(_ inode: UInt64, peer: UnixSocket.Peer, id: UInt32) -> OpenFile {
    var file = of(.unixSocket, id: id, at: [Int32(20 + id)])
    file.inode = inode
    file.flags = .readWrite
    file.socket = UnixSocket(type: 1)
    file.socket?.peer = peer
    return file
  }
}

extension FileTable {
  static func of(_ files: [OpenFile]) -> FileTable {
    FileTable(holders: [FileHolder(pid: 4711, innerPID: 1)], files: files)
  }
}
