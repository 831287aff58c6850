import Glibc
import LinuxKernel
import Logging
import MountTable

/// The plugins of one operation: those in Swift first, then those of the plugin folder in the order of
/// their file names. Who does not say "not mine" has answered.
///
/// Plugins of the folder run in a process of their own. If it dies or hangs, the operation fails
/// naming the plugin and the hook, and this process goes on.
///
/// Not for use from several threads.
public final class PluginChain {
  let operation: String
  private let stage: PluginStage
  private let log: Logger
  let inProcess: [any MooringPlugin]
  private var initialisedCount = 0
  let host: HostProcess?
  private var isFinished = false
  var answered: [String] = []

  /// Loads and initialises the plugins.
  ///
  /// The calling process must be single-threaded, for the plugins' process is forked. At restore that
  /// process enters a private copy of the calling process's mount namespace, which takes root.
  ///
  /// - Parameters:
  ///   - folder: `nil` for none. It and its objects `*.so` must belong to root or the caller, and be
  ///     writable by nobody else.
  ///   - imageDirectory: an open directory descriptor, what `criu_get_image_dir` answers.
  ///   - inventory: at restore, the plugins that the images need; `nil` where they do not say.
  ///   - reserved: paths that the plugins' temporary place must not hide.
  ///   - timeout: seconds that one call of a plugin's function may take; 0 for no limit.
  ///   - log: takes what plugins log and print; its level is what `log_get_loglevel` answers.
  /// - Throws: `PluginFailure`: an object that cannot be trusted or loaded, an `init` that refused, a
  ///   plugin that the images need and nobody is. Those initialised before have been told.
  public static func start(
    folder: String?, stage: PluginStage, imageDirectory: CInt, inventory: [String]?,
    reserved: [MountPath], timeout: Int, inProcess: [any MooringPlugin], log: Logger
  ) throws -> PluginChain {
    let own = Set(inProcess.map(\.name))
    let needed = inventory?.filter { !own.contains($0) }
    if folder == nil, stage == .restore,
      let failure = PluginFailure.missing(needed ?? [], folder: nil)
    {
      throw failure
    }
    let settings = folder.map {
      HostSettings(
        operation: stage.name, stage: stage, folder: $0, inventory: needed, reserved: reserved,
        logLevel: PluginLog.level(of: log))
    }
    // Before plugins in Swift have a chance to start threads.
    let host = try settings.map {
      try HostProcess.start($0, images: imageDirectory, timeout: timeout, log: log)
    }
    let chain = PluginChain(stage, host, inProcess, log)
    do {
      try chain.begin()
    } catch {
      var failure = error
      failure.attached += chain.end(succeeded: false).map(\.description)
      throw failure
    }
    return chain
  }

  private init(
    _ stage: PluginStage, _ host: HostProcess?, _ inProcess: [any MooringPlugin], _ log: Logger
  ) {
    self.stage = stage
    self.operation = stage.name
    self.host = host
    self.inProcess = inProcess
    self.log = log
  }

  private func begin() throws(PluginFailure) {
    for plugin in inProcess {
      try calling(plugin, "initialise", nil) { try plugin.initialise(stage) }
      initialisedCount += 1
    }
    guard let host else { return }
    do {
      _ = try host.ask(PluginMessage(.begin))
    } catch {
      let failure = PluginFailure.wrapping(error, operation)
      // The host has said what failed; now it runs `exit` of the others and ends.
      throw failure.attaching(waitForExits())
    }
  }

  /// The names for the inventory: plugins that added themselves (`add_inventory_plugin`), and those in
  /// Swift that answered. Empty but during a dump.
  public var inventoryPlugins: [String] {
    guard stage != .restore else { return [] }
    var names: [String] = []
    for name in answered + (host?.inventory ?? []) where !names.contains(name) {
      names.append(name)
    }
    return names
  }

  /// Tells every plugin that the operation has succeeded (`exit(stage, 0)`), and ends the process of the
  /// plugins. Once; later calls of this and of `abandon` do nothing.
  ///
  /// - Throws: `PluginFailure` where a plugin crashes or hangs at that: what it would have written or put
  ///   right is missing, so the operation has not succeeded after all.
  public func finish() throws {
    var failures = end(succeeded: true)
    guard !failures.isEmpty else { return }
    throw failures.removeFirst().attaching(failures)
  }

  /// Tells every plugin that the operation has failed (`exit(stage, -1)`). What goes wrong at that is a
  /// warning in the log.
  public func abandon() {
    for failure in end(succeeded: false) { log.warning("\(failure)") }
  }

  private func end(succeeded: Bool) -> [PluginFailure] {
    guard !isFinished else { return [] }
    isFinished = true
    var failures: [PluginFailure] = []
    if let host, host.hasSkippedExits {
      // The failure that ended the process has been reported: this is no second one.
      log.info("exit of the plugins did not run, for their process has ended")
    }
    if let host, host.isRunning {
      do {
        _ = try host.ask(PluginMessage(.finish, texts: [succeeded ? "0" : "-1"]))
      } catch {
        failures.append(PluginFailure.wrapping(error, operation))
      }
      host.waitForEnd(succeeded: succeeded && failures.isEmpty)
    }
    for plugin in inProcess[..<initialisedCount] { plugin.finish(stage, succeeded: succeeded) }
    return failures
  }

  /// After a failure at the start the host runs `exit` of its own accord.
  private func waitForExits() -> [PluginFailure] {
    guard let host, host.isRunning else { return [] }
    defer { host.waitForEnd(succeeded: false) }
    do {
      while try host.nextAnswer().kind != .finished {}
      return []
    } catch {
      return [PluginFailure.wrapping(error, operation)]
    }
  }

  /// Runs a function of a plugin in Swift; what it throws becomes a sentence that names it.
  func calling<Result: ~Copyable>(
    _ plugin: any MooringPlugin, _ function: String, _ subject: String?,
    _ body: () throws -> Result
  ) throws(PluginFailure) -> Result {
    do {
      return try body()
    } catch {
      throw PluginFailure(
        operation: operation, plugin: plugin.name, hook: function, subject: subject,
        reason: "\(error)")
    }
  }
}

extension PluginFailure {
  static func wrapping(_ error: any Error, _ operation: String) -> PluginFailure {
    error as? PluginFailure
      ?? PluginFailure(
        operation: operation, subject: "the process that hosts plugins", reason: "\(error)")
  }

  func attaching(_ others: [PluginFailure]) -> PluginFailure {
    var failure = self
    failure.attached += others.map(\.description)
    return failure
  }
}
