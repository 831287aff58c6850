import Glibc
import PluginHost
import Testing

/// A run of the driver: a process with one thread, which forks the plugin host.
struct DriverRun {
  let lines: [String]

  /// - Parameters:
  ///   - plugins: fixtures to put into the plugin folder, as `NAME.so`, or `NAME.so=FIXTURE`.
  ///   - environment: variables for the plugins.
  init(
    _ stage: String, _ scratch: Scratch, plugins: [String] = [], _ arguments: [String] = [],
    environment: [String: String] = [:]
  ) throws {
    for plugin in plugins { try scratch.add(plugin) }
    var all = [stage]
    if !plugins.isEmpty { all.append("folder=\(scratch.plugins)") }
    all.append("images=\(scratch.images)")
    var variables = environment
    variables["SWIFT_BACKTRACE"] = "enable=no"
    lines = try spawn(
      ["timeout", "-k", "1", "60", Scratch.driver] + all + arguments, variables
    ).split(separator: "\n").map(String.init)
  }

  /// Whether some line contains this.
  func says(_ text: String) -> Bool { lines.contains { $0.contains(text) } }

  /// The one line that begins so, without that beginning.
  func answer(_ beginning: String) -> String? {
    lines.first { $0.hasPrefix(beginning) }.map { String($0.dropFirst(beginning.count)) }
  }

  var text: Comment { Comment(rawValue: lines.joined(separator: "\n")) }

  /// Whether mounts, descriptors and children of the driver were the same in the end.
  var leavesNothingBehind: Bool { !says("LEFT BEHIND") }
}

/// A folder for one test: `plugins`, `images`, and what else the test makes.
final class Scratch {
  let path: String
  var plugins: String { path + "/plugins" }
  var images: String { path + "/images" }
  var record: String { path + "/record" }

  init() throws {
    var template = Array("/tmp/mooring-plugins-XXXXXX".utf8CString)
    path = try #require(mkdtemp(&template).map { String(cString: $0) })
    for folder in [path, plugins, images] {
      mkdir(folder, 0o755)
      chmod(folder, 0o755)
    }
  }

  deinit { _ = try? spawn(["rm", "-rf", "--one-file-system", path], [:]) }

  /// Puts a fixture into the plugin folder: `NAME.so`, or `NAME.so=FIXTURE`.
  func add(_ plugin: String) throws {
    let words = plugin.split(separator: "=").map(String.init)
    let fixture = words.count > 1 ? words[1] : words[0]
    _ = try spawn(["cp", "\(Scratch.built)/\(fixture)", "\(plugins)/\(words[0])"], [:])
  }

  func write(_ text: String, to name: String, mode: mode_t = 0o644) throws {
    let descriptor = open("\(path)/\(name)", O_CREAT | O_WRONLY | O_TRUNC, 0o600)
    try #require(descriptor >= 0)
    _ = Glibc.write(descriptor, text, text.utf8.count)
    close(descriptor)
    chmod("\(path)/\(name)", mode)
  }

  /// The lines that the fixture `recorder` has written.
  var recorded: [Recorded] {
    get throws {
      guard access(record, F_OK) == 0 else { return [] }
      return try spawn(["cat", record], [:]).split(separator: "\n").map { Recorded(String($0)) }
    }
  }

  /// Beside the test runner.
  static let driver: String = {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = max(0, readlink("/proc/self/exe", &buffer, buffer.count))
    let runner = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return String(runner[..<(runner.lastIndex(of: "/") ?? runner.endIndex)]) + "/PluginHostDriver"
  }()

  /// The fixtures, built once for all tests, beside the driver.
  static let built: String = {
    let folder =
      String(driver[..<(driver.lastIndex(of: "/") ?? driver.endIndex)]) + "/plugins-built"
    let source = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let output = try? spawn(
      ["/\(source)/scripts/build-plugins", folder, "/\(source)/Tests/PluginHostTests/Plugins"], [:])
    precondition(output == "", "scripts/build-plugins: \(output ?? "did not run")")
    return folder
  }()
}

/// A line of the fixture `recorder`.
struct Recorded {
  let what: String
  let values: [String: String]

  init(_ line: String) {
    var words = line.split(separator: " ").map(String.init)
    what = words.isEmpty ? "" : words.removeFirst()
    var values: [String: String] = [:]
    for word in words {
      let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
      values[parts[0]] = parts.count > 1 ? parts[1] : ""
    }
    self.values = values
  }
}

/// Runs a program and gives what it wrote to standard output and standard error.
func spawn(_ arguments: [String], _ environment: [String: String]) throws -> String {
  var ends: [CInt] = [-1, -1]
  // Not a pipe: only here close-on-exec comes in the same call, and other tests spawn meanwhile.
  let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
  try #require(socketpair(AF_UNIX, type, 0, &ends) == 0)
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
  posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
  var variables = environment
  variables["PATH"] = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
  var arguments = arguments.map { strdup($0) } + [nil]
  var strings = variables.map { strdup("\($0)=\($1)") } + [nil]
  defer { for text in arguments + strings { free(text) } }
  var pid: pid_t = 0
  let result = posix_spawnp(&pid, arguments[0]!, &actions, nil, &arguments, &strings)
  close(ends[1])
  defer { close(ends[0]) }
  try #require(result == 0, "posix_spawn: \(result)")
  var output: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while case let count = read(ends[0], &buffer, buffer.count), count > 0 {
    output += buffer[..<count]
  }
  waitpid(pid, nil, 0)
  return String(decoding: output, as: UTF8.self)
}

/// Whether tests that mount can run; where they must, they run and fail.
let canMount = geteuid() == 0 || getenv("MOORING_REQUIRE_KERNEL").map { String(cString: $0) } == "1"
