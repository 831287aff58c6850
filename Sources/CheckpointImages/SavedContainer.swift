import FileTable
import LinkTable
import MountTable
import RestorePlan

/// What a directory of images says about a container.
public struct SavedContainer: Hashable, Sendable {
  /// The parts that were saved, or that were asked for.
  public var parts: SavedParts
  /// The mounts; `nil` where `parts` has none.
  public var mountTable: MountTable?
  /// The container's own network namespace first, then those nested in the tree. None where it has
  /// no network of its own, or `parts` no links.
  ///
  /// `ImageWriter.write` gives them numbers of its own: `SavedNetwork.id` is not looked at. `init` gives
  /// the same ones.
  public var networks: [SavedNetwork]
  /// The open files that a restore brings. None where `parts` has no files.
  public var files = ClassifiedFiles()
  /// Which namespaces the container had of its own. In sets of other writers their inode numbers
  /// are not known and are 0.
  public var namespaces: ContainerNamespaces
  /// The PID of the container's first process, as seen inside.
  public var pid: Int32
  /// Names of plugins without which the set cannot be restored; `nil` where the writer knew no
  /// such list.
  public var pluginNames: [String]?
  /// The superblocks whose content lies in an archive beside the images. Not written by
  /// `ImageWriter.write`: the archives themselves say it.
  public var archivedDevices: Set<DeviceNumber>
  /// Mounts that show something unlinked which lies in an archive of its own; by the first mount that
  /// shows it (`Mount.unlinkedAs`). Not written either.
  public var archivedRoots: Set<MountID> = []
  /// Whether its archives have times in whole seconds, as CRIU writes them: fractions say nothing then.
  public var hasWholeSeconds = false
  /// The numbers that stand in the names of the images that belong to one namespace each.
  /// Not written: `ImageWriter.write` gives its own.
  public var namespaceIDs: [NamespaceKind: UInt32]

  /// - Parameter parts: where not given, what there is.
  public init(
    mounts: MountTable?, namespaces: ContainerNamespaces, pid: Int32 = 1,
    pluginNames: [String]? = nil, archivedDevices: Set<DeviceNumber> = [],
    networks: [SavedNetwork] = [], parts: SavedParts? = nil
  ) {
    self.mountTable = mounts
    var found: SavedParts = mounts == nil ? [] : .mounts
    if !networks.isEmpty { found.insert(.links) }
    self.parts = parts ?? found
    self.namespaces = namespaces
    self.pid = pid
    self.pluginNames = pluginNames
    self.archivedDevices = archivedDevices
    self.namespaceIDs = NamespaceIDs.container(namespaces, hasNetwork: !networks.isEmpty)
    self.networks = NamespaceIDs.numbered(networks, namespaceIDs)
  }

  /// Gives the container these networks, with their numbers.
  public mutating func setNetworks(_ found: [SavedNetwork]) {
    namespaceIDs = NamespaceIDs.container(namespaces, hasNetwork: !found.isEmpty)
    networks = NamespaceIDs.numbered(found, namespaceIDs)
  }

  /// The mounts of a set that has them.
  ///
  /// - Precondition: `mountTable` is not `nil`, which `ImageDirectory.load()` has seen to.
  public var mounts: MountTable {
    get {
      guard let mountTable else { preconditionFailure("a set without mounts was asked for them") }
      return mountTable
    }
    set { mountTable = newValue }
  }
}

/// The numbers that stand for namespaces in a set of images: first those of the dumping engine,
/// in CRIU's order, then the container's own ones.
enum NamespaceIDs {
  private static let order: [NamespaceKind] = [
    .process, .network, .ipc, .uts, .time, .mount, .user, .cgroup,
  ]

  static let engine: [NamespaceKind: UInt32] = Dictionary(
    uniqueKeysWithValues: order.enumerated().map { ($1, UInt32($0 + 1)) })

  /// - Parameter hasNetwork: whether a network is saved, which then is the container's own.
  static func container(
    _ namespaces: ContainerNamespaces, hasNetwork: Bool
  ) -> [NamespaceKind: UInt32] {
    var ids = engine
    var next = UInt32(order.count + 1)
    for kind in order where namespaces.own[kind] != nil || kind == .network && hasNetwork {
      ids[kind] = next
      next += 1
    }
    return ids
  }

  /// The first network has the number of the container's own, the others the ones after all.
  static func numbered(
    _ networks: [SavedNetwork], _ ids: [NamespaceKind: UInt32]
  ) -> [SavedNetwork] {
    var networks = networks
    var next = (ids.values.max() ?? 0) + 1
    for index in networks.indices {
      if index == 0, let own = ids[.network] {
        networks[index].id = own
      } else {
        networks[index].id = next
        next += 1
      }
    }
    return networks
  }

  static func of(_ entry: ImageTaskIDs) -> [NamespaceKind: UInt32] {
    var ids: [NamespaceKind: UInt32] = [:]
    if entry.hasPidNsID { ids[.process] = entry.pidNsID }
    if entry.hasNetNsID { ids[.network] = entry.netNsID }
    if entry.hasIpcNsID { ids[.ipc] = entry.ipcNsID }
    if entry.hasUtsNsID { ids[.uts] = entry.utsNsID }
    if entry.hasMntNsID { ids[.mount] = entry.mntNsID }
    if entry.hasUserNsID { ids[.user] = entry.userNsID }
    if entry.hasCgroupNsID { ids[.cgroup] = entry.cgroupNsID }
    if entry.hasTimeNsID { ids[.time] = entry.timeNsID }
    return ids
  }

  /// - Parameter others: the number of the memory, files and signal handlers of the process.
  static func entry(_ ids: [NamespaceKind: UInt32], others: UInt32) -> ImageTaskIDs {
    var entry = ImageTaskIDs()
    entry.vmID = others
    entry.filesID = others
    entry.fsID = others
    entry.sighandID = others
    entry.pidNsID = ids[.process]!
    entry.netNsID = ids[.network]!
    entry.ipcNsID = ids[.ipc]!
    entry.utsNsID = ids[.uts]!
    entry.mntNsID = ids[.mount]!
    entry.userNsID = ids[.user]!
    entry.cgroupNsID = ids[.cgroup]!
    entry.timeNsID = ids[.time]!
    return entry
  }
}
