import MountTable

extension ComparisonRules {
  /// The rules for a restored tree: what came from outside may have another file system here.
  ///
  /// - Parameter kinds: one a mount, in the order of the table.
  public init(kinds: [MountKind], of table: MountTable) {
    var outside: Set<MountID> = []
    for (index, kind) in kinds.enumerated() {
      switch kind {
      case .namespaceRoot, .namespaceFile: outside.insert(table.mounts[index].id)
      default: if kind.isExternal { outside.insert(table.mounts[index].id) }
      }
    }
    self.init { [outside] in outside.contains($0.id) }
  }
}
