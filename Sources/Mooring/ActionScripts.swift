import CMooring
import Glibc
import LinuxKernel
import SystemPackage

/// When an action script is called; CRIU's names.
public enum ScriptAction: String, Sendable {
  // A dump: before anything is read, around the reading of networks, when all is saved.
  case preDump = "pre-dump"
  case networkLock = "network-lock"
  case networkUnlock = "network-unlock"
  case postDump = "post-dump"
  // A restore: before anything is made, when the namespaces exist, when all is in place, when it is
  // verified, around the beginning of COMMAND.
  case preRestore = "pre-restore"
  case setupNamespaces = "setup-namespaces"
  case postSetupNamespaces = "post-setup-namespaces"
  case postRestore = "post-restore"
  case preResume = "pre-resume"
  case postResume = "post-resume"
}

/// Programs of the user that are called at certain moments (`--action-script`).
///
/// Each is executed without a shell, in the engine's own namespaces, its standard input empty, with
/// `CRTOOLS_SCRIPT_ACTION`, `CRTOOLS_IMAGE_DIR` (a path below `/proc`) and, once there are namespaces,
/// `CRTOOLS_INIT_PID` in its environment. They run in the order given; the first that fails ends the
/// operation. CRIU calls them in the reverse order, and all of them.
public struct ActionScripts: Sendable {
  /// A path, with arguments separated by spaces.
  public var commands: [String] = []
  /// Seconds that one call may take.
  public var timeout = 60

  public init() {}

  /// - Parameters:
  ///   - operation: `dump`, `restore`: for the error.
  ///   - images: the directory of images, open.
  ///   - willRun: is told the process group of a script that begins, and 0 when it has ended.
  /// - Throws: `EngineFailure` naming the script, the action and how it ended.
  func run(
    _ action: ScriptAction, _ operation: String, images: CInt, process: pid_t? = nil,
    willRun: (pid_t) throws -> Void = { _ in }
  ) throws {
    for command in commands {
      try Waiting.on("action script \(command) (\(action.rawValue))") {
        try run(command, action, operation, images, process, willRun)
      }
      try willRun(0)
    }
  }

  private func run(
    _ command: String, _ action: ScriptAction, _ operation: String, _ images: CInt,
    _ process: pid_t?, _ willRun: (pid_t) throws -> Void
  ) throws {
    func failure(_ what: String) -> EngineFailure {
      EngineFailure(.failed, "\(operation): action script \(command) (\(action.rawValue)): \(what)")
    }
    let words = Self.words(command)
    guard !words.isEmpty else { throw failure("the command is empty") }
    var ends: [CInt] = [-1, -1]
    try checked(mooring_pipe(&ends), "pipe", "the script's status")
    let engine = getpid()
    fflush(nil)
    let pid = pid_t(try checked(mooring_fork(), "fork", command))
    if pid == 0 {
      Self.execute(words, action, "/proc/\(engine)/fd/\(images)", process, report: ends[1])
    }
    close(ends[1])
    defer { close(ends[0]) }
    setpgid(pid, pid)
    try willRun(pid)
    guard let status = wait(for: pid) else {
      kill(-pid, SIGKILL)
      kill(pid, SIGKILL)
      mooring_wait(pid, nil)
      throw failure(
        "it did not end in \(timeout) seconds and was killed; give it more with --script-timeout")
    }
    var code: CInt = 0
    if read(ends[0], &code, 4) == 4 {
      let errno = Errno(rawValue: code)
      throw failure(
        "cannot be executed: \(errno.symbol) (\(errno.text)); give the path of an executable file")
    }
    // What it has started may still be at work.
    if status != 0 { kill(-pid, SIGKILL) }
    if status & 0x7F != 0 { throw failure("ended by signal \(status & 0x7F)") }
    if status != 0 { throw failure("exited with status \((status >> 8) & 0xFF)") }
  }

  /// The words of a command as a shell splits them: spaces separate, quotes and backslashes keep together.
  static func words(_ command: String) -> [String] {
    var words: [String] = []
    var word = ""
    var isOpen = false
    var quote: Character?
    var characters = command.makeIterator()
    while let character = characters.next() {
      if let open = quote {
        if character == open {
          quote = nil
        } else if character == "\\" && open == "\"", let next = characters.next() {
          word += next == "\"" || next == "\\" ? String(next) : "\\\(next)"
        } else {
          word.append(character)
        }
      } else if character == "\"" || character == "'" {
        quote = character
        isOpen = true
      } else if character == "\\" {
        if let next = characters.next() { word.append(next) }
        isOpen = true
      } else if character.isWhitespace {
        if isOpen || !word.isEmpty { words.append(word) }
        word = ""
        isOpen = false
      } else {
        word.append(character)
      }
    }
    if isOpen || !word.isEmpty { words.append(word) }
    return words
  }

  private static func execute(
    _ words: [String], _ action: ScriptAction, _ images: String, _ process: pid_t?, report: CInt
  ) -> Never {
    setpgid(0, 0)
    _ = mooring_prctl(CInt(MOORING_PR_SET_PDEATHSIG), UInt(SIGKILL))
    var none = sigset_t()
    sigemptyset(&none)
    sigprocmask(SIG_SETMASK, &none, nil)
    for number in [SIGPIPE, SIGXFSZ, SIGCHLD, SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_DFL) }
    setenv("CRTOOLS_SCRIPT_ACTION", action.rawValue, 1)
    setenv("CRTOOLS_IMAGE_DIR", images, 1)
    unsetenv("CRTOOLS_INIT_PID")
    if let process { setenv("CRTOOLS_INIT_PID", String(process), 1) }
    dup2(report, 3)
    _ = fcntl(3, F_SETFD, FD_CLOEXEC)
    close(0)
    _ = open("/dev/null", O_RDONLY)
    _ = mooring_close_range(4, UInt32.max, 0)
    var pointers: [UnsafePointer<CChar>?] = words.map { UnsafePointer(strdup($0)) }
    pointers.append(nil)
    var failure = pointers.withUnsafeBufferPointer { mooring_exec($0.baseAddress!) }
    _ = write(3, &failure, 4)
    mooring_exit(127)
  }

  /// The status; `nil` where it is not there in time.
  private func wait(for pid: pid_t) -> CInt? {
    var status: CInt = 0
    let descriptor = mooring_pidfd_open(pid, 0)
    if descriptor >= 0 {
      defer { close(CInt(descriptor)) }
      var entry = pollfd(fd: CInt(descriptor), events: Int16(POLLIN), revents: 0)
      while true {
        let ready = poll(&entry, 1, CInt(clamping: timeout * 1000))
        if ready == 0 { return nil }
        if ready > 0 || errno != EINTR { break }
      }
    }
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    return status
  }
}
