import ArgumentParser
import FileTable
import LinkTable
import Mooring
import RestorePlan

/// What is said about open files, at dump and at restore, besides `--external`.
struct OpenFileOptions: ParsableArguments {
  @Option(
    name: .customLong("inherit-fd"),
    help: ArgumentHelp(
      "'fd[N]:KEY'; may be repeated.",
      discussion: """
        At dump: the open file of descriptor N of the container's first process is called KEY; a \
        KEY like file[MNTID:INODE] or unix[INODE] names a file by itself. At restore: what \
        mooring's own descriptor N is stands for KEY, a file or a network namespace.
        """, valueName: "fd"))
  var inheritFD: [String] = []

  @Option(
    help: ArgumentHelp(
      "Leave open files out: a descriptor's number, PID/NUMBER for another process, or a kind as "
        + "mooring files shows it (char, pipe, unix, …), or threads: what threads have open that the "
        + "kernel lets nobody take; may be repeated.", valueName: "file"))
  var skipFile: [String] = []

  func inherited() throws(OptionError) -> [InheritedDescriptor] {
    try inheritFD.map { (text) throws(OptionError) in try InheritedDescriptor(parsing: text) }
  }

  func options(_ external: [String]) throws(OptionError) -> FileOptions {
    var options = FileOptions()
    options.inherited = try inherited()
    for text in external {
      if let option = try ExternalFileOption(parsing: text) { options.external.append(option) }
    }
    for text in skipFile { options.skipped.append(try SkippedFile(parsing: text)) }
    return options
  }
}

/// Those that only a look and a dump have.
struct OpenFileDumpOptions: ParsableArguments {
  @OptionGroup var common: OpenFileOptions

  @Flag(help: "Ask plugins for unix sockets that listen, too.")
  var listening = false

  func options(_ external: [String]) throws(OptionError) -> FileOptions {
    var options = try common.options(external)
    options.includesListening = listening
    for option in options.external where option.path != nil {
      throw OptionError(
        "--external '\(option)' is for a restore; a dump wants '\(option.key)'")
    }
    return options
  }

  var isEmpty: Bool { common.inheritFD.isEmpty && common.skipFile.isEmpty && !listening }
}
