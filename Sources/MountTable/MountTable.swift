/// The mounts of one namespace as a tree, in the order in which they were read.
///
/// The tree is built once and never changed; finding a mount, its parent and its children takes constant time.
public struct MountTable: Sendable {
  /// Whoever goes through thousands reads fields where they stand, `mounts[index].root`: a copy of a mount
  /// retains each of its names.
  public private(set) var mounts: [Mount]
  /// Where the namespace root stands in `mounts`.
  public let rootIndex: Int
  private let indexOfID: [MountID: Int]
  /// -1 for the root.
  private let parents: [Int32]
  private let firstChild: [Int32]
  private let nextSibling: [Int32]

  /// - Throws: `MountTableError` when the mounts are not one tree.
  public init(_ mounts: [Mount]) throws(MountTableError) {
    var indexOfID = [MountID: Int](minimumCapacity: mounts.count)
    for index in mounts.indices {
      guard indexOfID.updateValue(index, forKey: mounts[index].id) == nil else {
        throw .duplicateID(mounts[index].id)
      }
    }
    var root: Int?
    var firstChild = [Int32](repeating: -1, count: mounts.count)
    var nextSibling = firstChild
    var parents = nextSibling
    for index in mounts.indices.reversed() {
      guard let parent = indexOfID[mounts[index].parent], parent != index else {
        if let other = root { throw .severalRoots(mounts[index].id, mounts[other].id) }
        root = index
        continue
      }
      parents[index] = Int32(parent)
      nextSibling[index] = firstChild[parent]
      firstChild[parent] = Int32(index)
    }
    guard let root else { throw mounts.isEmpty ? .empty : .cycle(mounts[0].id) }
    self.mounts = mounts
    self.rootIndex = root
    self.indexOfID = indexOfID
    self.parents = parents
    self.firstChild = firstChild
    self.nextSibling = nextSibling
    let order = preorder
    if order.count != mounts.count {
      let reached = Set(order)
      let lost = mounts.indices.first { !reached.contains($0) } ?? 0
      throw .cycle(mounts[lost].id)
    }
    for index in mounts.indices where !mounts[index].mountPoint.isNormal {
      throw .badMountPoint(mounts[index].id)
    }
    for index in order where index != root {
      let parent = Int(parents[index])
      guard mounts[parent].mountPoint.contains(mounts[index].mountPoint) else {
        throw .outsideParent(mounts[index].id, mounts[parent].id)
      }
    }
  }

  /// Adds to what is known of some mounts. Their IDs and mount points, which make the tree, must stay.
  public mutating func annotate(_ indices: some Sequence<Int>, _ change: (inout Mount) -> Void) {
    for index in indices {
      let (id, parent) = (mounts[index].id, mounts[index].parent)
      change(&mounts[index])
      precondition(id == mounts[index].id && parent == mounts[index].parent)
    }
  }

  public var root: Mount { mounts[rootIndex] }

  public subscript(id: MountID) -> Mount? { indexOfID[id].map { mounts[$0] } }

  /// Where the mount with this ID stands in `mounts`.
  public func index(of id: MountID) -> Int? { indexOfID[id] }

  /// Where the parent of the mount at `index` stands; `nil` for the root.
  public func parentIndex(of index: Int) -> Int? {
    index == rootIndex ? nil : Int(parents[index])
  }

  /// Where the children of the mount at `index` stand, in table order.
  public func children(of index: Int) -> [Int] {
    var found: [Int] = []
    var child = firstChild[index]
    while child >= 0 {
      found.append(Int(child))
      child = nextSibling[Int(child)]
    }
    return found
  }

  /// Parents before children, children in table order.
  public var preorder: [Int] {
    var order: [Int] = []
    order.reserveCapacity(mounts.count)
    var stack = [rootIndex]
    while let index = stack.popLast() {
      order.append(index)
      let first = stack.count
      var child = firstChild[index]
      while child >= 0 {
        stack.append(Int(child))
        child = nextSibling[Int(child)]
      }
      stack[first...].reverse()
    }
    return order
  }
}

/// Why a list of mounts is not a mount table.
public enum MountTableError: Error, Hashable, Sendable, CustomStringConvertible {
  case empty
  case duplicateID(MountID)
  case severalRoots(MountID, MountID)
  case cycle(MountID)
  case badMountPoint(MountID)
  case outsideParent(MountID, MountID)

  public var description: String {
    switch self {
    case .empty: "the table has no mounts"
    case .duplicateID(let id): "the mount ID \(id) occurs twice"
    case .severalRoots(let one, let other):
      "mounts \(one) and \(other) both have a parent that is not in the table"
    case .cycle(let id): "mount \(id) is its own ancestor"
    case .badMountPoint(let id): "the mount point of mount \(id) is not a normal absolute path"
    case .outsideParent(let id, let parent):
      "the mount point of mount \(id) is not below that of its parent, mount \(parent)"
    }
  }
}

extension MountTable: Hashable {
  public static func == (left: MountTable, right: MountTable) -> Bool {
    left.mounts == right.mounts
  }
  public func hash(into hasher: inout Hasher) { hasher.combine(mounts) }
}

extension MountTable: Codable {
  public init(from decoder: any Decoder) throws { try self.init([Mount](from: decoder)) }
  public func encode(to encoder: any Encoder) throws { try mounts.encode(to: encoder) }
}
