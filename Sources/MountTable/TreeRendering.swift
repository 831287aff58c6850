/// The tree as lines with box drawings, a mount a line, in table order.
///
/// Trees deeper than 64 levels keep the drawings of the last ones only: a chain of 10,000 mounts would
/// otherwise need gigabytes of lines.
///
/// - Parameter label: what to print for a mount.
public func renderTree(_ table: MountTable, label: (Mount) -> String) -> [String] {
  var lines: [String] = []
  lines.reserveCapacity(table.mounts.count)
  var stack: [(index: Int, prefix: TreePrefix)] = [(table.rootIndex, TreePrefix())]
  while let (index, prefix) = stack.popLast() {
    lines.append(prefix.text + label(table.mounts[index]))
    let children = table.children(of: index)
    for (place, child) in children.enumerated().reversed() {
      stack.append((child, prefix.child(isLast: place == children.count - 1)))
    }
  }
  return lines
}

/// What stands in front of a mount in a drawn tree.
struct TreePrefix: Sendable {
  private static let mostLevels = 64
  private var stems = ""
  private var branch = ""
  private var levels = 0

  var text: String { levels <= Self.mostLevels ? stems + branch : "…\(levels) " + stems + branch }

  func child(isLast: Bool) -> TreePrefix {
    var child = TreePrefix()
    child.levels = levels + 1
    if levels > 0 { child.stems = stems + (branch == "├─" ? "│ " : "  ") }
    if child.levels > Self.mostLevels { child.stems = String(child.stems.suffix(16)) }
    child.branch = isLast ? "└─" : "├─"
    return child
  }
}

/// Two lists of lines beside each other, the left padded to its longest line or cut at `width`.
public func sideBySide(
  _ left: [String], _ right: [String], width: Int = 60, separator: String = " │ "
) -> [String] {
  let column = min(width, left.map(\.count).max() ?? 0)
  return (0..<max(left.count, right.count)).map { row in
    let one = row < left.count ? left[row] : ""
    let other = row < right.count ? right[row] : ""
    let cut = one.count > column ? one.prefix(max(column - 1, 0)) + "…" : one[...]
    return cut + String(repeating: " ", count: column - cut.count) + separator + other
  }
}
