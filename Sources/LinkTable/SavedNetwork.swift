import RestorePlan

/// What a link is to the engine.
public enum LinkClass: Hashable, Sendable {
  /// The engine makes it again.
  case native
  /// The kernel makes it with the namespace or with its module: loopback, `sit0`, `gre0`.
  case madeByKernel
  /// A plugin's DUMP_EXT_LINK said "mine": the `setup-namespaces` script brings it.
  case externalByPlugin
  /// A mapping at dump gave it a key: a mapping at restore, or the script, brings it.
  case externalByKey(String)
}

/// One network namespace as it is saved.
public struct SavedNetwork: Hashable, Sendable {
  /// The number in the names of its image files; unique in the set.
  public var id: UInt32
  /// The inode of the namespace when it was saved: what `NamespaceID.inode` refers to; 0 if unknown.
  public var inode: UInt64
  public var table: NetworkTable
  /// One for each of `table.links`.
  public var classes: [LinkClass]
  /// `net[INODE]:KEY` at dump: the namespace itself comes from outside, and nothing in it is saved.
  public var externalKey: String?
  /// What was left out when it was saved, and is to be left out: nobody expects it.
  public private(set) var leftOut = LeaveOut()

  public init(
    id: UInt32, inode: UInt64, table: NetworkTable, classes: [LinkClass],
    externalKey: String? = nil
  ) {
    self.id = id
    self.inode = inode
    self.table = table
    self.classes = classes
    self.externalKey = externalKey
  }

  /// The network without what is left out. Settings of single links stay in their messages, where
  /// `leftOut` says that they do not count.
  public func leavingOut(_ more: LeaveOut) -> SavedNetwork {
    if more.isEmpty { return self }
    var network = self
    network.leftOut.formUnion(more)
    let links = network.table.links.map(\.index)
    network.table = network.table.leavingOut(network.leftOut)
    let kept = Set(network.table.links.map(\.index))
    if kept.count < links.count {
      network.classes = zip(links, network.classes).filter { kept.contains($0.0) }.map(\.1)
    }
    return network
  }
}
