/// What a comparison leaves out because it is expected to differ.
public struct ComparisonRules: Sendable {
  /// Mounts (by their index in the expected table) whose type, device, source and superblock options
  /// may differ: the namespace root, mounts from outside, and binds of these.
  public var fromOutside: Set<Int>
  /// For each expected mount: the root that its superblock shows at its widest, relative to which
  /// roots are compared.
  public var mappedRoot: [Int: Int]

  public init(fromOutside: Set<Int> = [], mappedRoot: [Int: Int] = [:]) {
    self.fromOutside = fromOutside
    self.mappedRoot = mappedRoot
  }
}

/// One difference between two trees.
public struct MountDifference: Hashable, Sendable, Codable, CustomStringConvertible {
  public enum Change: Hashable, Sendable, Codable {
    case missing
    case extra
    case changed(property: String, expected: String, found: String)
  }

  public var mountPoint: MountPath
  public var change: Change

  public var description: String {
    switch change {
    case .missing: "- \(mountPoint)"
    case .extra: "+ \(mountPoint)"
    case .changed(let property, let expected, let found):
      "~ \(mountPoint): \(property) is \(found), expected \(expected)"
    }
  }
}

/// Two mount tables compared up to renumbering: same tree, same attributes, the same mounts sharing
/// a superblock or a peer group, the same ones masters of the same others.
///
/// Children are matched by their mount points below matched parents; the kernel allows one mount at
/// a place of a parent. O(n log n).
public struct MountTreeComparison: Sendable {
  public private(set) var differences: [MountDifference] = []
  /// Pairs of indices: expected, found.
  public private(set) var matches: [(expected: Int, found: Int)] = []

  public var isEqual: Bool { differences.isEmpty }

  /// The differences, one a line.
  public var rendered: String { differences.map(\.description).joined(separator: "\n") }

  public init(expected: MountTable, found: MountTable, rules: ComparisonRules = .init()) {
    match(expected, found)
    var counterpart = [Int](repeating: -1, count: expected.mounts.count)
    for pair in matches { counterpart[pair.expected] = pair.found }
    for (index, other) in matches {
      compare(
        expected.mounts[index], found.mounts[other],
        isFromOutside: rules.fromOutside.contains(index), isRoot: index == expected.rootIndex)
      compareRoot(index, other, expected, found, rules, counterpart)
    }
    compareSharing(expected, found, rules)
  }

  private mutating func match(_ expected: MountTable, _ found: MountTable) {
    var stack = [(expected.rootIndex, found.rootIndex)]
    while let (left, right) = stack.popLast() {
      matches.append((left, right))
      var byPoint: [MountPath: Int] = [:]
      for child in found.children(of: right) { byPoint[found.mounts[child].mountPoint] = child }
      for child in expected.children(of: left).reversed() {
        if let other = byPoint.removeValue(forKey: expected.mounts[child].mountPoint) {
          stack.append((child, other))
        } else {
          addSubtree(child, of: expected, .missing)
        }
      }
      for child in byPoint.values.sorted() { addSubtree(child, of: found, .extra) }
    }
  }

  private mutating func addSubtree(
    _ top: Int, of table: MountTable, _ change: MountDifference.Change
  ) {
    var stack = [top]
    while let index = stack.popLast() {
      differences.append(
        MountDifference(mountPoint: table.mounts[index].mountPoint, change: change))
      stack.append(contentsOf: table.children(of: index).reversed())
    }
  }

  private mutating func check<Value: Equatable>(
    _ property: String, _ expected: Value, _ found: Value, at point: MountPath
  ) {
    guard expected != found else { return }
    func text(_ value: Value) -> String {
      let text = "\(value)"
      return text.isEmpty ? "none" : text
    }
    differences.append(
      MountDifference(
        mountPoint: point,
        change: .changed(property: property, expected: text(expected), found: text(found))))
  }

  private mutating func compare(
    _ expected: Mount, _ found: Mount, isFromOutside: Bool, isRoot: Bool
  ) {
    let point = expected.mountPoint
    check("attributes", expected.attributes.names, found.attributes.names, at: point)
    check("unbindable", expected.isUnbindable, found.isUnbindable, at: point)
    if !isRoot {
      check("unlinked root", expected.isRootDeleted, found.isRootDeleted, at: point)
    }
    check(
      "idmap", expected.idMapping.map { "\($0)" } ?? "none",
      found.idMapping.map { "\($0)" } ?? "none", at: point)
    guard !isFromOutside else { return }
    check("type", expected.fileSystem, found.fileSystem, at: point)
    check("source", expected.source, found.source, at: point)
    check(
      "superblock flags", expected.superblockFlags.names, found.superblockFlags.names, at: point)
    check(
      "options", normalisedOptions(expected), normalisedOptions(found), at: point)
  }

  private mutating func compareRoot(
    _ index: Int, _ other: Int, _ expected: MountTable, _ found: MountTable,
    _ rules: ComparisonRules, _ counterpart: [Int]
  ) {
    let mount = expected.mounts[index]
    let mapped = rules.mappedRoot[index] ?? index
    guard mapped != index, mapped < counterpart.count, counterpart[mapped] >= 0 else {
      if rules.mappedRoot[index] == nil && !rules.fromOutside.contains(index) {
        check("root", mount.root, found.mounts[other].root, at: mount.mountPoint)
      }
      return
    }
    let left = mount.root.relative(to: expected.mounts[mapped].root).map { KernelString($0) }
    let right = found.mounts[other].root.relative(to: found.mounts[counterpart[mapped]].root)
      .map { KernelString($0) }
    if left == nil && right == nil { return }
    check(
      "root", left?.description ?? "outside", right?.description ?? "outside",
      at: mount.mountPoint)
  }

  /// Superblocks, peer groups and masters: numbers differ, who has the same one may not.
  private mutating func compareSharing(
    _ expected: MountTable, _ found: MountTable, _ rules: ComparisonRules
  ) {
    var devices = Renumbering<DeviceNumber>()
    var groups = Renumbering<PeerGroupID>()
    let expectedGroups = Set(expected.mounts.compactMap(\.peerGroup))
    let foundGroups = Set(found.mounts.compactMap(\.peerGroup))
    for (index, other) in matches.sorted(by: { $0.expected < $1.expected }) {
      let mount = expected.mounts[index]
      let now = found.mounts[other]
      // Two mounts from outside may come from one file system here and from two there.
      if !rules.fromOutside.contains(index), !devices.agree(mount.device, now.device) {
        check(
          "superblock", "that of the mounts with device \(mount.device)",
          "another (\(now.device))", at: mount.mountPoint)
      }
      switch (mount.peerGroup, now.peerGroup) {
      case (nil, nil): break
      case (let left?, let right?):
        if !groups.agree(left, right) {
          check("peer group", "that of shared:\(left)", "another", at: mount.mountPoint)
        }
      case (let left, _):
        check(
          "propagation", left == nil ? "not shared" : "shared",
          left == nil ? "shared" : "not shared", at: mount.mountPoint)
      }
      let leftInside = mount.master.map { expectedGroups.contains($0) }
      let rightInside = now.master.map { foundGroups.contains($0) }
      if leftInside != rightInside {
        if leftInside == false && rightInside == nil && index == expected.rootIndex { continue }
        check("master", masterText(leftInside), masterText(rightInside), at: mount.mountPoint)
      } else if leftInside == true, let left = mount.master, let right = now.master,
        !groups.agree(left, right)
      {
        check("master", "shared:\(left)", "another", at: mount.mountPoint)
      }
    }
  }

  private func masterText(_ isInside: Bool?) -> String {
    isInside.map { $0 ? "in the container" : "outside" } ?? "none"
  }
}

/// A one-to-one relation between old and new numbers that grows as pairs are seen.
private struct Renumbering<ID: Hashable> {
  private var new: [ID: ID] = [:]
  private var old: [ID: ID] = [:]

  mutating func agree(_ left: ID, _ right: ID) -> Bool {
    if new[left] == nil && old[right] == nil {
      new[left] = right
      old[right] = left
    }
    return new[left] == right && old[right] == left
  }
}
