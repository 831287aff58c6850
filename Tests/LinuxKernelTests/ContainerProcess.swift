import CMooring
import Glibc

/// A shell in a mount namespace of its own, for tests; it ends when this value goes.
final class ContainerProcess: Sendable {
  let pid: Int32
  private let input: CInt

  /// Runs `script` by `unshare OPTIONS sh`; it is ready when `init` returns.
  init?(_ script: String, options: [String] = ["--mount", "--propagation", "private"]) {
    var input: [CInt] = [0, 0]
    var output: [CInt] = [0, 0]
    guard mooring_pipe(&input) == 0, mooring_pipe(&output) == 0 else { return nil }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, input[0], 0)
    posix_spawn_file_actions_adddup2(&actions, output[1], 1)
    defer { posix_spawn_file_actions_destroy(&actions) }
    let whole = "set -e; mount -t tmpfs tmp /tmp; \(script)\necho ready; exec cat >/dev/null"
    let words = ["unshare"] + options + ["sh", "-c", whole]
    var arguments = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var child: pid_t = 0
    let failure = posix_spawnp(&child, "unshare", &actions, nil, &arguments, environ)
    close(input[0])
    close(output[1])
    self.input = input[1]
    pid = child
    var byte: CChar = 0
    let answer = failure == 0 ? read(output[0], &byte, 1) : 0
    close(output[0])
    guard answer == 1 else { return nil }
  }

  deinit {
    close(input)
    var status: CInt = 0
    if pid > 0 { waitpid(pid, &status, 0) }
  }

  /// Whether tests can make namespaces here. Where they must (`MOORING_REQUIRE_KERNEL=1`), the answer is yes,
  /// and the tests fail instead of being skipped.
  static let isPossible: Bool = {
    if getenv("MOORING_REQUIRE_KERNEL") != nil { return true }
    return geteuid() == 0 && ContainerProcess("true") != nil
  }()
}
