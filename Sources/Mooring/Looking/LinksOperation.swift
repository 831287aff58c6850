import CheckpointImages
import LinkTable
import LinuxKernel
import Logging
import PluginHost
import RestorePlan

/// Shows what a dump would make of a container's links; changes nothing.
public struct LinksOperation {
  public enum Source: Sendable {
    /// A running container: one of its processes.
    case process(Int32)
    /// A name in `/run/netns`, or a path.
    case network(String)
    case images(String)
  }

  public var source: Source
  public var links: LinkOptions
  public var plugins: PluginOptions
  public var log: Logger

  public init(
    _ source: Source, links: LinkOptions = .init(), plugins: PluginOptions = .init(), log: Logger
  ) {
    self.source = source
    self.links = links
    self.plugins = plugins
    self.log = log
  }

  /// Plugins are asked as a dump asks them, with a folder for their files that is thrown away.
  ///
  /// - Throws: `EngineFailure` where the source cannot be read or a plugin fails.
  public func run() throws -> LinkClassification {
    try EngineFailure.wrapping("links") {
      switch source {
      case .process(let pid):
        return try plugins.asking(log) { chain in
          try NetworkFacts.classify(try NetworkPlace.ofTree(pid), links, chain)
        }
      case .network(let name):
        return try plugins.asking(log) { chain in
          try NetworkFacts.classify([try NetworkPlace.named(name)], links, chain)
        }
      case .images(let path):
        let networks = try ImageDirectory.open(path).load(only: .links).networks
        return LinkClassification(
          networks: networks,
          verdicts: networks.map { $0.classes.map { LinkVerdict(linkClass: $0) } }, findings: [])
      }
    }
  }
}
