import Glibc
import Testing

@Suite struct DumpTests {
  @Test func `one plugin after the other, in the order of file names`() throws {
    let scratch = try Scratch()
    let run = try DriverRun(
      "dump", scratch, plugins: ["b.so=bind-current.so", "a.so=recorder.so", "c.so=misbehave.so"],
      ["dump-mount,/data,12", "dump-mount,/other,13"],
      environment: ["MOORING_RECORD": scratch.record, "MOORING_TEST_BINDS": "/x=/y:/data=/etc"])
    #expect(run.answer("dump-mount: ") == "bind-current", run.text)
    #expect(run.lines.contains("dump-mount: misbehave"), run.text)
    let mounts = try scratch.recorded.filter { $0.what == "dump-mount" }
    #expect(mounts.map { $0.values["mountpoint"] } == ["./data", "./other"])
    #expect(mounts.map { $0.values["id"] } == ["12", "13"])
    #expect(run.leavesNothingBehind, run.text)
  }

  @Test func `nobody answers`() throws {
    let run = try DriverRun(
      "dump", try Scratch(), plugins: ["recorder.so", "dummy-current.so"],
      ["dump-mount,/data,12", "dump-link,3,1,vcan", "dump-link,7,1,"])
    #expect(run.answer("dump-mount: ") == "nobody", run.text)
    #expect(
      run.lines.filter { $0.hasPrefix("dump-link") } == [
        "dump-link: nobody", "dump-link: recorder",
      ])
  }

  @Test func `all functions run in one process, in a private copy of the host's mounts`() throws {
    let scratch = try Scratch()
    let run = try DriverRun(
      "dump", scratch, plugins: ["recorder.so"], ["dump-mount,/a,1", "dump-mount,/b,2"],
      environment: ["MOORING_RECORD": scratch.record])
    let calls = try scratch.recorded
    #expect(calls.map(\.what) == ["init", "dump-mount", "dump-mount", "exit"], run.text)
    #expect(Set(calls.map { $0.values["pid"] }).count == 1)
    #expect(calls.map { $0.values["counter"] } == ["1000", "1001", "1002", "1002"])
    #expect(calls.allSatisfy { $0.values["cwd"] == "/" })
    #expect(Set(calls.map { $0.values["mnt"] }).count == 1)
    // Who may not make a mount namespace may not mount either.
    #expect((calls[0].values["mnt"] == "\(inode("mnt"))") == (geteuid() != 0))
    #expect(calls[0].values["images"] == "1")
    #expect(calls[0].values["stage"] == "0")
    #expect(calls[3].values["ret"] == "0")
  }

  @Test func `exit learns of the failure, and runs once`() throws {
    let scratch = try Scratch()
    _ = try DriverRun(
      "dump", scratch, plugins: ["recorder.so"], ["finish,no", "finish,yes"],
      environment: ["MOORING_RECORD": scratch.record])
    let exits = try scratch.recorded.filter { $0.what == "exit" }
    #expect(exits.map { $0.values["ret"] } == ["-1"])
  }

  @Test func `an error names plugin, hook, mount, and what was returned`() throws {
    let run = try DriverRun(
      "dump", try Scratch(), plugins: ["a.so=misbehave.so", "recorder.so"],
      ["dump-mount,/data,579"],
      environment: ["MOORING_MISBEHAVE": "dump-error"])
    #expect(
      run.answer("dump-mount failed: ")
        == "dump: plugin a.so, DUMP_EXT_MOUNT for /data (mount 579): it returned -EPERM "
        + "(-1, Operation not permitted)", run.text)
  }

  @Test func `legacy plugins answer, with a warning`() throws {
    let run = try DriverRun(
      "dump", try Scratch(), plugins: ["bind-legacy.so"],
      ["dump-mount,/data,1", "dump-mount,/legacy,2"],
      environment: ["MOORING_LEGACY_MOUNTPOINT": "/legacy"])
    let answers = run.lines.filter { $0.hasPrefix("dump-mount") }
    #expect(answers == ["dump-mount: nobody", "dump-mount: bind-legacy.so"], run.text)
    #expect(run.lines.filter { $0.contains("deprecated") }.count == 1, run.text)
    #expect(run.says("log info: bind-legacy.so: legacy fini after 2 calls"), run.text)
  }

  @Test func `the inventory has what plugins added, and Swift plugins that answered`() throws {
    let run = try DriverRun(
      "dump", try Scratch(), plugins: ["recorder.so", "again.so=recorder.so"],
      ["swift=answers,idle", "dump-mount,/data,1", "inventory"],
      environment: ["MOORING_RECORD_NEEDS": "cuda"])
    #expect(run.answer("inventory: ") == "answers cuda", run.text)
    #expect(
      run.says("log warning: the plugins again.so and recorder.so have one name, \"recorder\""))
  }

  @Test func `plugins in Swift are asked first, told last, and named`() throws {
    let run = try DriverRun(
      "dump", try Scratch(), plugins: ["misbehave.so"],
      ["swift=idle,answers", "dump-mount,/data,1"])
    #expect(
      run.lines == [
        "idle initialise dump", "answers initialise dump", "dump-mount: answers",
        "idle finish dump true", "answers finish dump true",
      ], run.text)
    let failing = try DriverRun("dump", try Scratch(), ["swift=fails", "dump-mount,/data,1"])
    #expect(
      failing.answer("dump-mount failed: ")
        == "dump: plugin fails, DUMP_EXT_MOUNT for /data (mount 1): it does not want to",
      failing.text)
    let refusing = try DriverRun("dump", try Scratch(), ["swift=idle,refuses"])
    #expect(refusing.says("failed: dump: plugin refuses, initialise: it does not want to"))
    #expect(refusing.says("idle finish dump false"))
    #expect(!refusing.says("refuses finish"))
  }

  @Test func `a path that no buffer holds`() throws {
    let scratch = try Scratch()
    let run = try DriverRun(
      "dump", scratch, plugins: ["misbehave.so"], ["dump-long-mount,4094", "dump-long-mount,4095"])
    #expect(run.answer("dump-long-mount: ") == "misbehave", run.text)
    #expect(run.says("plugins take paths of 4094 bytes at most"), run.text)
  }

  private func inode(_ namespace: String) -> UInt {
    var status = stat()
    stat("/proc/self/ns/\(namespace)", &status)
    return status.st_ino
  }
}
