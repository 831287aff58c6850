import MountTable

/// The image of a whole mount table.
enum MountImage {
  static func bytes(of table: MountTable, file: String) throws(ImageError) -> [UInt8] {
    var anchored: Set<DeviceNumber> = [table.root.device]
    for mount in table.mounts where mount.mooring != nil { anchored.insert(mount.device) }
    // One at a time: a message a mount, all at once, is memory that nobody needs.
    let entries = table.mounts.indices.reversed().lazy.map { index in
      MountEntry.entry(
        of: table.mounts[index], needsName: !anchored.contains(table.mounts[index].device))
    }
    return try ImageFraming.bytes(of: entries, kind: .mounts, file: file)
  }

  /// - Throws: `ImageError`, also where the mounts are no tree (`MountTable.init`).
  static func table(_ bytes: [UInt8], file: String) throws(ImageError) -> MountTable {
    let messages = try ImageFraming.messages(kind: .mounts, file: file, bytes: bytes)
    var mounts: [Mount] = []
    mounts.reserveCapacity(messages.count)
    var reader = PlainMountEntry()
    for message in messages.reversed() {
      if let mount = reader.mount(bytes, message) {
        mounts.append(mount)
      } else {
        let entry = try ImageFraming.entry(of: ImageMountEntry.self, bytes, message, file: file)
        let offset = message.lowerBound - 4
        mounts.append(try MountEntry.mount(entry, file: file, offset: offset))
      }
    }
    do throws(MountTableError) {
      return try MountTable(mounts)
    } catch {
      throw ImageError(file, .table(error))
    }
  }
}
