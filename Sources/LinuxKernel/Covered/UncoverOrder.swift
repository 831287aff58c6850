import MountTable

/// In which order the mounts of a table can be reached, when those that cover others are taken off.
///
/// Children come before their parent. Among siblings the one that hides another comes first: the mount
/// over the parent's own root hides all, one at `/a` hides one at `/a/b`. A mount that hides something
/// is taken off once it and what lies below it have been visited. O(n log n), without recursion.
enum UncoverOrder {
  enum Step: Hashable, Sendable {
    case visit(Int)
    case takeOff(Int)
  }

  static func steps(of table: MountTable) -> [Step] {
    var steps: [Step] = []
    steps.reserveCapacity(table.mounts.count)
    var stack: [(index: Int, isOpen: Bool, covers: Bool)] = [(table.rootIndex, false, false)]
    while let (index, isOpen, covers) = stack.popLast() {
      if isOpen {
        steps.append(.visit(index))
        if covers { steps.append(.takeOff(index)) }
        continue
      }
      stack.append((index, true, covers))
      let children = sortedChildren(of: index, table)
      for (place, child) in children.enumerated().reversed() {
        let next = place + 1 < children.count ? children[place + 1] : nil
        stack.append((child, false, hides(child, below: index, next: next, table)))
      }
    }
    return steps
  }

  /// Whether a child hides its parent's root or the sibling that sorts after it.
  private static func hides(_ child: Int, below parent: Int, next: Int?, _ table: MountTable)
    -> Bool
  {
    let mountPoint = table.mounts[child].mountPoint
    if mountPoint == table.mounts[parent].mountPoint { return true }
    return next.map { mountPoint.contains(table.mounts[$0].mountPoint) } ?? false
  }

  /// By mount point with the slash before every other byte, so that a path stands right before those below.
  private static func sortedChildren(of index: Int, _ table: MountTable) -> [Int] {
    let children = table.children(of: index)
    if children.count < 2 { return children }
    func rank(_ byte: UInt8) -> UInt8 { byte == 0x2F ? 0 : byte }
    return children.sorted {
      let (one, other) = (table.mounts[$0].mountPoint.bytes, table.mounts[$1].mountPoint.bytes)
      return one.lexicographicallyPrecedes(other) { rank($0) < rank($1) }
    }
  }
}
