/// The mounts of one table beside those of another: parents match first, children by mount point.
///
/// Children that one parent has at one place are matched in table order. O(n log n), without recursion.
public struct MountPairing: Sendable {
  /// Index in the expected table and index in the other, parents before children.
  public private(set) var pairs: [(expected: Int, found: Int)] = []
  /// Indices without partner, whole subtrees, parents before children.
  public private(set) var missing: [Int] = []
  public private(set) var extra: [Int] = []

  public init(_ expected: MountTable, _ found: MountTable) {
    pairs.reserveCapacity(expected.mounts.count)
    var next = 0
    pairs.append((expected.rootIndex, found.rootIndex))
    while next < pairs.count {
      let pair = pairs[next]
      next += 1
      var ours = expected.children(of: pair.expected)
      var theirs = found.children(of: pair.found)
      let isSameOrder =
        ours.count == theirs.count
        && zip(ours, theirs).allSatisfy {
          expected.mounts[$0].mountPoint == found.mounts[$1].mountPoint
        }
      if isSameOrder {
        // The ordinary case, in which nothing has to be sorted.
        for (one, other) in zip(ours, theirs) { pairs.append((one, other)) }
        continue
      }
      ours = Self.sorted(ours, expected)
      theirs = Self.sorted(theirs, found)
      var left = ours[...]
      var right = theirs[...]
      while let one = left.first, let other = right.first {
        let path = expected.mounts[one].mountPoint
        let otherPath = found.mounts[other].mountPoint
        if path == otherPath {
          pairs.append((one, other))
          left.removeFirst()
          right.removeFirst()
        } else if path < otherPath {
          missing.append(one)
          left.removeFirst()
        } else {
          extra.append(other)
          right.removeFirst()
        }
      }
      missing += left
      extra += right
    }
    missing = Self.subtrees(missing, expected)
    extra = Self.subtrees(extra, found)
  }

  private static func sorted(_ children: [Int], _ table: MountTable) -> [Int] {
    if children.count < 2 { return children }
    return children.sorted {
      let (one, other) = (table.mounts[$0].mountPoint, table.mounts[$1].mountPoint)
      return one == other ? $0 < $1 : one < other
    }
  }

  private static func subtrees(_ tops: [Int], _ table: MountTable) -> [Int] {
    var found: [Int] = []
    var stack = Array(tops.reversed())
    while let index = stack.popLast() {
      found.append(index)
      stack += table.children(of: index).reversed()
    }
    return found
  }
}
