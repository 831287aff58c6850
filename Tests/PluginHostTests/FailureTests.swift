import Glibc
import Testing

/// Plugins that crash, hang or end the process, in every phase.
@Suite struct FailureTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var behaviour: String
    var sentence: String
    var testDescription: String { behaviour }
  }

  private static let hang = "it did not answer within 1 second, and was killed"
  private static let question = "DUMP_EXT_MOUNT for /data (mount 3)"

  static let starts = [
    Case(behaviour: "crash-load", sentence: "loading: it was killed by SIGSEGV"),
    Case(
      behaviour: "init-fail", sentence: "init: it returned -EPERM (-1, Operation not permitted)"),
    Case(behaviour: "crash-init", sentence: "init: it was killed by SIGSEGV"),
    Case(behaviour: "hang-init", sentence: "init: \(hang)"),
    Case(
      behaviour: "exit-init",
      sentence: "init: it ended the process that hosts plugins with exit status 7"),
  ]

  @Test(arguments: starts) func `at the start`(_ it: Case) throws {
    let run = try run(it)
    #expect(run.says("failed: dump: plugin misbehave.so, \(it.sentence)"), run.text)
    #expect(run.leavesNothingBehind, run.text)
  }

  static let questions = [
    Case(behaviour: "crash", sentence: "\(question): it was killed by SIGSEGV"),
    Case(behaviour: "hang", sentence: "\(question): \(hang)"),
    Case(behaviour: "print-forever", sentence: "\(question): \(hang)"),
    Case(
      behaviour: "exit",
      sentence: "\(question): it ended the process that hosts plugins with exit status 3"),
    Case(
      behaviour: "close-all", sentence: "\(question): it closed descriptors that are not its own"),
  ]

  @Test(arguments: questions) func `when asked`(_ it: Case) throws {
    let run = try run(it)
    let failures = run.lines.filter { $0.hasPrefix("dump-mount failed: ") }
    // The second question finds the host gone, and says why.
    #expect(failures.count == 2 && Set(failures).count == 1, run.text)
    #expect(
      failures.first?.hasPrefix("dump-mount failed: dump: plugin misbehave.so, \(it.sentence)")
        == true, run.text)
    #expect(run.says("log info: exit of the plugins did not run"), run.text)
    #expect(run.leavesNothingBehind, run.text)
  }

  static let ends = [
    Case(behaviour: "crash-exit", sentence: "exit: it was killed by SIGSEGV"),
    Case(behaviour: "hang-exit", sentence: "exit: \(hang)"),
    Case(
      behaviour: "exit-exit",
      sentence: "exit: it ended the process that hosts plugins with exit status 9"),
  ]

  @Test(arguments: ends) func `at the end`(_ it: Case) throws {
    let run = try run(it)
    #expect(run.lines.filter { $0 == "dump-mount: misbehave" }.count == 2, run.text)
    #expect(run.says("finish failed: dump: plugin misbehave.so, \(it.sentence)"), run.text)
    #expect(run.leavesNothingBehind, run.text)
  }

  private func run(_ it: Case) throws -> DriverRun {
    try DriverRun(
      "dump", try Scratch(), plugins: ["misbehave.so"],
      ["timeout=1", "dump-mount,/data,3", "dump-mount,/data,3"],
      environment: ["MOORING_MISBEHAVE": it.behaviour])
  }

  @Test func `an init that refuses: the others are told, it is not`() throws {
    let scratch = try Scratch()
    let run = try DriverRun(
      "dump", scratch, plugins: ["a.so=recorder.so", "b.so=misbehave.so", "c.so=recorder.so"],
      environment: ["MOORING_RECORD": scratch.record, "MOORING_MISBEHAVE": "init-fail"])
    #expect(run.says("failed: dump: plugin b.so, init"), run.text)
    let calls = try scratch.recorded
    #expect(calls.map(\.what) == ["init", "exit"])
    #expect(calls.last?.values["ret"] == "-1")
  }

  @Test func `what fails while cleaning up is attached`() throws {
    let run = try DriverRun(
      "dump", try Scratch(), plugins: ["a.so=misbehave.so", "b.so=refused/nothing.so"])
    #expect(run.says("failed: dump: plugin b.so: it is no plugin"), run.text)
    let scratch = try Scratch()
    let attached = try DriverRun(
      "restore", scratch, plugins: ["a.so=misbehave.so"], ["inventory=other"],
      environment: ["MOORING_MISBEHAVE": "crash-exit"])
    if canMount {
      #expect(attached.says("failed: restore: the images need the plugin \"other\""), attached.text)
      #expect(
        attached.says(
          "also, while cleaning up: restore: plugin a.so, exit: it was killed by SIGSEGV"),
        attached.text)
    }
  }

  @Test func `a child that comes back from a hook ends`() throws {
    let run = try DriverRun(
      "dump", try Scratch(), plugins: ["misbehave.so"], ["dump-mount,/data,3"],
      environment: ["MOORING_MISBEHAVE": "return-child"])
    #expect(run.lines == ["dump-mount: misbehave"], run.text)
  }

  @Test(.enabled(if: canMount, "mounting takes root"))
  func `RESTORE_INIT that fails`() throws {
    let run = try DriverRun(
      "restore", try Scratch(), plugins: ["misbehave.so"],
      environment: ["MOORING_MISBEHAVE": "fail-restore-init"])
    #expect(
      run.says("failed: restore: plugin misbehave.so, RESTORE_INIT: it returned -EIO"), run.text)
  }

  @Test func `the host ends with the engine`() throws {
    let scratch = try Scratch()
    for plugin in ["a.so=recorder.so", "b.so=misbehave.so"] { try scratch.add(plugin) }
    _ = try spawn(
      [
        "timeout", "-s", "KILL", "1", Scratch.driver, "dump", "folder=\(scratch.plugins)",
        "dump-mount,/data,3",
      ], ["MOORING_RECORD": scratch.record, "MOORING_MISBEHAVE": "hang"])
    let pid = try #require(try scratch.recorded.first?.values["pid"])
    usleep(200_000)
    // Gone, or waiting for its new parent.
    let status = try spawn(["cat", "/proc/\(pid)/status"], [:])
    #expect(!status.contains("State:") || status.contains("(zombie)"), Comment(rawValue: status))
  }
}
