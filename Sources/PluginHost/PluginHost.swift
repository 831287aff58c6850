import CMooring
import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// The process that loads plugins and calls them: forked by the engine, single-threaded, so that a
/// counter which `init` sets is read by the hooks and by `exit`.
///
/// It runs after `fork` and never returns: every way out is `_exit`.
final class PluginHost {
  let settings: HostSettings
  var plugins: [LoadedPlugin] = []
  var place: TemporaryPlace?
  private let pid = getpid()
  private var namesSent = 0
  /// The exit status of a host that can no longer talk to the engine.
  static let lostSocketStatus: CInt = 121

  init(_ settings: HostSettings) { self.settings = settings }

  static func run(_ settings: HostSettings, inheriting descriptors: [CInt]) -> Never {
    let host = PluginHost(settings)
    do {
      try settings.prepareProcess(descriptors)
      while let request = try PluginMessage.receive(from: HostDescriptor.socket) {
        host.answer(request)
      }
    } catch {
      host.sayNo(error)
      mooring_exit(lostSocketStatus)
    }
    // The engine is gone.
    host.end(result: -1)
  }

  private func answer(_ request: PluginMessage) {
    defer { for descriptor in request.descriptors { close(descriptor) } }
    switch request.kind {
    case .begin, .list:
      do {
        try load()
        if request.kind == .list { return describe() }
        try begin()
        try send(PluginMessage(.answer))
      } catch {
        sayNo(error)
        end(result: -1)
      }
    case .finish: end(result: CInt(request.number(0)))
    default:
      do {
        let reply = try reply(to: request)
        defer { for descriptor in reply.descriptors { close(descriptor) } }
        try send(reply)
      } catch {
        sayNo(error)
      }
    }
  }

  /// Opens the folder, goes to `/` and, for a restore, into a private mount namespace; then loads
  /// every object, so that a bad one is refused before any plugin has done anything.
  private func load() throws {
    let folder = try PluginFolder.open(settings.folder, operation: settings.operation)
    let files = try folder.files()
    try checked(chdir("/") < 0 ? -Int(errno) : 0, "chdir", "/")
    if settings.stage != .restore { try settings.enterPrivateCopy() }
    if settings.stage == .restore {
      var settings = settings
      settings.reserved.append(folder.realPath)
      place = try settings.enterPrivateMounts()
    }
    var known: [PluginFile.Identity: String] = [:]
    for file in files {
      if let other = known[file.identity] {
        remark(2, "plugin \(file.name) is the same file as \(other), and is not loaded again")
        continue
      }
      known[file.identity] = file.name
      plugins.append(
        try calling(file.name, "loading") {
          try LoadedPlugin.load(file, operation: settings.operation)
        })
    }
    remarkOnNames()
  }

  private func remarkOnNames() {
    var files: [String: String] = [:]
    for plugin in plugins {
      if let other = files.updateValue(plugin.file, forKey: plugin.name) {
        remark(2, "the plugins \(other) and \(plugin.file) have one name, \"\(plugin.name)\"")
      }
      if plugin.functions.is_legacy {
        remark(
          2,
          "plugin \(plugin.file) has functions in place of a descriptor, a form that is deprecated; "
            + "use CR_PLUGIN_REGISTER of criu-plugin.h")
      }
    }
  }

  /// `init` of every plugin, the inventory, then RESTORE_INIT.
  private func begin() throws {
    guard let stage = settings.stage else { return }
    for index in plugins.indices {
      let result = calling(plugins[index].file, "init") {
        mooring_plugin_init(&plugins[index].functions, stage.rawValue)
      }
      guard result == 0 else { throw failure(plugins[index], "init", "", result) }
      plugins[index].isInitialised = true
    }
    guard stage == .restore else { return }
    let missing = (0..<mooring_inventory_required_count()).compactMap {
      mooring_inventory_required($0).map { String(cString: $0) }
    }
    if let failure = PluginFailure.missing(missing, folder: settings.folder) { throw failure }
    for plugin in plugins where plugin.has(.restoreInit) {
      var functions = plugin.functions
      let result = calling(plugin.file, "\(PluginHook.restoreInit)") {
        mooring_hook_restore_init(&functions)
      }
      if result < 0 && result != -ENOTSUP {
        throw failure(plugin, "\(PluginHook.restoreInit)", "", result)
      }
    }
  }

  private func describe() {
    for description in plugins.map(\.description) {
      let hooks = description.hooks.map { String($0.rawValue) }.joined(separator: " ")
      try? send(
        PluginMessage(
          .answer,
          texts: [
            description.name, description.file, description.generation.rawValue,
            String(description.versionNumber), hooks,
          ]))
    }
    end(result: 0)
  }

  /// `exit` of every plugin whose `init` did not fail, and the end of the process. The objects are
  /// unloaded, which runs their destructors.
  func end(result: CInt) -> Never {
    for index in plugins.indices where plugins[index].isInitialised {
      plugins[index].isInitialised = false
      calling(plugins[index].file, "exit") {
        mooring_plugin_exit(&plugins[index].functions, settings.stage?.rawValue ?? 0, result)
      }
    }
    for plugin in plugins { calling(plugin.file, "unloading") { plugin.unload() } }
    place?.takeDown()
    try? send(PluginMessage(.finished))
    mooring_exit(0)
  }

  /// Announces a call, so that the engine knows whom to name if nothing comes back.
  func calling<Result, Failure: Error>(
    _ plugin: String, _ function: String, _ subject: String = "",
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try? send(PluginMessage(.calling, texts: [plugin, function, subject]))
    defer {
      // A plugin forked, and its child came back.
      if getpid() != pid { mooring_exit(1) }
      fflush(nil)
      waitUntilOutputIsRead()
      sendNames()
    }
    return try body()
  }

  /// What a plugin printed must be read before another one prints.
  private func waitUntilOutputIsRead() {
    guard mooring_unread(1) > 0 || mooring_unread(2) > 0 else { return }
    try? send(PluginMessage(.printed))
    _ = try? PluginMessage.receive(from: HostDescriptor.socket)
  }

  private func sendNames() {
    while namesSent < mooring_inventory_added_count() {
      let name = mooring_inventory_added(namesSent).map { String(cString: $0) } ?? ""
      try? send(PluginMessage(.inventory, texts: [name]))
      namesSent += 1
    }
  }

  func failure(
    _ plugin: LoadedPlugin, _ function: String, _ subject: String, _ result: CInt
  ) -> PluginFailure {
    failure(plugin, function, subject, "it returned \(PluginFailure.text(ofResult: result))")
  }

  func failure(
    _ plugin: LoadedPlugin, _ function: String, _ subject: String, _ reason: String
  ) -> PluginFailure {
    PluginFailure(
      operation: settings.operation, plugin: plugin.file, hook: function,
      subject: subject.isEmpty ? nil : subject, reason: reason)
  }

  func send(_ message: PluginMessage) throws(SystemCallFailure) {
    try message.send(over: HostDescriptor.socket)
  }

  func remark(_ level: Int, _ text: String) {
    try? send(PluginMessage(.remark, texts: [String(level), text]))
  }

  private func sayNo(_ error: any Error) {
    let failure =
      error as? PluginFailure
      ?? PluginFailure(
        operation: settings.operation, subject: "the process that hosts plugins",
        reason: "\(error)")
    try? send(failure.message)
  }
}

extension PluginFailure {
  /// The images need plugins that nobody has taken off the list.
  static func missing(_ names: [String], folder: String?) -> PluginFailure? {
    guard !names.isEmpty else { return nil }
    let list = names.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
    var failure = PluginFailure(
      operation: "restore",
      subject: "the images need the plugin\(names.count == 1 ? "" : "s") \(list)",
      reason: (folder.map { "no plugin in \($0) is it" } ?? "no plugin folder is given")
        + "; put it there, or name the folder with -L")
    failure.isMissingPlugin = true
    return failure
  }
}
