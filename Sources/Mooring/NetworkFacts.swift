import LinkTable
import LinuxKernel
import PluginHost

/// Reading and classifying the networks of a container.
enum NetworkFacts {
  /// - Parameter places: the container's own namespace first.
  static func classify(
    _ places: [NetworkPlace], _ options: LinkOptions, _ chain: PluginChain?
  ) throws -> LinkClassification {
    let namespaces = try places.map { place in
      LinkClassifier.Namespace(
        inode: place.inode,
        table: options.key(ofNetwork: place.inode) == nil
          ? try NetworkReader.table(place, among: places) : NetworkTable())
    }
    let classifier = LinkClassifier(options: options) { link in
      try chain?.dumpExternalLink(
        index: link.index, type: Int32(link.type), kind: link.kind ?? "")
    }
    return try classifier.classify(namespaces)
  }
}
