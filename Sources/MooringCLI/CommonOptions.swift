import ArgumentParser
import CheckpointImages
import FileTable
import Glibc
import LinkTable
import Logging
import Mooring
import MountTable
import RestorePlan

/// `-v`, `-o`.
struct LogOptions: ParsableArguments {
  @Flag(
    name: .customShort("v"), help: "Say more; -vv says everything, and -v0 to -v4 name a level.")
  var verbose: Int

  @Option(
    help: ArgumentHelp(
      "0 messages only, 1 errors, 2 warnings and notes (the default), 3 information, 4 everything.",
      valueName: "level"))
  var verbosity: Int?

  @Option(
    name: [.customShort("o"), .long],
    help: ArgumentHelp("Append the log to this file.", valueName: "file"))
  var logFile: String?

  func validate() throws {
    if let verbosity, !(0...4).contains(verbosity) {
      throw ValidationError("--verbosity \(verbosity): expected 0 to 4.")
    }
  }

  func logger() throws -> Logger {
    let level: Logger.Level =
      switch verbosity ?? min(verbose + 2, 4) {
      case 0: .critical
      case 1: .error
      case 2: .notice
      case 3: .info
      default: .debug
      }
    var descriptor: CInt = 2
    if let logFile {
      descriptor = open(logFile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
      if descriptor < 0 {
        throw EngineFailure(
          .failed, "--log-file \(logFile): \(String(cString: strerror(errno)))")
      }
    }
    return Logger(label: "mooring") { _ in
      var handler = LineLogHandler(descriptor: descriptor)
      handler.logLevel = level
      return handler
    }
  }
}

/// Where plugins are.
struct PluginFolderOptions: ParsableArguments {
  static let standardFolder = "/usr/lib/mooring/plugins"

  @Option(
    name: [.customShort("L"), .long],
    help: ArgumentHelp(
      "The folder of plugins (*.so).",
      discussion:
        "Where it is not given: that in the environment as CRIU_LIBS_DIR, else "
        + "\(standardFolder) if that is there, else none.",
      valueName: "dir"))
  var libdir: String?

  @Option(help: ArgumentHelp("Seconds that one call of a plugin may take.", valueName: "seconds"))
  var pluginTimeout = 60

  func validate() throws {
    guard pluginTimeout > 0 else { throw ValidationError("--plugin-timeout must be positive.") }
  }

  var folder: String? {
    if let libdir { return libdir }
    if let named = getenv("CRIU_LIBS_DIR"), named.pointee != 0 { return String(cString: named) }
    return access(Self.standardFolder, F_OK) == 0 ? Self.standardFolder : nil
  }

  var options: PluginOptions {
    var options = PluginOptions(folder: folder)
    options.timeout = pluginTimeout
    return options
  }
}

/// What is said about mounts, at dump and at restore.
struct MountMappingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What comes from outside; may be repeated.",
      discussion: """
        When looking and at dump:
          'mnt[/path]:KEY'        the mount at /path, called KEY
          'mnt[]'                 what mooring's own mounts show too
          'mnt[]:m' 'mnt[]:s'     also with a master, with peers there
          'dev[MAJOR/MINOR]:KEY'  the file system on a device
          'macvlan[IN]:LOWER'     the link IN: what it lies on is given at restore
          'link[NAME]:KEY'        a link that a script brings at restore, whatever it is
          'hsr[NAME]:VERSION'     the version of the frames of an hsr link (0 or 1)
          'net[INODE]:KEY'        a network namespace that is not the container's own
          'file[MNTID:INODE]'     an open file (both hexadecimal), given again at restore
          'unix[INODE]'           a unix socket (decimal), likewise
        At plan and restore:
          'mnt[KEY]:/host/path'   what stands for KEY here
          'mnt[/path]:/host/path' what the mount at /path shows here
          'dev[KEY]:/dev/path'    the device for KEY
          'veth[IN]:OUT[@BRIDGE]' the name of the other end of the veth, vxcan or netkit IN here
          'macvlan[IN]:LOWER'     the link here that IN lies on
          'net[KEY]:/path'        the file of the network namespace for KEY
          'file[MNTID:INODE]:/host/path'  the file to open for it
          'unix[INODE]:/path'     the socket to connect to (@NAME for an abstract one); without
                                  a path the one it was connected to
        KEY is any word. In paths, \\ooo is a byte in octal.
        """, valueName: "mapping"))
  var external: [String] = []

  @Option(
    help: ArgumentHelp(
      "The older spelling: /path:KEY at dump, KEY:/host/path at restore; auto for 'mnt[]'.",
      valueName: "key:value")
  )
  var extMountMap: [String] = []

  @Option(
    help: ArgumentHelp(
      "Leave out what is mounted at this path of the container, and on it; may be repeated.",
      valueName: "path"))
  var skipMnt: [String] = []

  @Option(
    help: ArgumentHelp(
      "File systems, separated by commas, that may be mounted anew with their saved source and "
        + "options, though mooring does not know them; 'all' for each.",
      valueName: "types"))
  var enableFs: [String] = []

  func options(atDump: Bool) throws(OptionError) -> MountOptions {
    var options = MountOptions()
    for text in external {
      if try LinkOption(parsing: text) != nil { continue }
      if try ExternalFileOption(parsing: text) != nil { continue }
      options.external.append(try ExternalOption(parsing: text))
    }
    for text in extMountMap {
      options.external.append(try ExternalOption(parsingMap: text, atDump: atDump))
    }
    if !atDump {
      let here = MountPath(Self.currentDirectory)
      options.external = try options.external.map { (option) throws(OptionError) in
        try option.atRestore(in: here)
      }
    }
    for option in options.external {
      guard let isForDump = option.isForDump, isForDump != atDump else { continue }
      throw OptionError(
        atDump
          ? "--external '\(option)' is for a restore; a dump wants 'mnt[/path]:KEY'"
          : "--external '\(option)' is for a dump; a restore wants 'mnt[KEY]:/host/path'")
    }
    for text in skipMnt { options.skipped.append(try MountPath(option: text, of: "--skip-mnt")) }
    for text in enableFs {
      for name in text.split(separator: ",") {
        options.enabledFileSystems.insert(KernelString(option: String(name)))
      }
    }
    return options
  }
}

extension MountMappingOptions {
  private static var currentDirectory: [UInt8] {
    guard let path = getcwd(nil, 0) else { return [0x2F] }
    defer { free(path) }
    return UnsafeBufferPointer(start: path, count: strlen(path)).map(UInt8.init(bitPattern:))
  }

  /// Those of `--external` that are about networks.
  func linkOptions(_ leaveOut: LeaveOutOption? = nil) throws(OptionError) -> LinkOptions {
    var options = LinkOptions()
    if let leaveOut { options.leftOut = try leaveOut.leftOut() }
    for text in external {
      if let option = try LinkOption(parsing: text) { options.external.append(option) }
    }
    return options
  }
}

/// `--leave-out`.
struct LeaveOutOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What may be lost; kinds separated by commas, may be repeated.",
      discussion: LeaveOut.Kind.allCases.map {
        "  " + $0.about.value + String(repeating: " ", count: 26 - $0.about.value.utf8.count)
          + $0.about.text
      }.joined(separator: "\n"),
      valueName: "kinds"))
  var leaveOut: [String] = []

  func leftOut() throws(OptionError) -> LeaveOut {
    var leftOut = LeaveOut()
    for text in leaveOut { try leftOut.add(parsing: text) }
    return leftOut
  }
}

/// `--action-script`, `--script-timeout`.
struct ScriptOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A program to call at each stage, without a shell; may be repeated, called in this order.",
      discussion: """
        CRTOOLS_SCRIPT_ACTION in its environment says which stage it is. At dump: pre-dump, \
        network-lock, network-unlock, post-dump. At restore: pre-restore, setup-namespaces (the \
        namespaces exist: bring links from outside now), post-setup-namespaces, post-restore, \
        network-unlock, pre-resume, post-resume. CRTOOLS_INIT_PID is a process in the namespaces, \
        CRTOOLS_IMAGE_DIR the folder of images. A status other than 0 fails the operation.
        """, valueName: "command"))
  var actionScript: [String] = []

  @Option(
    help: ArgumentHelp("Seconds that one call of a script may take.", valueName: "seconds"))
  var scriptTimeout = 60

  func validate() throws {
    guard scriptTimeout > 0 else { throw ValidationError("--script-timeout must be positive.") }
  }

  var scripts: ActionScripts {
    var scripts = ActionScripts()
    scripts.commands = actionScript
    scripts.timeout = scriptTimeout
    return scripts
  }
}

/// `-t`, `--netns`: what is looked at.
struct SubjectOptions: ParsableArguments {
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("A process of the container, by its PID here.", valueName: "pid"))
  var tree: Int32?

  @Option(
    help: ArgumentHelp(
      "The links of this network namespace alone: a name that ip netns lists, or a path.",
      valueName: "name"))
  var netns: String?

  /// How many of them are given.
  var count: Int { (tree == nil ? 0 : 1) + (netns == nil ? 0 : 1) }

  func requireOne() throws {
    guard count == 1 else { throw ValidationError("Give one of -t PID and --netns NAME.") }
  }
}

/// `--only`.
struct PartsOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Parts, separated by commas: mounts, links, files. Without it all that there are; at dump, "
        + "files only where asked for.",
      valueName: "parts"))
  var only: String?

  func parts() throws(OptionError) -> SavedParts? {
    guard let only else { return nil }
    var parts: SavedParts = []
    for word in only.split(separator: ",", omittingEmptySubsequences: false) {
      guard let part = SavedParts(word: String(word)) else {
        throw OptionError("--only \(only): \"\(word)\" is not one of mounts, links, files")
      }
      parts.insert(part)
    }
    return parts
  }
}

/// Log lines as a person reads them: `warning: text`.
struct LineLogHandler: LogHandler {
  let descriptor: CInt
  var logLevel: Logger.Level = .notice
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let word: String
    switch event.level {
    case .critical, .error: word = "error: "
    case .warning: word = "warning: "
    case .notice: word = "note: "
    default: word = ""
    }
    let bytes = Array((word + visibleText("\(event.message)") + "\n").utf8)
    _ = write(descriptor, bytes, bytes.count)
  }
}
