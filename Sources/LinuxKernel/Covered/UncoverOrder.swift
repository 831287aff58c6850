import MountTable

/// In which order mounts of a table can be reached, when those that cover them are taken off.
///
/// Children come before their parent. Among siblings the one that hides another comes first: the mount
/// over the parent's own root hides all, one at `/a` hides one at `/a/b`. A mount is taken off once what
/// is wanted of it and below it has been visited, and only where it hides something that is wanted: what a
/// container inherited from a more privileged namespace cannot be taken off at all. Without recursion.
struct UncoverOrder {
  enum Step: Hashable, Sendable {
    case visit(Int)
    case takeOff(Int)
  }

  private let table: MountTable
  private let wanted: Set<Int>
  /// Whether the mount or something below it is wanted.
  private var leadsToWanted: [Bool]

  static func steps(of table: MountTable, wanted: Set<Int>) -> [Step] {
    // A few mounts that nothing covers, of a table of thousands: nothing to sort.
    if wanted.count <= 16, wanted.allSatisfy({ !isCovered($0, in: table) }) {
      return wanted.sorted().map { .visit($0) }
    }
    return UncoverOrder(table, wanted).steps()
  }

  /// Whether a lookup of the mount's path ends elsewhere.
  private static func isCovered(_ index: Int, in table: MountTable) -> Bool {
    let path = table.mounts[index].mountPoint
    if table.children(of: index).contains(where: { table.mounts[$0].mountPoint == path }) {
      return true
    }
    var below = index
    while let parent = table.parentIndex(of: below) {
      let isHidden = table.children(of: parent).contains {
        $0 != below && table.mounts[$0].mountPoint.contains(path)
      }
      if isHidden { return true }
      below = parent
    }
    return false
  }

  private init(_ table: MountTable, _ wanted: Set<Int>) {
    self.table = table
    self.wanted = wanted
    leadsToWanted = table.mounts.indices.map { wanted.contains($0) }
    for index in table.preorder.reversed() where leadsToWanted[index] {
      if let parent = table.parentIndex(of: index) { leadsToWanted[parent] = true }
    }
  }

  private func steps() -> [Step] {
    var steps: [Step] = []
    var stack: [(index: Int, isOpen: Bool, isTakenOff: Bool)] = [(table.rootIndex, false, false)]
    while let (index, isOpen, isTakenOff) = stack.popLast() {
      if isOpen {
        if wanted.contains(index) { steps.append(.visit(index)) }
        if isTakenOff { steps.append(.takeOff(index)) }
        continue
      }
      stack.append((index, true, isTakenOff))
      let children = sortedChildren(of: index)
      for place in children.indices.reversed() {
        let hides = hidesNeeded(children, place, below: index, isTakenOff)
        if hides || leadsToWanted[children[place]] { stack.append((children[place], false, hides)) }
      }
    }
    return steps
  }

  /// Whether a child hides what is wanted of its parent or of the siblings that sort after it, or a
  /// parent that is to be taken off itself.
  private func hidesNeeded(
    _ children: [Int], _ place: Int, below parent: Int, _ isTakenOff: Bool
  ) -> Bool {
    let mountPoint = table.mounts[children[place]].mountPoint
    let isOverRoot = mountPoint == table.mounts[parent].mountPoint
    if isOverRoot, isTakenOff || wanted.contains(parent) { return true }
    for sibling in children[(place + 1)...] {
      guard isOverRoot || mountPoint.contains(table.mounts[sibling].mountPoint) else {
        return false
      }
      if leadsToWanted[sibling] { return true }
    }
    return false
  }

  /// By mount point with the slash before every other byte: a path stands right before those below it.
  private func sortedChildren(of index: Int) -> [Int] {
    let children = table.children(of: index)
    if children.count < 2 { return children }
    func rank(_ byte: UInt8) -> UInt8 { byte == 0x2F ? 0 : byte }
    return children.sorted {
      let (one, other) = (table.mounts[$0].mountPoint.bytes, table.mounts[$1].mountPoint.bytes)
      return one.lexicographicallyPrecedes(other) { rank($0) < rank($1) }
    }
  }
}
