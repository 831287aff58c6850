import Glibc
import Testing

@Suite(.enabled(if: canMount, "mounting takes root")) struct RestoreTests {
  /// A directory and a file of the host, noted in the images as the fixture `bind-current` does it.
  private func scratchWithBinds() throws -> Scratch {
    let scratch = try Scratch()
    mkdir(scratch.path + "/source", 0o755)
    try scratch.write("from the host\n", to: "source/marker")
    try scratch.write("a file\n", to: "file")
    try scratch.write(scratch.path + "/source", to: "images/bind-plugin-12.img")
    try scratch.write(scratch.path + "/file", to: "images/bind-plugin-13.img")
    return scratch
  }

  @Test func `a directory and a file come back`() throws {
    let run = try DriverRun(
      "restore", try scratchWithBinds(), plugins: ["bind-current.so"],
      [
        "restore-mount,12,/data,directory", "restore-mount,13,/etc/file,file",
        "restore-mount,13,/etc/file", "restore-mount,14,/none",
      ])
    #expect(
      run.lines.prefix(3) == [
        "restore-mount: bind-current directory from the host",
        "restore-mount: bind-current file a file", "restore-mount: bind-current file a file",
      ], run.text)
    #expect(run.says("restore: /none (mount 14): no plugin answers for it"), run.text)
    #expect(run.leavesNothingBehind, run.text)
  }

  @Test func `what a plugin is given`() throws {
    let scratch = try scratchWithBinds()
    let run = try DriverRun(
      "restore", scratch, plugins: ["a.so=recorder.so", "b.so=bind-current.so"],
      ["restore-mount,12,/data,directory"], environment: ["MOORING_RECORD": scratch.record])
    #expect(run.says("bind-current directory"), run.text)
    let calls = try scratch.recorded
    #expect(calls.map(\.what) == ["init", "restore-init", "restore-mount", "exit"])
    #expect(Set(calls.map { $0.values["pid"] }).count == 1)
    #expect(calls.map { $0.values["counter"] } == ["1000", "1001", "1002", "1002"])
    #expect(calls.allSatisfy { $0.values["cwd"] == "/" })
    #expect(calls.allSatisfy { $0.values["user"] == "\(inode("user"))" })
    #expect(calls.allSatisfy { $0.values["mnt"] != "\(inode("mnt"))" })
    #expect(calls[0].values["stage"] == "2")
    let question = calls[2].values
    #expect(question["id"] == "12" && question["old_root"] == "/")
    #expect(question["is_file"] == "-1" && question["exists"] == "0")
    #expect((question["mountpoint"] ?? "").utf8.count < 25)
  }

  @Test func `the temporary place hides nothing that is reserved`() throws {
    let scratch = try scratchWithBinds()
    let all = ["/mnt", "/media", "/srv", "/opt", "/var/empty", "/var/opt", "/var/tmp"]
    _ = try DriverRun(
      "restore", scratch, plugins: ["a.so=recorder.so"],
      ["reserved=\(all.map { $0 + "/x" }.joined(separator: ","))", "restore-mount,12,/data"],
      environment: ["MOORING_RECORD": scratch.record])
    let place = try scratch.recorded.first { $0.what == "restore-mount" }?.values["mountpoint"]
    #expect(place == "/proc/tty/ldisc/1")
    let reserved = (all + ["/proc/tty/ldisc", "/proc/fs/nfsd"]).joined(separator: ",")
    let none = try DriverRun(
      "restore", scratch, plugins: ["a.so=recorder.so"], ["reserved=\(reserved)"])
    #expect(none.says("restore: a temporary place for the mounts of plugins: no empty directory"))
  }

  @Test func `plugins that make no mount point are asked twice`() throws {
    let scratch = try scratchWithBinds()
    let source = ["MOORING_NO_MOUNTPOINT_SOURCE": scratch.path + "/source"]
    let run = try DriverRun(
      "restore", scratch, plugins: ["no-mountpoint.so"],
      ["restore-mount,1,/data,directory", "restore-mount,2,/data"], environment: source)
    let answers = run.lines.filter { $0.hasPrefix("restore-mount") }
    #expect(
      answers == Array(repeating: "restore-mount: no-mountpoint directory from the host", count: 2),
      run.text)
    #expect(
      run.says("log info: plugin no-mountpoint.so, RESTORE_EXT_MOUNT for /data (mount 1): it "))
    let file = try DriverRun(
      "restore", scratch, plugins: ["no-mountpoint.so"],
      ["restore-mount,1,/file,file", "restore-mount,2,/file"],
      environment: ["MOORING_NO_MOUNTPOINT_SOURCE": scratch.path + "/file"])
    #expect(file.lines.contains("restore-mount: no-mountpoint file a file"), file.text)
    #expect(
      file.says("it returned -ENOTDIR (-20, Not a directory) for a mount point that was made"))
  }

  @Test(arguments: [
    (
      "restore-error",
      "it returned -EACCES (-13, Permission denied) for a mount point that was made"
    ),
    ("nothing-mounted", "it returned 0 and mounted nothing"),
    ("mountpoint-only", "it returned 0 and mounted nothing"),
    ("wrong-kind", "it mounted a file, where a directory was dumped"),
    ("lie-is-file", "it said is_file = 1, and mounted a directory"),
  ])
  func `what was mounted is checked`(behaviour: String, complaint: String) throws {
    let run = try DriverRun(
      "restore", try Scratch(), plugins: ["misbehave.so"], ["restore-mount,5,/data,directory"],
      environment: ["MOORING_MISBEHAVE": behaviour])
    let failure = run.answer("restore-mount failed: ") ?? ""
    #expect(
      failure.hasPrefix(
        "restore: plugin misbehave.so, RESTORE_EXT_MOUNT for /data (mount 5): \(complaint)"),
      run.text)
    #expect(run.leavesNothingBehind, run.text)
  }

  @Test func `what lies below is left out, with a warning`() throws {
    let run = try DriverRun(
      "restore", try Scratch(), plugins: ["misbehave.so"], ["restore-mount,5,/data,directory"],
      environment: ["MOORING_MISBEHAVE": "mounts-below"])
    #expect(run.says("restore-mount: misbehave directory"), run.text)
    #expect(run.says("log warning: plugin misbehave.so for /data (mount 5): what it mounted below"))
  }

  @Test func `legacy plugins`() throws {
    let scratch = try scratchWithBinds()
    let run = try DriverRun(
      "restore", scratch, plugins: ["bind-legacy.so"], ["restore-mount,1,/data,directory"],
      environment: ["MOORING_LEGACY_SOURCE": scratch.path + "/source"])
    #expect(run.answer("restore-mount: ") == "bind-legacy.so directory from the host", run.text)
  }

  @Test func `plugins in Swift give a path or a mount`() throws {
    for (plugin, kind) in [("answers", "directory"), ("file", "file"), ("new", "directory")] {
      let run = try DriverRun(
        "restore", try Scratch(), ["swift=idle,\(plugin)", "restore-mount,1,/data,\(kind)"])
      #expect(run.says("restore-mount: \(plugin) \(kind)"), run.text)
      #expect(run.leavesNothingBehind, run.text)
    }
    let run = try DriverRun(
      "restore", try Scratch(), ["swift=file", "restore-mount,1,/a,directory"])
    #expect(run.says("restore: plugin file, RESTORE_EXT_MOUNT for /a (mount 1): it gave a file"))
  }

  @Test func `a plugin in Swift settles its name`() throws {
    let run = try DriverRun("restore", try Scratch(), ["swift=answers", "inventory=answers"])
    #expect(!run.says("failed"), run.text)
    let missing = try DriverRun("restore", try Scratch(), ["inventory=answers"])
    #expect(
      missing.says("restore: the images need the plugin \"answers\": no plugin folder is given"),
      missing.text)
  }

  @Test func `a plugin that the images need`() throws {
    let scratch = try Scratch()
    let environment = ["MOORING_RECORD": scratch.record, "MOORING_RECORD_NEEDS": "cuda"]
    let run = try DriverRun(
      "restore", scratch, plugins: ["recorder.so"], ["inventory=cuda"], environment: environment)
    #expect(!run.says("failed"), run.text)
    #expect(try scratch.recorded.map { $0.values["needed"] }.first == "1")
    spawnQuietly(["rm", scratch.record])
    let missing = try DriverRun(
      "restore", scratch, plugins: ["recorder.so"], ["inventory=amdgpu,cuda"],
      environment: environment)
    #expect(
      missing.says("restore: the images need the plugin \"amdgpu\": no plugin in "), missing.text)
    // Before RESTORE_INIT, and exit knows.
    #expect(try scratch.recorded.map(\.what) == ["init", "exit"])
    #expect(try scratch.recorded.last?.values["ret"] == "-1")
    spawnQuietly(["rm", scratch.record])
    for (inventory, needed) in [([], "1"), (["inventory="], "0")] {
      _ = try DriverRun(
        "restore", scratch, plugins: ["recorder.so"], inventory, environment: environment)
      #expect(try scratch.recorded.first?.values["needed"] == needed)
      spawnQuietly(["rm", scratch.record])
    }
  }

  @Test func `two thousand mounts`() throws {
    let run = try DriverRun(
      "restore", try scratchWithBinds(), plugins: ["misbehave.so"],
      ["restore-many,2000", "mounts"],
      environment: ["MOORING_MISBEHAVE": "none"])
    let words = (run.answer("restore-many: ") ?? "").split(separator: " ").compactMap { Int($0) }
    try #require(words.count == 3, run.text)
    // Linear: a half takes as long as the other. The machine may be busy.
    #expect(words[2] < words[1] * 4 + 500, run.text)
    #expect(run.leavesNothingBehind, run.text)
  }

  private func spawnQuietly(_ arguments: [String]) { _ = try? spawn(arguments, [:]) }

  private func inode(_ namespace: String) -> UInt {
    var status = stat()
    stat("/proc/self/ns/\(namespace)", &status)
    return status.st_ino
  }
}
