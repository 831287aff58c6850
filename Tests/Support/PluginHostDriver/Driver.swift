import CMooring
import Glibc
import LinuxKernel
import Logging
import MountTable
import PluginHost

/// Asks a chain of plugins what its arguments say, and prints what comes of it: one line an action.
///
/// ```
/// PluginHostDriver dump|restore|list [OPTION=VALUE …] [ACTION …]
/// ```
/// At the end it says what is not as it was before: the mounts, the open descriptors, children.
@main
struct Driver {
  var options: [String: String] = [:]
  var actions: [[String]] = []
  let stage: String

  static func main() {
    setvbuf(stdoutStream(), nil, _IOLBF, 4096)
    var driver = Driver(CommandLine.arguments)
    driver.run()
  }

  init(_ arguments: [String]) {
    stage = arguments.count > 1 ? arguments[1] : ""
    for argument in arguments.dropFirst(2) {
      if let equals = argument.firstIndex(of: "="), !argument.hasPrefix("/") {
        options[String(argument[..<equals])] = String(argument[argument.index(after: equals)...])
      } else {
        actions.append(
          argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init))
      }
    }
  }

  private var log: Logger {
    var log = Logger(label: "plugins") { _ in PrintingLog() }
    log.logLevel = options["level"].flatMap(Logger.Level.init(rawValue:)) ?? .info
    return log
  }

  mutating func run() {
    let before = State.now()
    if stage == "list" {
      list()
    } else {
      do {
        try ask(try start())
      } catch {
        print("failed: \(error)")
      }
    }
    for difference in State.now().differences(from: before) { print("LEFT BEHIND: \(difference)") }
  }

  private func list() {
    do {
      for plugin in try PluginChain.list(
        folder: options["folder"] ?? "", timeout: Int(options["timeout"] ?? "") ?? 20, log: log)
      {
        let hooks = plugin.hooks.map(\.description).joined(separator: " ")
        print(
          "\(plugin.file) \(plugin.name) \(plugin.generation) \(plugin.version): \(hooks)")
      }
    } catch {
      print("failed: \(error)")
    }
  }

  private func start() throws -> PluginChain {
    let images = try Descriptor.open(options["images"] ?? "/", flags: O_RDONLY | O_DIRECTORY)
    let swift = (options["swift"] ?? "").split(separator: ",").map { name in
      DriverPlugin(name: String(name)) as any MooringPlugin
    }
    return try PluginChain.start(
      folder: options["folder"], stage: stage == "dump" ? .dump : .restore,
      imageDirectory: images.number,
      inventory: options["inventory"].map { $0.split(separator: ",").map(String.init) },
      reserved: (options["reserved"] ?? "").split(separator: ",").map { MountPath(String($0)) },
      timeout: Int(options["timeout"] ?? "") ?? 20, inProcess: swift, log: log)
  }

  private func ask(_ chain: PluginChain) throws {
    for action in actions {
      do {
        print("\(action[0]): \(try perform(action, chain))")
      } catch {
        print("\(action[0]) failed: \(error)")
      }
    }
    do { try chain.finish() } catch { print("finish failed: \(error)") }
  }
}

/// `stdout`, which Swift takes for a variable that may change.
private func stdoutStream() -> UnsafeMutablePointer<FILE>? { fdopen(1, "w") }

/// What must be the same before and after.
struct State {
  var mounts: String
  var descriptors: [String]
  var hasChildren: Bool

  static func now() -> State {
    State(
      mounts: String(decoding: contents("/proc/self/mountinfo"), as: UTF8.self),
      descriptors: (0..<200).filter { fcntl($0, F_GETFD) >= 0 }.map(String.init),
      hasChildren: waitpid(-1, nil, WNOHANG) >= 0)
  }

  func differences(from other: State) -> [String] {
    var found: [String] = []
    if mounts != other.mounts { found.append("mounts") }
    if descriptors != other.descriptors { found.append("descriptors \(descriptors)") }
    if hasChildren { found.append("children") }
    return found
  }
}

/// What a file holds.
func contents(_ path: String) -> [UInt8] {
  guard let file = try? Descriptor.open(path, flags: O_RDONLY) else { return [] }
  return contents(of: file.number)
}

func contents(of descriptor: CInt) -> [UInt8] {
  var all: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = read(descriptor, &buffer, buffer.count)
    if count <= 0 { return all }
    all += buffer[..<count]
  }
}

/// Writes log lines to standard output, among the answers.
struct PrintingLog: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .info

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    print("log \(event.level): \(event.message)")
  }
}
