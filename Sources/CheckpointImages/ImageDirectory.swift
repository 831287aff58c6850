import Glibc
import LinuxKernel
import MountTable
import RestorePlan

/// An open directory of images, for reading.
///
/// Images may come from another host: nothing in them is believed without a look. Symbolic links
/// in the directory are not followed.
public struct ImageDirectory: ~Copyable, Sendable {
  private let directory: Descriptor
  let path: String

  /// Opens the directory; nothing in it is read yet.
  ///
  /// - Throws: `SystemCallFailure` where there is no such directory, or no right to read it.
  public static func open(_ path: String) throws(SystemCallFailure) -> ImageDirectory {
    Characters.load()
    return ImageDirectory(
      directory: try Descriptor.open(path, flags: O_RDONLY | O_DIRECTORY), path: path)
  }

  /// The directory's descriptor, valid as long as this value lives.
  public var descriptor: CInt { directory.number }

  /// What the set has: what its inventory says, or else mounts, and links and files where they have
  /// images.
  ///
  /// - Throws: `ImageError` where the inventory cannot be read.
  public func parts() throws(ImageError) -> SavedParts {
    let names = try fileNames()
    return try parts(try inventory(among: names), names)
  }

  /// Reads all that the set says about the container, but for the contents of its file systems.
  ///
  /// - Throws: `ImageError` as `load(only:)` does; also where the set has no mounts: such sets are
  ///   for `load(only:)`.
  public func load() throws(ImageError) -> SavedContainer {
    try load(only: try parts().union(.mounts))
  }

  /// Reads some parts of what the set says about the container; of the others, nothing is looked at.
  ///
  /// The mount table and the first network are those of the process in `pstree.img`, by way of
  /// `ids-PID.img`. Without them it is the only image of its kind there is.
  ///
  /// - Throws: `ImageError` naming the file that is missing, damaged or says what cannot be; also
  ///   where the set has not been made with a part that is wanted.
  public func load(only wanted: SavedParts) throws(ImageError) -> SavedContainer {
    let names = try fileNames()
    let inventory = try inventory(among: names)
    let lacking = wanted.subtracting(try parts(inventory, names))
    guard lacking.isEmpty else { throw ImageError(path, .lacks(lacking)) }
    let pids = try processes()
    let pid = pids.first
    var ids: [NamespaceKind: UInt32] = [:]
    var descriptors = FileImages.firstTable
    if let pid,
      let entry = try entry(
        ImageTaskIDs.self, kind: .ids, in: ImageName.ids(of: UInt32(pid)))
    {
      ids = NamespaceIDs.of(entry)
      descriptors = entry.filesID
    }
    var table: MountTable?
    if wanted.contains(.mounts) {
      let file = try mountImage(ids[.mount], among: names)
      guard let bytes = try ImageFiles.read(file, in: descriptor) else {
        throw ImageError(file, .missing)
      }
      table = try MountImage.table(bytes, file: file)
      ids[.mount] = ImageName.number(in: file, prefix: "mountpoints-")
    }
    let namespaces = try namespaces(ids, inventory)
    if !inventory.isOurs, var found = table {
      CRIUMounts.adapt(&found, namespaces.mapping)
      table = found
    }

    var container = SavedContainer(
      mounts: table, namespaces: namespaces, pid: pid ?? 1,
      pluginNames: inventory.hasPluginsEntry
        ? inventory.pluginsEntry.plugins.map { String(decoding: $0, as: UTF8.self) } : nil,
      parts: wanted)
    container.hasWholeSeconds = !inventory.isOurs
    if wanted.contains(.links) {
      container.networks = try networks(
        container.namespaces, ids[.network], inventory, among: names)
      ids[.network] = container.networks.first?.id ?? ids[.network]
    }
    container.namespaceIDs = ids
    if wanted.contains(.files) {
      container.files = try FileImages(directory: descriptor).read(
        first: descriptors, pid: container.pid, others: try tables(of: pids.dropFirst()),
        among: names)
    }
    guard wanted.contains(.mounts) else { return container }
    for name in names {
      if let number = ImageName.number(in: name, prefix: "tmpfs-dev-", suffix: ".tar.gz.img") {
        container.archivedDevices.insert(DeviceNumber(packed: number))
      }
      if let id = ImageName.number(in: name, prefix: "unlinked-mnt-", suffix: ".tar.gz.img") {
        container.archivedRoots.insert(MountID(id))
      }
    }
    return container
  }

  /// Opens the archive of a memory file system's content for reading; `nil` where there is none.
  ///
  /// - Throws: `ImageError` where it is not a regular file.
  public func openContents(of device: DeviceNumber) throws(ImageError) -> Descriptor? {
    try ImageFiles.open(ImageName.contents(of: device), in: descriptor)?.takeDescriptor()
  }

  /// Opens the archive of what a mount shows that has been unlinked; `nil` where there is none.
  ///
  /// - Throws: `ImageError` where it is not a regular file.
  public func openUnlinked(_ mount: MountID) throws(ImageError) -> Descriptor? {
    try ImageFiles.open(ImageName.unlinked(mount), in: descriptor)?.takeDescriptor()
  }

  private func fileNames() throws(ImageError) -> [String] {
    do throws(SystemCallFailure) {
      return try ImageFiles.names(in: descriptor).map { String(decoding: $0, as: UTF8.self) }
    } catch {
      throw ImageError(path, .system(error))
    }
  }

  private func entry<Entry: ImageEntry>(
    _ type: Entry.Type, kind: ImageKind, in file: String
  ) throws(ImageError) -> Entry? {
    guard let bytes = try ImageFiles.read(file, in: descriptor) else { return nil }
    return try ImageFraming.onlyEntry(of: type, kind: kind, file: file, bytes: bytes)
  }

  /// The processes of the tree, its root first; none where the set does not say.
  private func processes() throws(ImageError) -> [Int32] {
    let file = ImageName.processes
    guard let bytes = try ImageFiles.read(file, in: descriptor) else { return [] }
    var pids: [Int32] = []
    try ImageFraming.forEachEntry(
      of: ImageProcessEntry.self, kind: .processes, file: file, bytes: bytes
    ) { (entry, offset) throws(ImageError) in
      guard let pid = Int32(exactly: entry.pid), pid > 0 else {
        throw ImageError(file, .badValue(field: "pid", value: "\(entry.pid)"))
      }
      pids.append(pid)
    }
    guard !pids.isEmpty else { throw ImageError(file, .entryCount(0)) }
    return pids
  }

  /// Whose the tables of descriptors are, by their numbers.
  private func tables(of pids: ArraySlice<Int32>) throws(ImageError) -> [UInt32: Int32] {
    var tables: [UInt32: Int32] = [:]
    for pid in pids {
      let file = ImageName.ids(of: UInt32(pid))
      guard let entry = try entry(ImageTaskIDs.self, kind: .ids, in: file) else { continue }
      if tables[entry.filesID] == nil { tables[entry.filesID] = pid }
    }
    return tables
  }

  private func mountImage(
    _ namespace: UInt32?, among names: [String]
  ) throws(ImageError) -> String {
    if let namespace { return ImageName.mounts(namespace) }
    let found = names.filter { ImageName.number(in: $0, prefix: "mountpoints-") != nil }
    guard let first = found.first else { throw ImageError(path, .missing) }
    guard found.count == 1 else { throw ImageError(path, .ambiguous(found.sorted())) }
    return first
  }

  private func parts(
    _ inventory: ImageInventoryEntry, _ names: [String]
  ) throws(ImageError) -> SavedParts {
    var parts: SavedParts = []
    for entry in inventory.parts {
      let word = String(decoding: entry, as: UTF8.self)
      guard let part = SavedParts(word: word) else {
        throw ImageError(
          ImageName.inventory, .badValue(field: "a part of the set", value: quoted(Array(entry))))
      }
      parts.insert(part)
    }
    if !parts.isEmpty { return parts }
    parts = .mounts
    if names.contains(where: { ImageName.number(in: $0, prefix: "netns-") != nil }) {
      parts.insert(.links)
    }
    if names.contains(ImageName.files) { parts.insert(.files) }
    return parts
  }

  /// It is written last: a set without it is not complete.
  private func inventory(among names: [String]) throws(ImageError) -> ImageInventoryEntry {
    guard let entry = try SetMembers.inventory(in: descriptor) else {
      throw ImageError(
        names.contains(where: ImageName.isPartOfSet) ? ImageName.inventory : path, .missing)
    }
    guard (1...ImageWriter.formatVersion).contains(entry.imgVersion) else {
      throw ImageError(ImageName.inventory, .version(entry.imgVersion))
    }
    return entry
  }

  private func namespaces(
    _ ids: [NamespaceKind: UInt32], _ inventory: ImageInventoryEntry
  ) throws(ImageError) -> ContainerNamespaces {
    var namespaces = ContainerNamespaces()
    if inventory.isOurs {
      for namespace in inventory.namespaces {
        let name = String(decoding: namespace.kind, as: UTF8.self)
        guard let kind = NamespaceKind(rawValue: name) else {
          throw ImageError(
            ImageName.inventory,
            .badValue(
              field: "a kind of namespace", value: quoted(Array(namespace.kind))))
        }
        namespaces.own[kind] = namespace.inode
      }
    } else {
      let outside = NamespaceIDs.of(inventory.rootIds)
      for (kind, id) in ids where outside[kind] != nil && outside[kind] != id {
        namespaces.own[kind] = 0
      }
      namespaces.own[.mount] = 0
    }
    try addContents(to: &namespaces, ids, inventory)
    return namespaces
  }

  private func addContents(
    to namespaces: inout ContainerNamespaces, _ ids: [NamespaceKind: UInt32],
    _ inventory: ImageInventoryEntry
  ) throws(ImageError) {
    if namespaces.own[.user] != nil, let id = ids[.user] {
      let file = ImageName.userNamespace(id)
      if let entry = try entry(ImageUserNamespaceEntry.self, kind: .userNamespace, in: file) {
        namespaces.mapping = try NamespaceImages.mapping(entry, file: file)
      }
    }
    if namespaces.own[.uts] != nil, let id = ids[.uts] {
      let file = ImageName.hostNames(id)
      if let entry = try entry(ImageHostNamesEntry.self, kind: .hostNames, in: file) {
        try NamespaceImages.setHostNames(of: &namespaces, from: entry, file: file)
      }
    }
    if !inventory.engineVersion.isEmpty {
      if inventory.hasMonotonicOffset {
        namespaces.monotonicOffset = try NamespaceImages.checked(
          inventory.monotonicOffset, "the offset of the monotonic clock")
      }
      if inventory.hasBootTimeOffset {
        namespaces.bootTimeOffset = try NamespaceImages.checked(
          inventory.bootTimeOffset, "the offset of the boot-time clock")
      }
    } else if namespaces.own[.time] != nil, let id = ids[.time] {
      for file in [ImageName.timeNamespace(id), ImageName.timeNamespace(0)] {
        let found = try entry(ImageTimeNamespaceEntry.self, kind: .timeNamespace, in: file)
        guard let found else { continue }
        try NamespaceImages.setOffsets(of: &namespaces, from: found, file: file)
        break
      }
    }
  }
}

extension ImageInventoryEntry {
  /// Whether this engine wrote the set: CRIU says some things in other words.
  fileprivate var isOurs: Bool { !namespaces.isEmpty || !engineVersion.isEmpty }
}
