import LinuxKernel
import Logging
import MountTable

// Placeholder until the branch lands.
public enum PluginStage: Sendable { case dump, preDump, restore }
public protocol MooringPlugin: Sendable {}
public struct PluginDescription: Sendable {}
public final class PluginChain {
  public static func start(
    folder: String?, stage: PluginStage, imageDirectory: CInt, inventory: [String]?,
    reserved: [MountPath], timeout: Int, inProcess: [any MooringPlugin], log: Logger
  ) throws -> PluginChain { PluginChain() }
  public func dumpExternalMount(_ path: MountPath, id: MountID) throws -> String? { nil }
  public func restoreExternalMount(_ id: MountID, path: MountPath, expectsFile: Bool?) throws -> RestoredMount {
    fatalError()
  }
  public struct RestoredMount: ~Copyable {
    public var mount: Descriptor
    public var isFile: Bool
    public var plugin: String
 public consuming func takeMount() -> Descriptor { mount }
  }
  public var inventoryPlugins: [String] { [] }
  public func finish(succeeded: Bool) {}
  public static func list(folder: String) throws -> [PluginDescription] { [] }
}
