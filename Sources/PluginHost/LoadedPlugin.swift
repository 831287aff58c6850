import CMooring
import Glibc

/// A shared object in the plugin host, with its functions.
struct LoadedPlugin {
  let file: String
  /// What C knows of it.
  var functions: mooring_plugin
  private let handle: UnsafeMutableRawPointer
  /// `init` has been called, and did not refuse.
  var isInitialised = false

  /// Loads an object, which runs its constructors, and reads its descriptor.
  ///
  /// The name given to the loader is that of the open descriptor, so that what was checked is what
  /// is loaded.
  static func load(_ file: PluginFile, operation: String) throws -> LoadedPlugin {
    func failure(_ reason: String) -> PluginFailure {
      PluginFailure(operation: operation, plugin: file.name, reason: reason)
    }
    let path = "/proc/self/fd/\(file.descriptor)"
    guard let handle = mooring_plugin_load(path) else {
      var reason = String(cString: mooring_plugin_error())
      if reason.hasPrefix(path + ": ") { reason = String(reason.dropFirst(path.count + 2)) }
      throw failure("it cannot be loaded: \(reason)")
    }
    var functions = mooring_plugin()
    switch Int(mooring_plugin_read(handle, &functions)) {
    case MOORING_PLUGIN_IS_NONE:
      throw failure(
        "it is no plugin: it has neither CR_PLUGIN_DESC nor a function cr_plugin_*; "
          + "take it out of the folder")
    case MOORING_PLUGIN_IS_NEWER:
      throw failure(
        "it was built for version \(PluginDescription.text(ofVersion: functions.version)) of the "
          + "plugin interface, which is newer than 0.2.0; build it with the headers installed here")
    case MOORING_PLUGIN_HAS_MORE_HOOKS:
      throw failure(
        "its descriptor has \(functions.max_hooks) hooks, and \(MOORING_HOOK_COUNT) are known; "
          + "build it with the headers installed here")
    default: return LoadedPlugin(file: file.name, functions: functions, handle: handle)
    }
  }

  private init(file: String, functions: mooring_plugin, handle: UnsafeMutableRawPointer) {
    self.file = file
    self.functions = functions
    self.handle = handle
  }

  /// The name in the descriptor, or the file's.
  var name: String { functions.name.map { String(cString: $0) } ?? file }

  func has(_ hook: PluginHook) -> Bool {
    withUnsafeBytes(of: functions.hooks) {
      $0.assumingMemoryBound(to: UnsafeMutableRawPointer?.self)[Int(hook.rawValue)] != nil
    }
  }

  var description: PluginDescription {
    PluginDescription(
      name: name, file: file, generation: functions.is_legacy ? .legacy : .current,
      versionNumber: functions.version, hooks: PluginHook.allCases.filter(has))
  }

  /// Unloads the object, which runs its destructors.
  func unload() { mooring_plugin_unload(handle) }
}
