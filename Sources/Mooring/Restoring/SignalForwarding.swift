import Glibc
import LinuxKernel

nonisolated(unsafe) private var forwardingTarget: pid_t = 0

/// Passes signals that somebody sends to the engine on to the holder, which passes them to COMMAND.
/// What the terminal sends reaches all of them by itself.
struct SignalForwarding {
  private static let signals = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH]

  init(to pid: pid_t) { forwardingTarget = pid }

  func whileRunning<Result>(_ body: () -> Result) -> Result {
    // COMMAND may take as long as it likes.
    Waiting.end()
    var former: [CInt: sigaction] = [:]
    for number in Self.signals {
      var action = sigaction()
      action.sa_flags = SA_SIGINFO
      action.__sigaction_handler.sa_sigaction = { number, info, _ in
        // si_code is 0 or less where a process sent it (kill, sigqueue, tgkill).
        if let info, info.pointee.si_code <= 0 { kill(forwardingTarget, number) }
      }
      var old = sigaction()
      sigaction(number, &action, &old)
      former[number] = old
    }
    defer {
      for (number, var action) in former { sigaction(number, &action, nil) }
    }
    return body()
  }
}
