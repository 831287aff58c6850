import CheckpointImages
import Glibc
import Logging
import MountTable
import PluginHost

/// Which plugins, and how long they may take.
public struct PluginOptions: Sendable {
  /// The folder; `nil` for none.
  public var folder: String?
  /// Seconds that one hook may take.
  public var timeout = 60
  /// Plugins written in Swift, asked before those of the folder.
  public var inProcess: [any MooringPlugin] = []

  public init(folder: String? = nil) { self.folder = folder }
}

extension PluginChain {
  /// The chain for these options; `nil` where there is no plugin at all.
  static func starting(
    _ options: PluginOptions, stage: PluginStage, imageDirectory: CInt, log: Logger
  ) throws -> PluginChain? {
    guard options.folder != nil || !options.inProcess.isEmpty else { return nil }
    return try PluginChain.start(
      folder: options.folder, stage: stage, imageDirectory: imageDirectory, inventory: nil,
      reserved: [], timeout: options.timeout, inProcess: options.inProcess, log: log)
  }
}

extension PluginOptions {
  private static var scratchPath: String {
    (getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp") + "/mooring"
  }

  /// Calls `body` with the plugins at the stage of a dump, and a folder for their files that is thrown away.
  func asking<Answer>(_ log: Logger, _ body: (PluginChain?) throws -> Answer) throws -> Answer {
    guard folder != nil || !inProcess.isEmpty else { return try body(nil) }
    // Staged and never put in place: it goes with its writer.
    let scratch = try ImageWriter.stage(for: Self.scratchPath)
    let chain = try PluginChain.starting(
      self, stage: .dump, imageDirectory: scratch.descriptor, log: log)
    do {
      let answer = try body(chain)
      try chain?.finish()
      return answer
    } catch {
      chain?.abandon()
      throw error
    }
  }
}
