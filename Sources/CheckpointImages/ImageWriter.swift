import FoundationEssentials
import Glibc
import LinuxKernel
import MountTable
import RestorePlan

/// A set of images in the making, in a directory that nobody looks into.
///
/// `commit()` puts it in its place in one step; before that, and where anything fails, what was
/// there stays as it was. A writer that goes away uncommitted takes its files along. Files of the
/// destination that are not part of an image set stay there.
///
/// | the destination | how the set takes its place |
/// |---|---|
/// | is not there | one `rename` |
/// | is a directory | `renameat2(RENAME_EXCHANGE)`; others' files move over from the old one |
/// | is a mount point, the working directory, a link, or in a directory that cannot be written | file by file, `inventory.img` last; undone where one fails |
public struct ImageWriter: ~Copyable {
  /// The version of CRIU's format that is written.
  static let formatVersion: UInt32 = 2
  /// What stands in the inventory as this engine's version.
  static let engineVersion = "mooring 1"

  private let staging: Staging

  /// Makes a directory beside `path`, or inside it where that is not possible.
  ///
  /// - Parameter willMake: told before a name is made in a directory: who is killed then has left it.
  /// - Throws: `SystemCallFailure` where neither directory can be written, or `path` is there and
  ///   no directory.
  public static func stage(
    for path: String, willMake: (_ directory: CInt, _ name: [UInt8]) -> Void = { _, _ in }
  ) throws(SystemCallFailure) -> ImageWriter {
    Characters.load()
    return ImageWriter(staging: try Staging(for: Array(path.utf8), willMake: willMake))
  }

  /// Whether the commit takes the place of a former set.
  public var replacesFormer: Bool { staging.replacesFormer }

  deinit { staging.discard() }

  /// The directory that is being filled: plugins put their files here. Valid until the commit.
  public var descriptor: CInt { staging.descriptor }

  /// Writes all images but the contents of file systems.
  ///
  /// `archivedDevices` and `namespaceIDs` of the container are not looked at.
  ///
  /// - Throws: `ImageError` naming the file.
  public func write(_ container: SavedContainer) throws(ImageError) {
    let ids = NamespaceIDs.container(
      container.namespaces, hasNetwork: !container.networks.isEmpty)
    let own = container.namespaces.own
    try write(
      [Self.process(container.pid)], kind: .processes, to: ImageName.processes)
    try write(
      [NamespaceIDs.entry(ids, others: FileImages.firstTable)], kind: .ids,
      to: ImageName.ids(of: UInt32(clamping: container.pid)))
    if let table = container.mountTable {
      let mounts = ImageName.mounts(ids[.mount]!)
      try ImageFiles.write(
        try MountImage.bytes(of: table, file: mounts), to: mounts, in: descriptor)
    }
    if container.parts.contains(.links) {
      let networks = NamespaceIDs.numbered(container.networks, ids)
      try NetworkImageCheck.run(networks)
      let numbers = NetworkImages.numbers(of: networks)
      for network in networks {
        try NetworkImages(id: network.id, directory: descriptor).write(network, numbers)
      }
    }
    if container.parts.contains(.files) {
      try FileImages(directory: descriptor).write(container.files)
    }
    if own[.user] != nil, let mapping = container.namespaces.mapping {
      try write(
        [NamespaceImages.userNamespace(mapping)], kind: .userNamespace,
        to: ImageName.userNamespace(ids[.user]!))
    }
    if own[.uts] != nil {
      try write(
        [NamespaceImages.hostNames(container.namespaces)], kind: .hostNames,
        to: ImageName.hostNames(ids[.uts]!))
    }
    if own[.time] != nil {
      try write(
        [NamespaceImages.clocks(container.namespaces)], kind: .timeNamespace,
        to: ImageName.timeNamespace(ids[.time]!))
    }
    try write([Self.inventory(container)], kind: .inventory, to: ImageName.inventory)
  }

  /// Creates the archive of a memory file system's content, for `ContentArchive.write`.
  ///
  /// - Throws: `SystemCallFailure` with `.fileExists` where the device has one.
  public func createContents(of device: DeviceNumber) throws(SystemCallFailure) -> Descriptor {
    try ImageFiles.create(ImageName.contents(of: device), in: descriptor)
  }

  /// Creates the archive of what a mount shows that has been unlinked, for
  /// `ContentArchive.writeUnlinked`.
  ///
  /// - Throws: `SystemCallFailure` with `.fileExists` where the mount has one.
  public func createUnlinked(_ mount: MountID) throws(SystemCallFailure) -> Descriptor {
    try ImageFiles.create(ImageName.unlinked(mount), in: descriptor)
  }

  /// Notes in the inventory which files plugins and scripts have put beside the images, so that they go
  /// with this set when another takes its place. To be called when they have said their last word.
  ///
  /// - Throws: `ImageError`.
  public func noteOtherFiles() throws(ImageError) {
    let names: [[UInt8]]
    do throws(SystemCallFailure) {
      names = try ImageFiles.names(in: descriptor)
    } catch {
      throw ImageError(ImageName.inventory, .system(error))
    }
    let others = names.filter { !DirectoryTree.isImage($0, in: descriptor) }
    guard !others.isEmpty, var inventory = try SetMembers.inventory(in: descriptor) else { return }
    inventory.otherFiles = others.sorted { $0.lexicographicallyPrecedes($1) }.map { Data($0) }
    unlinkat(descriptor, ImageName.inventory, 0)
    try write([inventory], kind: .inventory, to: ImageName.inventory)
  }

  /// Puts the set in its place. Nothing is forced to disk.
  ///
  /// - Throws: `SystemCallFailure`; what was there before is there again then.
  public consuming func commit() throws(SystemCallFailure) { try staging.commit() }

  private func write<Entry: ImageEntry>(
    _ entries: [Entry], kind: ImageKind, to file: String
  ) throws(ImageError) {
    try ImageFiles.write(
      try ImageFraming.bytes(of: entries, kind: kind, file: file), to: file, in: descriptor)
  }

  private static func process(_ pid: Int32) -> ImageProcessEntry {
    var entry = ImageProcessEntry()
    entry.pid = UInt32(clamping: pid)
    entry.ppid = 0
    entry.pgid = entry.pid
    entry.sid = entry.pid
    entry.threads = [entry.pid]
    return entry
  }

  private static func inventory(_ container: SavedContainer) -> ImageInventoryEntry {
    var entry = ImageInventoryEntry()
    entry.imgVersion = formatVersion
    entry.fdinfoPerID = true
    entry.rootIds = NamespaceIDs.entry(NamespaceIDs.engine, others: 1)
    entry.nsPerID = true
    entry.engineVersion = Data(engineVersion.utf8)
    entry.parts = container.parts.words.map { Data($0.utf8) }
    if let names = container.pluginNames {
      entry.pluginsEntry.plugins = names.map { Data($0.utf8) }
    }
    for (kind, inode) in container.namespaces.own.sorted(by: { $0.key.rawValue < $1.key.rawValue })
    {
      var namespace = ImageInventoryEntry.Namespace()
      namespace.kind = Data(kind.rawValue.utf8)
      namespace.inode = inode
      entry.namespaces.append(namespace)
    }
    if let offset = container.namespaces.monotonicOffset { entry.monotonicOffset = offset }
    if let offset = container.namespaces.bootTimeOffset { entry.bootTimeOffset = offset }
    return entry
  }
}
