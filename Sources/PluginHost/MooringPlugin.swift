import LinuxKernel
import MountTable

/// What the engine is doing when it asks: the argument of a plugin's `init` and `exit`.
public enum PluginStage: Int32, Sendable {
  case dump = 0
  case preDump = 1
  case restore = 2

  /// The word that begins a sentence about a failure: `dump`, `pre-dump`, `restore`.
  public var name: String {
    switch self {
    case .dump: "dump"
    case .preDump: "pre-dump"
    case .restore: "restore"
    }
  }
}

/// Whether a plugin takes care of what it was asked for.
public enum PluginAnswer: Hashable, Sendable {
  case mine
  /// `-ENOTSUP` in C: the next plugin is asked.
  case notMine
}

/// Where a plugin in Swift finds an external mount at restore.
///
/// Whether it is a file or a directory is not said: the engine looks.
public enum ExternalMountSource: ~Copyable, Sendable {
  /// A path of the engine's own mount namespace. The mount that it lies in is cloned from there on
  /// down, as `mount --bind` does it; the last name may not be a symbolic link.
  case path(MountPath)
  /// A detached mount (`open_tree(OPEN_TREE_CLONE)`, `fsmount`), handed over.
  case mount(Descriptor)
}

/// What a plugin has made of an open file at restore.
public enum RestoredFile: ~Copyable, Sendable {
  case opened(Descriptor)
  /// It wants to be asked again, when other files have been restored.
  case notYet
}

/// A plugin written in Swift, which runs in the process of the engine.
///
/// Each function answers one question; the defaults answer "not mine". What a function throws fails
/// the operation, and the sentence names the plugin. Plugins in Swift are asked before those of the
/// plugin folder, in the order in which they were given.
///
/// A plugin that answered `.mine` during a dump is written to the inventory under its name, and a
/// restore without a plugin of that name is refused.
public protocol MooringPlugin: Sendable {
  /// The name in messages and in the inventory.
  var name: String { get }

  /// Called once before any question; what it throws fails the operation.
  func initialise(_ stage: PluginStage) throws

  /// Called once at the end, whether or not the operation succeeded; not after an `initialise` that
  /// threw.
  func finish(_ stage: PluginStage, succeeded: Bool)

  /// Asked for a mount that neither a file system of the container nor a mapping explains.
  ///
  /// - Parameters:
  ///   - mountPoint: the path in the container.
  ///   - id: the ID in `/proc/PID/mountinfo`; restore is given the same.
  func dumpExternalMount(_ mountPoint: MountPath, id: MountID) throws -> PluginAnswer

  /// Says where the mount comes from that was dumped under `id`; `nil` for "not mine".
  func restoreExternalMount(_ id: MountID, at mountPoint: MountPath) throws -> ExternalMountSource?

  /// Asked for a network link that the engine cannot create.
  ///
  /// - Parameters:
  ///   - index: the interface index.
  ///   - type: the `ARPHRD_*` number.
  ///   - kind: `IFLA_INFO_KIND`, empty where the link has none.
  func dumpExternalLink(index: Int32, type: Int32, kind: String) throws -> PluginAnswer

  /// Asked once for each open file of a kind that the engine does not know. The descriptor is the
  /// engine's, valid during the call.
  func dumpFile(_ descriptor: CInt, id: UInt32) throws -> PluginAnswer

  /// Opens the file that was dumped under `id`; `nil` for "not mine".
  func restoreFile(_ id: UInt32) throws -> RestoredFile?

  /// Asked for a unix socket whose peer is outside the container.
  func dumpUnixSocket(_ descriptor: CInt, inode: UInt32) throws -> PluginAnswer

  /// Makes the socket that was dumped under `inode`; `nil` for "not mine".
  func restoreUnixSocket(inode: UInt32) throws -> Descriptor?
}

extension MooringPlugin {
  public func initialise(_ stage: PluginStage) throws {}

  public func finish(_ stage: PluginStage, succeeded: Bool) {}

  public func dumpExternalMount(_ mountPoint: MountPath, id: MountID) throws -> PluginAnswer {
    .notMine
  }

  public func restoreExternalMount(
    _ id: MountID, at mountPoint: MountPath
  ) throws -> ExternalMountSource? { nil }

  public func dumpExternalLink(index: Int32, type: Int32, kind: String) throws -> PluginAnswer {
    .notMine
  }

  public func dumpFile(_ descriptor: CInt, id: UInt32) throws -> PluginAnswer { .notMine }

  public func restoreFile(_ id: UInt32) throws -> RestoredFile? { nil }

  public func dumpUnixSocket(_ descriptor: CInt, inode: UInt32) throws -> PluginAnswer { .notMine }

  public func restoreUnixSocket(inode: UInt32) throws -> Descriptor? { nil }
}
