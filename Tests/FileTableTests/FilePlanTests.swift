import FileTable
import MountTable
import RestorePlan
import Testing

@Suite struct FilePlanTests {
  private func saved(_ files: [(OpenFile, FileClass)]) -> ClassifiedFiles {
    var table = FileTable.of(files.map(\.0))
    table.holders.append(FileHolder(pid: 0, innerPID: 12))
    return ClassifiedFiles(table: table, classes: files.map(\.1))
  }

  @Test func `numbers, names and shares are told`() {
    var shared = OpenFile.of(.characterDevice, id: 2, at: [5, 100])
    shared.descriptors[0].closesOnExec = true
    shared.descriptors.append(HeldDescriptor(holder: 1, number: 7, closesOnExec: true))
    var others = OpenFile.of(.anonymous("userfaultfd"), id: 3, at: [])
    others.descriptors = [HeldDescriptor(holder: 1, number: 5, closesOnExec: false)]
    var socket = OpenFile.socket(44, peer: .socket(9), id: 1)
    socket.descriptors[0].number = 3
    let plan = FilePlan(
      saved([
        (shared, .externalByPlugin("a")), (others, .externalByPlugin("a")),
        (socket, .externalByPlugin("b")),
      ]), FileOptions(), limit: 1024)
    #expect(plan.findings.isEmpty)
    #expect(plan.asksPlugins)
    #expect(
      plan.steps.map(\.source) == [.pluginForFile(2), .pluginForFile(3), .pluginForSocket(44)])
    #expect(plan.steps.map(\.numbers) == [[5, 100], [4], [3]])
    #expect(
      plan.environment
        == "3=unix:44 4=file:3@12/5 5=file:2,cloexec@12/7 100=file:2")
  }

  @Test func `what stands for a key`() throws {
    let file = OpenFile.of(.regular, id: 4, at: [8])
    let socket = OpenFile.socket(12, peer: .socket(99), id: 5)
    let set = saved([(file, .externalByKey("the log")), (socket, .externalByKey("unix[12]"))])
    var options = FileOptions()
    options.inherited = [try InheritedDescriptor(parsing: "fd[30]:the log")]
    options.external = [try #require(try ExternalFileOption(parsing: "unix[12]:@name"))]
    let plan = FilePlan(set, options, limit: 1024)
    #expect(
      plan.steps.map(\.source) == [.inherited(30), .connected(KernelString([0] + "name".utf8))])
    #expect(plan.environment == "8=the\\040log 25=unix[12]")
    #expect(!plan.asksPlugins)
    options.skipped = [try SkippedFile(parsing: "file"), try SkippedFile(parsing: "unix")]
    #expect(FilePlan(set, options, limit: 1024).steps == plan.steps)
    options.inherited.append(try InheritedDescriptor(parsing: "fd[31]:the log"))
    #expect(FilePlan(set, options, limit: 1024).findings.count == 1)
    // Nothing is given.
    let refused = FilePlan(set, FileOptions(), limit: 1024)
    #expect(refused.steps.isEmpty)
    #expect(refused.findings.count == 2)
    #expect(refused.findings[0].description.contains("--inherit-fd 'fd[N]:the log'"))
  }

  @Test func `a socket goes back to where its peer was`() throws {
    var socket = OpenFile.socket(12, peer: .socket(99), id: 5)
    var options = FileOptions()
    options.external = [try #require(try ExternalFileOption(parsing: "unix[12]"))]
    #expect(
      FilePlan(saved([(socket, .externalByKey("unix[12]"))]), options, limit: 1024)
        .findings.count == 1)
    socket.socket?.peerName = Array("/run/server".utf8)
    let plan = FilePlan(saved([(socket, .externalByKey("unix[12]"))]), options, limit: 1024)
    #expect(plan.steps.map(\.source) == [.connected("/run/server")])
  }

  @Test func `what one name stands for`() throws {
    let files = [OpenFile.of(.regular, id: 1, at: [3]), .of(.regular, id: 1, at: [4])]
    let set = saved(files.map { ($0, .externalByKey($0.key)) })
    var options = FileOptions()
    options.external = [try #require(try ExternalFileOption(parsing: "file[10:1]:/log"))]
    #expect(
      FilePlan(set, options, limit: 64).steps.map(\.source) == [.opened("/log"), .opened("/log")])
    // One descriptor would make them one open file.
    options.external = []
    options.inherited = [try InheritedDescriptor(parsing: "fd[9]:file[10:1]")]
    #expect(FilePlan(set, options, limit: 64).findings.count == 1)
    // A file wants a path.
    options.inherited = []
    options.external = [try #require(try ExternalFileOption(parsing: "file[10:1]"))]
    #expect(
      FilePlan(set, options, limit: 64).findings.allSatisfy { $0.description.contains("a path") })
  }

  @Test func `sockets that cannot be connected`() throws {
    var listener = OpenFile.socket(12, peer: .none, id: 5)
    listener.socket?.isListening = true
    var relative = OpenFile.socket(13, peer: .socket(1), id: 6)
    relative.socket?.peerName = Array("server".utf8)
    let set = saved([
      (listener, .externalByKey("unix[12]")), (relative, .externalByKey("unix[13]")),
    ])
    var options = FileOptions()
    options.external = [
      try #require(try ExternalFileOption(parsing: "unix[12]:/run/server")),
      try #require(try ExternalFileOption(parsing: "unix[13]")),
    ]
    let plan = FilePlan(set, options, limit: 64)
    #expect(plan.steps.isEmpty)
    #expect(plan.findings.map { $0.description.contains("listens") } == [true, false])
    #expect(plan.findings.last?.description.contains("relative") == true)
  }

  @Test func `many descriptors of many processes`() {
    // What images from elsewhere may say: no product of the two.
    var file = OpenFile.of(.characterDevice, at: Array(3..<20_000))
    file.descriptors += (0..<20_000).map {
      HeldDescriptor(holder: 1, number: $0, closesOnExec: false)
    }
    let plan = FilePlan(saved([(file, .externalByPlugin("a"))]), FileOptions(), limit: 30_000)
    #expect(plan.environment.utf8.count < 1 << 17)
    #expect(plan.findings.count == 1)
  }

  @Test func `numbers beyond the limit, and options for nothing`() throws {
    var options = FileOptions()
    options.skipped = [try SkippedFile(parsing: "9")]
    let plan = FilePlan(
      saved([(.of(.characterDevice, at: [64]), .externalByPlugin("a"))]), options, limit: 64)
    #expect(plan.findings.count == 2)
    #expect(plan.findings.contains { $0.description.contains("ulimit -n 65") })
  }

  @Test(arguments: [
    "file[1f]", "file[1f:zz]", "unix[ab]", "unix[1", "unix[1]x", "unix[1]:", "file[1:2]:relative",
    "unix[]", "file[:]",
  ])
  func `options that cannot be read`(text: String) {
    #expect(throws: OptionError.self) { _ = try ExternalFileOption(parsing: text) }
  }

  @Test(arguments: [
    "fd[]:k", "fd[x]:k", "fd[-1]:k", "fd[+1]:k", "fd[1/]:k", "fd[1]", "fd[1]:", "1:k",
  ])
  func `descriptors that cannot be read`(text: String) {
    #expect(throws: OptionError.self) { _ = try InheritedDescriptor(parsing: text) }
  }

  @Test func `kinds and their words`() throws {
    for word in [
      "file", "directory", "fifo", "symlink", "pipe", "char", "tty", "tun", "block", "unix",
      "socket", "memfd", "namespace", "eventfd", "io_uring", "anon:something new",
    ] {
      #expect(OpenFileKind(word: word)?.word == word)
    }
    for text in ["nonsense", "", "-1", "1/", "/1", "0/1", "anon:"] {
      #expect(throws: OptionError.self) { _ = try SkippedFile(parsing: text) }
    }
  }
}
