extension IDMapping {
  /// Lines of a map of IDs that the kernel takes at most (`UID_GID_MAP_MAX_EXTENTS`).
  private static let mostRanges = 340

  /// What no kernel would take, in words; `nil` for a map that can be (`user_namespaces(7)`).
  public var problem: String? {
    for (what, ranges) in [("users", users), ("groups", groups)] {
      guard ranges.count <= Self.mostRanges else { return "\(ranges.count) ranges of \(what)" }
      for range in ranges {
        let room = UInt32.max - max(range.inside, range.outside)
        guard range.count > 0, range.count <= room else {
          return "\(range.count) \(what) from \(range.inside) on, which are \(range.outside) and on"
        }
      }
      for (side, starts) in [("inside", \Range.inside), ("outside", \Range.outside)] {
        let sorted = ranges.sorted { $0[keyPath: starts] < $1[keyPath: starts] }
        for (one, next) in zip(sorted, sorted.dropFirst())
        where next[keyPath: starts] - one[keyPath: starts] < one.count {
          return "two ranges of \(what) with \(next[keyPath: starts]) \(side)"
        }
      }
    }
    return nil
  }
}
