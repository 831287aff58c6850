import ArgumentParser
import CMooring
import Glibc
import LinuxKernel

/// `--timeout`.
struct TimeLimitOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Give up after so many seconds, saying what was waited for; what was made until then is taken "
        + "back. A COMMAND that runs is not limited.", valueName: "seconds"))
  var timeout: Int?

  func validate() throws {
    guard let timeout else { return }
    guard timeout > 0, timeout <= 1_000_000_000 else {
      throw ValidationError("--timeout \(timeout): expected a number of seconds from 1 on.")
    }
  }
}

/// A command whose work may have to wait for others: file systems, plugins, scripts.
protocol SupervisedCommand: ParsableCommand {
  var limit: TimeLimitOptions { get }
  /// The exit status where it does not end in time.
  var failureStatus: CInt { get }
}

extension SupervisedCommand {
  var failureStatus: CInt { 1 }
}

/// The process that the caller waits for, while another does the work.
///
/// Who asks a file system whose server hangs cannot always be killed, not even by SIGKILL. So the work is
/// done by a child; this process only waits, touches no path, and can end whatever happens. It passes on
/// the signals that are sent to it, and ends as the child does. Where the child is late it is killed: with it
/// goes what it made (`UndoKeeper`).
struct Supervisor {
  private static let passedOn = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH]
  private let operation: String
  private let limit: Int?
  private let failureStatus: CInt

  init(_ command: some SupervisedCommand) {
    operation = type(of: command).configuration.commandName ?? type(of: command)._commandName
    limit = command.limit.timeout
    failureStatus = command.failureStatus
  }

  /// Returns in the child, which does the work; the calling process ends here.
  ///
  /// Where no process can be had the caller does the work itself.
  func divide() {
    Waiting.share()
    var waited = sigset_t()
    sigemptyset(&waited)
    for number in Self.passedOn + [SIGCHLD] { sigaddset(&waited, number) }
    var former = sigset_t()
    sigprocmask(SIG_BLOCK, &waited, &former)
    let parent = getpid()
    fflush(nil)
    let child = pid_t(mooring_fork())
    guard child > 0 else {
      if child == 0 {
        _ = mooring_prctl(CInt(MOORING_PR_SET_PDEATHSIG), UInt(SIGKILL))
        if getppid() != parent { mooring_exit(1) }
      }
      sigprocmask(SIG_SETMASK, &former, nil)
      return
    }
    // What is left of a child that is killed is reaped here.
    _ = mooring_prctl(CInt(MOORING_PR_SET_CHILD_SUBREAPER), 1)
    _ = mooring_close_range(3, UInt32.max, 0)
    watch(child, &waited)
  }

  private func watch(_ child: pid_t, _ waited: inout sigset_t) -> Never {
    let end = limit.map { Waiting.now() + $0 * 1000 }
    var isInterrupted = false
    while true {
      var status: CInt = 0
      let ended = waitpid(child, &status, WNOHANG)
      if ended == child { endAs(status) }
      var info = siginfo_t()
      var rest = timespec(tv_sec: 0, tv_nsec: 200_000_000)
      let isOver = Waiting.isOver
      let number =
        isOver ? sigwaitinfo(&waited, &info) : sigtimedwait(&waited, &info, &rest)
      if number > 0, number != SIGCHLD {
        // The terminal's reach the child by themselves.
        if info.si_code <= 0 { kill(child, number) }
        if !isOver, [SIGINT, SIGTERM, SIGHUP].contains(number) { isInterrupted = true }
        // A child that cannot be interrupted is left to itself.
        if isInterrupted, waitBriefly(child, &status) { endAs(status) }
        if isInterrupted { giveUp(child, nil, as: number) }
      } else if !isOver {
        stopWhereLate(child, end)
      }
    }
  }

  private func stopWhereLate(_ child: pid_t, _ end: Int?) {
    let now = Waiting.now()
    let what = Waiting.current.map { ", waiting for \($0)" } ?? ""
    if let end, now >= end {
      let seconds = limit == 1 ? "1 second" : "\(limit ?? 0) seconds"
      giveUp(
        child, "\(operation): not done after \(seconds)\(what); see to that, or raise --timeout")
    }
    if let deadline = Waiting.deadline, now >= deadline {
      giveUp(
        child,
        "\(operation): no answer in \(Waiting.patience) seconds\(what); the server of the file system "
          + "hangs: start it again, or take the mount away (umount --lazy, umount --force)")
    }
  }

  /// Whether the child ends within two seconds.
  private func waitBriefly(_ child: pid_t, _ status: inout CInt) -> Bool {
    for _ in 0..<200 {
      if waitpid(child, &status, WNOHANG) == child { return true }
      usleep(10_000)
    }
    return false
  }

  private func giveUp(_ child: pid_t, _ sentence: String?, as signal: CInt? = nil) -> Never {
    kill(child, SIGKILL)
    if let sentence { Report.complain(sentence) }
    reapOthers()
    if let signal { endBy(signal) }
    mooring_exit(failureStatus)
  }

  /// Waits a moment for processes that take back what the killed child had made.
  private func reapOthers() {
    let end = Waiting.now() + 3000
    while Waiting.now() < end {
      let ended = waitpid(-1, nil, WNOHANG)
      if ended < 0 { return }
      if ended == 0 { usleep(5_000) }
    }
  }

  private func endAs(_ status: CInt) -> Never {
    let signal = status & 0x7F
    if signal == 0 { mooring_exit(status >> 8 & 0xFF) }
    if !Waiting.isOver { reapOthers() }
    endBy(signal)
  }

  private func endBy(_ number: CInt) -> Never {
    var none = rlimit()
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    signal(number, SIG_DFL)
    kill(getpid(), number)
    var all = sigset_t()
    sigemptyset(&all)
    sigprocmask(SIG_SETMASK, &all, nil)
    mooring_exit(128 + number)
  }
}
