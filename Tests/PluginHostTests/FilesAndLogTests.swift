import Glibc
import Testing

@Suite struct FilesAndLogTests {
  @Test func `files and sockets go and come`() throws {
    let scratch = try Scratch()
    let dump = try DriverRun(
      "dump", scratch, plugins: ["files.so"], ["dump-file,7", "dump-socket,8"])
    #expect(dump.lines == ["dump-file: files", "dump-socket: files"], dump.text)
    guard canMount else { return }
    let run = try DriverRun(
      "restore", scratch, plugins: ["files.so"],
      ["try-file,7", "restore-file,7", "restore-socket,8", "restore-socket,9", "restore-file,1000"])
    #expect(run.answer("try-file: ") == "again", run.text)
    #expect(run.answer("restore-file: ") == "/etc/passwd", run.text)
    #expect(run.answer("restore-socket: ") == "/etc/group", run.text)
    #expect(run.says("restore: socket 9: no plugin answers for it"), run.text)
    #expect(
      run.says(
        "plugin files.so, RESTORE_EXT_FILE for file 1000: it returned 1, which is not a descriptor"),
      run.text)
    #expect(run.leavesNothingBehind, run.text)
  }

  @Test(.enabled(if: canMount, "mounting takes root"))
  func `who asks to be asked again is`() throws {
    let scratch = try Scratch()
    try scratch.write("/etc/shadow", to: "images/files-plugin-file-7.img")
    let run = try DriverRun("restore", scratch, plugins: ["files.so"], ["restore-file,7"])
    #expect(run.answer("restore-file: ") == "/etc/shadow", run.text)
  }

  @Test func `plugins in Swift are asked for files first`() throws {
    let scratch = try Scratch()
    let dump = try DriverRun(
      "dump", scratch, plugins: ["files.so"], ["swift=other,answers", "dump-file,7", "inventory"])
    #expect(dump.answer("dump-file: ") == "answers", dump.text)
    #expect(dump.answer("inventory: ") == "answers", dump.text)
    guard canMount else { return }
    let waits = try DriverRun("restore", scratch, ["swift=waits", "try-file,7"])
    #expect(waits.answer("try-file: ") == "again", waits.text)
    let fails = try DriverRun("restore", scratch, ["swift=fails", "try-file,7"])
    #expect(
      fails.says("plugin fails, RESTORE_EXT_FILE for file 7: it does not want to"), fails.text)
    let opens = try DriverRun("restore", scratch, ["swift=other,answers", "try-file,7"])
    #expect(opens.answer("try-file: ")?.isEmpty == false, opens.text)
    #expect(opens.leavesNothingBehind, opens.text)
  }

  @Test func `messages in pieces, of any bytes, and what is printed`() throws {
    let run = try DriverRun(
      "dump", try Scratch(), plugins: ["a.so=bind-current.so", "misbehave.so", "z.so=recorder.so"],
      ["dump-mount,/data,1"], environment: ["MOORING_MISBEHAVE": "print-bytes"])
    #expect(
      Set(run.lines) == [
        "log info: misbehave.so: misbehave: one line",
        "log error: misbehave.so: bell \\007, escape \\033[31m, byte \u{FFFD}",
        "log info: misbehave.so: to standard output, unfinished",
        "log warning: misbehave.so: to standard error", "dump-mount: misbehave",
      ], run.text)
    #expect(run.lines.last == "dump-mount: misbehave")
  }

  @Test func `a megabyte of messages`() throws {
    let run = try DriverRun(
      "dump", try Scratch(), plugins: ["misbehave.so"], ["dump-mount,/data,1"],
      environment: ["MOORING_MISBEHAVE": "print-much"])
    let printed = run.lines.filter { $0.hasPrefix("log info: misbehave.so: line ") }
    #expect(printed.count == 20_000)
    #expect(printed.last == "log info: misbehave.so: line 19999 of standard output")
    let logged = run.lines.filter { $0.hasPrefix("log info: misbehave.so: x") }
    #expect(logged.reduce(0) { $0 + $1.count { $0 == "x" } } == 1_000_000)
    #expect(run.lines.last == "dump-mount: misbehave")
  }

  @Test func `the level of the log is the plugins'`() throws {
    let debug = try DriverRun(
      "dump", try Scratch(), plugins: ["bind-current.so"], ["level=debug"])
    #expect(debug.says("log debug: bind-current.so: bind: stage 0"), debug.text)
    let error = try DriverRun(
      "dump", try Scratch(), plugins: ["misbehave.so"], ["level=error", "dump-mount,/data,1"],
      environment: ["MOORING_MISBEHAVE": "print-bytes"])
    #expect(error.lines.filter { $0.hasPrefix("log") }.count == 1, error.text)
  }
}
