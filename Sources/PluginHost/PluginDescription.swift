import CMooring

/// The hooks of the plugin interface, by their numbers in a descriptor's table.
public enum PluginHook: Int32, CaseIterable, Sendable, CustomStringConvertible {
  case dumpUnixSocket = 0
  case restoreUnixSocket, dumpFile, restoreFile, dumpExternalMount, restoreExternalMount
  case dumpExternalLink, handleDeviceVMA, updateVMAMap, resumeDevicesLate, pauseDevices
  case checkpointDevices, postForking, restoreInit, dumpDevicesLate

  /// The name in `criu-plugin.h`, without `CR_PLUGIN_HOOK__`.
  public var description: String {
    switch self {
    case .dumpUnixSocket: "DUMP_UNIX_SK"
    case .restoreUnixSocket: "RESTORE_UNIX_SK"
    case .dumpFile: "DUMP_EXT_FILE"
    case .restoreFile: "RESTORE_EXT_FILE"
    case .dumpExternalMount: "DUMP_EXT_MOUNT"
    case .restoreExternalMount: "RESTORE_EXT_MOUNT"
    case .dumpExternalLink: "DUMP_EXT_LINK"
    case .handleDeviceVMA: "HANDLE_DEVICE_VMA"
    case .updateVMAMap: "UPDATE_VMA_MAP"
    case .resumeDevicesLate: "RESUME_DEVICES_LATE"
    case .pauseDevices: "PAUSE_DEVICES"
    case .checkpointDevices: "CHECKPOINT_DEVICES"
    case .postForking: "POST_FORKING"
    case .restoreInit: "RESTORE_INIT"
    case .dumpDevicesLate: "DUMP_DEVICES_LATE"
    }
  }
}

/// What a shared object of the plugin folder says of itself.
public struct PluginDescription: Hashable, Sendable {
  /// How the object names its hooks.
  public enum Generation: String, Sendable {
    /// By a descriptor, `CR_PLUGIN_DESC`.
    case current
    /// By functions with certain names.
    case legacy
  }

  /// The name in the descriptor; the file's name where there is none.
  public var name: String
  /// The name in the plugin folder.
  public var file: String
  public var generation: Generation
  /// `major << 16 | minor << 8 | sublevel`.
  public var versionNumber: UInt32
  public var hooks: [PluginHook]

  /// The version as text: `0.2.0`.
  public var version: String { PluginDescription.text(ofVersion: versionNumber) }

  static func text(ofVersion number: UInt32) -> String {
    "\(number >> 16).\(number >> 8 & 0xFF).\(number & 0xFF)"
  }
}
