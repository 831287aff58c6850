import Glibc
import Testing

/// What may be loaded, and what is said of it.
@Suite struct LoadingTests {
  @Test func `what the folder holds, without init`() throws {
    let scratch = try Scratch()
    let run = try DriverRun(
      "list", scratch,
      plugins: [
        "recorder.so", "bind-legacy.so", "dummy-current.so", "older.so=refused/older.so",
      ], environment: ["MOORING_RECORD": scratch.record])
    #expect(
      run.lines.filter { !$0.hasPrefix("log") } == [
        "bind-legacy.so bind-legacy.so legacy 0.1.0: "
          + "RESTORE_EXT_FILE DUMP_EXT_MOUNT RESTORE_EXT_MOUNT",
        "dummy-current.so dummy-current current 0.2.0: ",
        "older.so refused current 0.2.0: ",
        "recorder.so recorder current 0.2.0: "
          + "DUMP_EXT_MOUNT RESTORE_EXT_MOUNT DUMP_EXT_LINK RESTORE_INIT",
      ], run.text)
    #expect(try scratch.recorded.isEmpty)
    #expect(run.leavesNothingBehind, run.text)
  }

  @Test(arguments: [
    ("newer", "it was built for version 0.2.1 of the plugin interface, which is newer than 0.2.0"),
    ("more-hooks", "its descriptor has 16 hooks, and 15 are known"),
    ("nothing", "it is no plugin: it has neither CR_PLUGIN_DESC nor a function cr_plugin_*"),
  ])
  func `refused`(object: String, reason: String) throws {
    let scratch = try Scratch()
    let run = try DriverRun(
      "dump", scratch, plugins: ["a.so=recorder.so", "x.so=refused/\(object).so"],
      environment: ["MOORING_RECORD": scratch.record])
    #expect(run.says("failed: dump: plugin x.so: \(reason)"), run.text)
    // Nothing has been initialised by then.
    #expect(try scratch.recorded.isEmpty)
  }

  @Test func `a file that is no shared object`() throws {
    let scratch = try Scratch()
    try scratch.write("text\n", to: "plugins/text.so")
    let run = try DriverRun("dump", scratch, plugins: ["recorder.so"])
    #expect(run.says("failed: dump: plugin text.so: it cannot be loaded: "), run.text)
    #expect(!run.says("/proc/self/fd"), run.text)
  }

  @Test func `a folder in place of an object, and other names`() throws {
    let scratch = try Scratch()
    for name in ["notes.txt", "plugin.so.1", ".hidden.so"] {
      try scratch.write("x", to: "plugins/" + name)
    }
    #expect(try DriverRun("list", scratch, plugins: ["recorder.so"]).lines.count == 1)
    mkdir(scratch.plugins + "/folder.so", 0o755)
    let run = try DriverRun("list", scratch, plugins: ["recorder.so"])
    #expect(run.says("failed: plugins: plugin folder.so: it is not a regular file"), run.text)
  }

  @Test func `no folder`() throws {
    let run = try DriverRun("dump", try Scratch(), ["folder=/nowhere/at/all"])
    #expect(run.says("failed: dump: the plugin folder \"/nowhere/at/all\": ENOENT"), run.text)
  }

  @Test func `others may write`() throws {
    let scratch = try Scratch()
    try scratch.add("recorder.so")
    chmod(scratch.plugins, 0o775)
    let folder = try DriverRun("dump", scratch, ["folder=\(scratch.plugins)"])
    #expect(
      folder.says("the plugin folder \"\(scratch.plugins)\": its mode 775 lets others"), folder.text
    )
    chmod(scratch.plugins, 0o755)
    chmod(scratch.plugins + "/recorder.so", 0o757)
    let file = try DriverRun("dump", scratch, ["folder=\(scratch.plugins)"])
    #expect(file.says("plugin recorder.so: its mode 757 lets others write to it"), file.text)
  }

  @Test(.enabled(if: canMount, "chown takes root")) func `somebody else's`() throws {
    let scratch = try Scratch()
    try scratch.add("recorder.so")
    chown(scratch.plugins + "/recorder.so", 1000, 0)
    let file = try DriverRun("dump", scratch, ["folder=\(scratch.plugins)"])
    #expect(file.says("plugin recorder.so: it belongs to user 1000"), file.text)
    chown(scratch.plugins + "/recorder.so", 0, 0)
    chown(scratch.plugins, 1000, 0)
    let folder = try DriverRun("dump", scratch, ["folder=\(scratch.plugins)"])
    #expect(folder.says(": it belongs to user 1000, who could put"), folder.text)
  }

  @Test func `symbolic links to plugins, and one file under two names`() throws {
    let scratch = try Scratch()
    _ = try spawn(["cp", "\(Scratch.built)/recorder.so", "\(scratch.path)/real.so"], [:])
    symlink("../real.so", scratch.plugins + "/a.so")
    symlink("../real.so", scratch.plugins + "/b.so")
    let run = try DriverRun("list", scratch, ["folder=\(scratch.plugins)"])
    #expect(run.says("a.so recorder current"), run.text)
    #expect(run.says("log warning: plugin b.so is the same file as a.so"), run.text)
    chmod(scratch.path + "/real.so", 0o777)
    let refused = try DriverRun("list", scratch, ["folder=\(scratch.plugins)"])
    #expect(refused.says("failed: plugins: plugin a.so: its mode 777"), refused.text)
  }
}
