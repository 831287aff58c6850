import MountTable

/// What the engine is doing; the argument of a plugin's init and exit.
public enum PluginStage: Int32, Sendable {
  case dump = 0
  case preDump = 1
  case restore = 2
}

/// Where a mount from outside is found at restore.
public struct ExternalMountSource: Sendable, Hashable {
  /// A file or directory of the engine's mount namespace.
  public var path: MountPath
  public var isFile: Bool

  public init(path: MountPath, isFile: Bool) {
    self.path = path
    self.isFile = isFile
  }
}

/// A plugin written in Swift, in the process of the engine, with the same questions as those of C.
///
/// Such plugins are asked before those of a folder, in the order given. What a question has no answer to,
/// the next plugin is asked; an error fails the operation. Paths are as the container sees them,
/// without the leading dot that the hooks of C have.
///
/// When not to use it: for a plugin that may crash or hang. Those of a folder run in a process of their own.
public protocol MooringPlugin: Sendable {
  /// As messages call it.
  var name: String { get }

  /// Before the first question; an error refuses the operation.
  func start(_ stage: PluginStage) throws
  /// At the end, whether the operation succeeded or not; not after a `start` that threw.
  func finish(_ stage: PluginStage, succeeded: Bool)

  /// DUMP_EXT_MOUNT: whether the mount is this plugin's. `id` is the one of mountinfo, and comes back at
  /// restore.
  func dumpExternalMount(at mountPoint: MountPath, id: MountID) throws -> Bool
  /// RESTORE_EXT_MOUNT: what the mount shows here; `nil` where it is not this plugin's.
  func restoreExternalMount(at mountPoint: MountPath, id: MountID) throws -> ExternalMountSource?
  /// DUMP_EXT_LINK: whether the link is this plugin's. `type` is the ARPHRD_* number.
  func dumpExternalLink(index: Int32, type: Int32, kind: String) throws -> Bool
  /// DUMP_EXT_FILE: whether the open file is this plugin's.
  func dumpExternalFile(_ descriptor: CInt, id: Int32) throws -> Bool
  /// RESTORE_EXT_FILE: a new descriptor, which the engine closes; `nil` where it is not this plugin's.
  func restoreExternalFile(id: Int32) throws -> CInt?
  /// DUMP_UNIX_SK: whether the socket is this plugin's.
  func dumpUnixSocket(_ descriptor: CInt, inode: Int32) throws -> Bool
  /// RESTORE_UNIX_SK: a new descriptor, which the engine closes; `nil` where it is not this plugin's.
  func restoreUnixSocket(inode: Int32) throws -> CInt?
}

extension MooringPlugin {
  public func start(_ stage: PluginStage) throws {}
  public func finish(_ stage: PluginStage, succeeded: Bool) {}
  public func dumpExternalMount(at mountPoint: MountPath, id: MountID) throws -> Bool { false }
  public func restoreExternalMount(
    at mountPoint: MountPath, id: MountID
  ) throws -> ExternalMountSource? { nil }
  public func dumpExternalLink(index: Int32, type: Int32, kind: String) throws -> Bool { false }
  public func dumpExternalFile(_ descriptor: CInt, id: Int32) throws -> Bool { false }
  public func restoreExternalFile(id: Int32) throws -> CInt? { nil }
  public func dumpUnixSocket(_ descriptor: CInt, inode: Int32) throws -> Bool { false }
  public func restoreUnixSocket(inode: Int32) throws -> CInt? { nil }
}

/// Why plugins could not be loaded or gave no good answer: a sentence that names plugin and hook.
public struct PluginFailure: Error, Hashable, Sendable, CustomStringConvertible {
  public var description: String
  /// Whether a plugin that the images need is not there: nothing has been changed then.
  public var isMissingPlugin = false

  public init(_ description: String, isMissingPlugin: Bool = false) {
    self.description = description
    self.isMissingPlugin = isMissingPlugin
  }
}

/// The hooks of CRIU's plugin interface, by number.
public enum PluginHook: Int, CaseIterable, Sendable {
  case dumpUnixSocket = 0
  case restoreUnixSocket, dumpExternalFile, restoreExternalFile
  case dumpExternalMount, restoreExternalMount, dumpExternalLink, handleDeviceMemory
  case updateMemoryMap, resumeDevicesLate, pauseDevices, checkpointDevices, postForking
  case restoreInit, dumpDevicesLate

  /// The name in `criu-plugin.h`, without its prefix.
  public var name: String {
    [
      "DUMP_UNIX_SK", "RESTORE_UNIX_SK", "DUMP_EXT_FILE", "RESTORE_EXT_FILE", "DUMP_EXT_MOUNT",
      "RESTORE_EXT_MOUNT", "DUMP_EXT_LINK", "HANDLE_DEVICE_VMA", "UPDATE_VMA_MAP",
      "RESUME_DEVICES_LATE", "PAUSE_DEVICES", "CHECKPOINT_DEVICES", "POST_FORKING",
      "RESTORE_INIT", "DUMP_DEVICES_LATE",
    ][rawValue]
  }

  /// Whether this engine calls it: those of memory and devices belong to processes.
  public var isCalled: Bool { rawValue <= 6 || self == .restoreInit }
}

/// What a plugin says of itself.
public struct PluginDescription: Hashable, Sendable, Codable {
  /// The file in the folder.
  public var file: String
  public var name: String
  /// Of the first generation, without a descriptor.
  public var isLegacy: Bool
  /// `0.2.0`
  public var version: String
  public var hooks: [String]
}
