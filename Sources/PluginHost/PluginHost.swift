import CMooring
import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// The process in which the plugins of a folder live: loaded, started, asked and ended there, so that
/// their globals agree, and a plugin that crashes takes nothing else along.
///
/// Single-threaded, forked from the engine, which it talks to over a socket. When the engine goes away,
/// the plugins' exit is told of a failure. For a restore it has a private copy of the engine's mount
/// namespace.
struct PluginHost {
  let socket: CInt
  let folder: PluginFolder
  let stage: PluginStage
  let reserved: [MountPath]
  let timeout: Int
  var plugins: [LoadedPlugin] = []
  var place: TemporaryPlace?

  /// A plugin in this process.
  struct LoadedPlugin {
    var file: String
    var plugin: mooring_plugin
    var isStarted = false

    var name: String { plugin.name.map { String(cString: $0) } ?? String(file.dropLast(3)) }
    /// As messages call it.
    var title: String { "\(name).so" == file ? "plugin \(file)" : "plugin \(file) (\(name))" }

    func hook(_ hook: PluginHook) -> UnsafeMutableRawPointer? {
      var hooks = plugin.hooks
      return withUnsafeBytes(of: &hooks) {
        $0.load(
          fromByteOffset: hook.rawValue * MemoryLayout<UnsafeMutableRawPointer?>.stride,
          as: UnsafeMutableRawPointer?.self)
      }
    }
  }

  /// Serves until told to finish, and ends the process.
  mutating func run(imageDirectory: CInt, inventory: [String]?, logLevel: UInt32) {
    _ = setsid()
    // A plugin is code of somebody else: it gets signals and descriptors as a new program would.
    for number in CInt(1)..<32 { signal(number, SIG_DFL) }
    var none = sigset_t()
    sigemptyset(&none)
    sigprocmask(SIG_SETMASK, &none, nil)
    keepOnly(imageDirectory)
    PluginServices.start(
      socket: socket, imageDirectory: imageDirectory, inventory: inventory, logLevel: logLevel)
    while let request = try? HostMessage.receive(from: socket) {
      // The engine measures the time too; this is for one that has gone away.
      mooring_end_after(UInt32(timeout + 5))
      if request.kind == .finish {
        finish(request.numbers[0])
        reply(HostMessage(.answer))
        mooring_exit(0)
      }
      do {
        reply(try answer(request))
      } catch {
        reply(HostMessage(.failure, text: "\(error)"))
      }
      for descriptor in request.descriptors { close(descriptor) }
      mooring_end_after(0)
    }
    mooring_end_after(UInt32(timeout + 5))
    finish(-1)
    mooring_exit(1)
  }

  private func keepOnly(_ imageDirectory: CInt) {
    let null = open("/dev/null", O_RDONLY)
    if null >= 0 { dup2(null, 0) }
    var next: UInt32 = 3
    for kept in Set([socket, imageDirectory]).filter({ $0 > 2 }).sorted() {
      if UInt32(kept) > next { _ = mooring_close_range(next, UInt32(kept) - 1, 0) }
      next = UInt32(kept) + 1
    }
    _ = mooring_close_range(next, UInt32.max, 0)
  }

  private func reply(_ message: HostMessage) {
    do { try message.send(over: socket) } catch { mooring_exit(1) }
    for descriptor in message.descriptors { close(descriptor) }
  }

  private mutating func answer(_ request: HostMessage) throws -> HostMessage {
    switch request.kind {
    case .load:
      try load()
      return HostMessage(.answer)
    case .list:
      try openAll()
      return HostMessage(.answer, text: list())
    case .missing:
      return HostMessage(.answer, text: PluginServices.missing.joined(separator: "\n"))
    case .restoreInit:
      try restoreInit()
      return HostMessage(.answer)
    case .dumpMount, .dumpLink, .dumpFile, .dumpSocket: return try dump(request)
    case .restoreMount: return try restoreMount(request)
    case .restoreFile, .restoreSocket: return try restoreDescriptor(request)
    default: throw PluginFailure("the plugin host was asked what it does not know")
    }
  }

  /// Says whose code is about to run: where the process does not come back, the engine can name it.
  func say(calling plugin: LoadedPlugin) {
    try? HostMessage(.calling, text: plugin.title).send(over: socket)
  }

  // MARK: Loading

  private mutating func openAll() throws(PluginFailure) {
    for file in folder.files {
      try? HostMessage(.calling, text: "plugin \(file)").send(over: socket)
      var room = [CChar](repeating: 0, count: 1024)
      guard let handle = mooring_plugin_open("\(folder.path)/\(file)", &room, room.count) else {
        let text = String(decoding: room.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        throw PluginFailure("plugin \(file) cannot be loaded: \(text)")
      }
      var plugin = mooring_plugin()
      let problem = Int(mooring_plugin_read(handle, &plugin))
      let loaded = LoadedPlugin(file: file, plugin: plugin)
      switch problem {
      case 0: break
      case MOORING_PLUGIN_TOO_NEW:
        throw PluginFailure(
          "\(loaded.title) is of version \(version(plugin)); this engine knows up to 0.2.0: take an "
            + "older one")
      case MOORING_PLUGIN_TOO_MANY_HOOKS:
        throw PluginFailure(
          "\(loaded.title) has \(plugin.max_hooks) hooks; this engine knows \(MOORING_PLUGIN_HOOKS): "
            + "take an older one")
      default:
        throw PluginFailure(
          "plugin \(file) is no plugin: it has neither CR_PLUGIN_DESC nor a function of the first "
            + "generation; take it out of \(folder.path)")
      }
      if plugin.is_legacy {
        PluginServices.log(
          2, "plugin \(file) has no descriptor; that form is deprecated: use CR_PLUGIN_REGISTER")
      }
      plugins.append(loaded)
    }
  }

  private mutating func load() throws {
    if stage == .restore { place = try TemporaryPlace.make(reserved, folder.path) }
    try openAll()
    for index in plugins.indices {
      say(calling: plugins[index])
      let result = withUnsafePointer(to: plugins[index].plugin) {
        mooring_plugin_init($0, stage.rawValue)
      }
      guard result == 0 else {
        throw PluginFailure("\(plugins[index].title): init returned \(returned(result))")
      }
      plugins[index].isStarted = true
    }
  }

  private func restoreInit() throws(PluginFailure) {
    for plugin in plugins {
      guard let hook = plugin.hook(.restoreInit) else { continue }
      say(calling: plugin)
      let result = mooring_hook_none(hook)
      if result < 0 && result != -ENOTSUP {
        throw PluginFailure("\(plugin.title): RESTORE_INIT returned \(returned(result))")
      }
    }
  }

  private func finish(_ result: Int32) {
    for plugin in plugins where plugin.isStarted {
      say(calling: plugin)
      withUnsafePointer(to: plugin.plugin) { mooring_plugin_exit($0, stage.rawValue, result) }
    }
  }

  /// `file TAB name TAB legacy TAB version TAB hook,hook` a line.
  private func list() -> String {
    plugins.map { plugin in
      let hooks = PluginHook.allCases.filter { plugin.hook($0) != nil }.map(\.name)
      return [
        plugin.file, plugin.name, plugin.plugin.is_legacy ? "1" : "0", version(plugin.plugin),
        hooks.joined(separator: ","),
      ].joined(separator: "\t")
    }.joined(separator: "\n")
  }

  private func version(_ plugin: mooring_plugin) -> String {
    "\(plugin.version >> 16).\(plugin.version >> 8 & 0xFF).\(plugin.version & 0xFF)"
  }
}

/// A hook's result as a person reads it.
func returned(_ result: Int32) -> String {
  guard result < 0, result > -4096 else { return "\(result)" }
  let failure = Errno(rawValue: -result)
  return result == -1 ? "-1" : "-\(failure.symbol) (\(failure.text))"
}
