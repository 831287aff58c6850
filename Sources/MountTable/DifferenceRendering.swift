extension MountTreeComparison: CustomStringConvertible {
  /// The difference as a tree: `-` expected and missing, `+` not expected, `~` changed, and the mounts
  /// that lead there. Empty where nothing differs.
  public var description: String { lines.joined(separator: "\n") }

  /// `description` line by line.
  public var lines: [String] {
    if isEqual { return [] }
    let drawing = DifferenceDrawing(self)
    return drawing.lines()
  }
}

/// The expected tree with the mounts that are extra hung in, cut down to what differs.
private struct DifferenceDrawing {
  private enum Node {
    case expected(Int)
    case extra(Int)
  }

  private let comparison: MountTreeComparison
  private var changes: [Int: [MountDifference]] = [:]
  private var partner: [Int: Int] = [:]
  private var extrasBelow: [Int: [Int]] = [:]
  private var isShown: [Bool]
  private var isMissing: [Bool]

  init(_ comparison: MountTreeComparison) {
    self.comparison = comparison
    isShown = Array(repeating: false, count: comparison.expected.mounts.count)
    isMissing = isShown
    for (difference, place) in zip(comparison.differences, comparison.places) {
      changes[place, default: []].append(difference)
    }
    for pair in comparison.pairing.pairs {
      partner[pair.found] = pair.expected
      if changes[pair.expected] != nil { show(pair.expected) }
    }
    for index in comparison.pairing.missing {
      isMissing[index] = true
      show(index)
    }
    for index in comparison.pairing.extra {
      guard let parent = comparison.found.parentIndex(of: index), let here = partner[parent] else {
        continue
      }
      extrasBelow[here, default: []].append(index)
      show(here)
    }
  }

  /// Marks a mount and those above it.
  private mutating func show(_ index: Int) {
    var next: Int? = index
    while let here = next, !isShown[here] {
      isShown[here] = true
      next = comparison.expected.parentIndex(of: here)
    }
  }

  func lines() -> [String] {
    var lines: [String] = []
    var stack: [(node: Node, depth: Int)] = [(.expected(comparison.expected.rootIndex), 0)]
    while let (node, depth) = stack.popLast() {
      let indent = String(repeating: "  ", count: min(depth, 32))
      switch node {
      case .expected(let index):
        let mount = comparison.expected.mounts[index]
        let changed = isMissing[index] ? nil : changes[index]
        let marker = isMissing[index] ? "-" : changed == nil ? " " : "~"
        lines.append("\(marker) \(indent)\(mount.mountPoint) (\(mount.fileSystem))")
        for case .changed(_, let property, let expected, let found) in changed ?? [] {
          lines.append("~ \(indent)  \(property.rawValue): expected \(expected), found \(found)")
        }
        stack += (extrasBelow[index] ?? []).reversed().map { (.extra($0), depth + 1) }
        stack += comparison.expected.children(of: index).reversed()
          .filter { isShown[$0] }.map { (.expected($0), depth + 1) }
      case .extra(let index):
        let mount = comparison.found.mounts[index]
        lines.append("+ \(indent)\(mount.mountPoint) (\(mount.fileSystem))")
        stack += comparison.found.children(of: index).reversed().map { (.extra($0), depth + 1) }
      }
    }
    return lines
  }
}
