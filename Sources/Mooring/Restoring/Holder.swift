import CMooring
import FileTable
import Glibc
import MountTable

/// What the restored namespaces are for.
public enum HolderCommand: Sendable {
  /// Nothing yet: a small process keeps them.
  case none
  /// COMMAND runs as a child of the holder, or in its place.
  case run([String], asFirstProcess: Bool, diesWithParent: Bool)

  var diesWithEngine: Bool {
    if case .run(_, _, let diesWithParent) = self { diesWithParent } else { false }
  }
}

/// The process that keeps the namespaces: it reaps, passes signals on, and runs COMMAND.
struct Holder {
  var command: HolderCommand
  /// Descriptors that keep what has no process: the network namespaces nested in the tree.
  var held: [CInt] = []
  /// The open files that COMMAND gets.
  var files: [File] = []
  /// What it is told of them: `MOORING_FDS`.
  var fileList = ""
  var callersLimit: DescriptorLimit
  /// Where the engine hears why COMMAND cannot begin: a status, and a sentence.
  var report: CInt = -1

  struct File {
    var descriptor: CInt
    /// The numbers that it gets.
    var numbers: [CInt]
  }

  func run() -> Never {
    switch command {
    case .none:
      callersLimit.putBack()
      _ = setsid()
      closeOthers()
      detachStandardStreams()
      wait(for: nil)
    case .run(let arguments, let asFirstProcess, let diesWithParent):
      if asFirstProcess { execute(arguments) }
      block()
      let child = mooring_fork()
      if child == 0 {
        if diesWithParent { _ = mooring_prctl(CInt(MOORING_PR_SET_PDEATHSIG), UInt(SIGKILL)) }
        execute(arguments)
      }
      if child < 0 {
        giveUp(125, "fork COMMAND: \(String(cString: strerror(CInt(-child))))", report)
      }
      callersLimit.putBack()
      closeOthers()
      wait(for: pid_t(child))
    }
  }

  /// 127 where there is no such COMMAND, 126 where it cannot be executed, as shells say it.
  private func execute(_ arguments: [String]) -> Never {
    let report = arrangeFiles()
    // After that: the numbers that are parked at meanwhile are the engine's matter.
    callersLimit.putBack()
    if fileList.isEmpty {
      unsetenv(FilePlan.variable)
    } else {
      setenv(FilePlan.variable, fileList, 1)
    }
    var none = sigset_t()
    sigemptyset(&none)
    sigprocmask(SIG_SETMASK, &none, nil)
    for number in [SIGPIPE, SIGXFSZ, SIGCHLD, SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_DFL) }
    var pointers: [UnsafePointer<CChar>?] = arguments.map { UnsafePointer(strdup($0)) }
    pointers.append(nil)
    let failure = pointers.withUnsafeBufferPointer { mooring_exec($0.baseAddress!) }
    let hint =
      failure == ENOENT
      ? "; the restored root has no such program, or not what it is linked to" : ""
    giveUp(
      failure == ENOENT ? 127 : 126,
      "execute \(arguments[0]): \(String(cString: strerror(failure)))\(hint)", report)
  }

  /// Tells the engine, which takes back what was made.
  private func giveUp(_ status: CInt, _ why: String, _ report: CInt) -> Never {
    let bytes = [UInt8(truncatingIfNeeded: status)] + Array("restore: \(why)".utf8)
    _ = write(report, bytes, bytes.count)
    mooring_exit(status)
  }

  /// Puts the files where COMMAND looks for them, and closes all others but the standard streams.
  ///
  /// - Returns: where `report` is now.
  private func arrangeFiles() -> CInt {
    let targets = Set(files.flatMap(\.numbers))
    let report = parked(self.report, outside: targets, self.report)
    let sources = files.map { parked($0.descriptor, outside: targets, report) }
    for (file, source) in zip(files, sources) {
      for number in file.numbers where dup2(source, number) < 0 {
        giveUp(
          125, "give COMMAND the descriptor \(number): \(String(cString: strerror(errno)))", report)
      }
    }
    var first: CInt = 3
    for kept in targets.union([report]).sorted() where kept >= 3 {
      if kept > first { _ = mooring_close_range(UInt32(first), UInt32(kept - 1), 0) }
      first = kept + 1
    }
    closeAll(from: UInt32(first))
    return report
  }

  /// The descriptor, or a copy of it that is none of the numbers to come.
  private func parked(
    _ descriptor: CInt, outside targets: Set<CInt>, _ report: CInt
  ) -> CInt {
    var copy = descriptor
    while targets.contains(copy) {
      copy = fcntl(copy, F_DUPFD_CLOEXEC, copy + 1)
      guard copy >= 0 else {
        giveUp(
          125, "arrange the descriptors of COMMAND: \(String(cString: strerror(errno)))", report)
      }
    }
    return copy
  }

  private func closeAll(from first: UInt32) { _ = mooring_close_range(first, UInt32.max, 0) }

  private func closeOthers() {
    // Above all others first, so that none is lost on its way down.
    let high = held.map { fcntl($0, F_DUPFD_CLOEXEC, CInt(3 + 2 * held.count)) }
    for (place, descriptor) in high.enumerated() { dup2(descriptor, CInt(3 + place)) }
    closeAll(from: UInt32(3 + held.count))
  }

  private func detachStandardStreams() {
    let null = open("/dev/null", O_RDWR)
    for number in 0..<CInt(3) {
      if null >= 0 { dup2(null, number) } else { close(number) }
    }
    if null > 2 { close(null) }
  }

  private func block() {
    var all = sigset_t()
    sigfillset(&all)
    sigprocmask(SIG_SETMASK, &all, nil)
  }

  /// Reaps whoever ends; ends with `child` and its status (128 + signal), or at SIGTERM or SIGINT
  /// where there is no child. A signal from another process goes to the child; one from the terminal
  /// has reached it already.
  private func wait(for child: pid_t?) -> Never {
    block()
    var all = sigset_t()
    sigfillset(&all)
    while true {
      var status: CInt = 0
      var ended = waitpid(-1, &status, WNOHANG)
      while ended > 0 {
        if ended == child { mooring_exit(exitStatus(status)) }
        ended = waitpid(-1, &status, WNOHANG)
      }
      var info = siginfo_t()
      let number = sigwaitinfo(&all, &info)
      guard number > 0, number != SIGCHLD else { continue }
      if let child {
        if info.si_code <= 0 { kill(child, number) }
      } else if [SIGTERM, SIGINT, SIGHUP, SIGQUIT].contains(number) {
        mooring_exit(128 + number)
      }
    }
  }
}

/// The exit status that a shell would show for a `waitpid` status.
func exitStatus(_ status: CInt) -> CInt {
  status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
}
