import MountTable

extension ComparisonRules {
  /// The rules for a restored tree: what came from outside may have another file system here.
  public init(kinds: [MountKind], of table: MountTable) {
    self.init()
    for (index, kind) in kinds.enumerated() {
      var anchor = index
      if case .bind(let id) = kind, let other = table.index(of: id) { anchor = other }
      let comesFromOutside = kinds[anchor].isExternal || kinds[anchor] == .namespaceRoot
      if comesFromOutside {
        fromOutside.insert(index)
        mappedRoot[index] = anchor
      }
      switch FileSystemKind(table.mounts[index].fileSystem) {
      case .controlGroup, .namespaceFiles: mappedRoot[index] = anchor
      default: break
      }
    }
  }
}
