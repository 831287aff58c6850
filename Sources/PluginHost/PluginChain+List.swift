import Logging

extension PluginChain {
  /// What the plugin folder holds.
  ///
  /// The objects are loaded, which runs their constructors, in a process of their own; `init` is
  /// not called. The calling process must be single-threaded.
  ///
  /// - Parameters:
  ///   - timeout: seconds that loading one object may take.
  /// - Throws: `PluginFailure` for the first object that cannot be trusted or loaded.
  public static func list(
    folder: String, timeout: Int = 60, log: Logger = Logger(label: "mooring")
  ) throws -> [PluginDescription] {
    let settings = HostSettings(
      operation: "plugins", folder: folder, logLevel: PluginLog.level(of: log))
    let host = try HostProcess.start(settings, images: nil, timeout: timeout, log: log)
    defer { host.waitForEnd(succeeded: false) }
    var descriptions: [PluginDescription] = []
    var answer = try host.ask(PluginMessage(.list))
    while answer.kind == .answer {
      descriptions.append(PluginDescription(answer))
      answer = try host.nextAnswer()
    }
    return descriptions
  }
}

extension PluginDescription {
  init(_ message: PluginMessage) {
    self.init(
      name: message.text(0), file: message.text(1),
      generation: Generation(rawValue: message.text(2)) ?? .current,
      versionNumber: UInt32(message.number(3)),
      hooks: message.text(4).split(separator: " ").compactMap {
        Int32($0).flatMap(PluginHook.init)
      })
  }
}
