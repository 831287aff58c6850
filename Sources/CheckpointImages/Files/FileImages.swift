import FileTable
import MountTable

/// `files.img` with the open files that a restore brings, and `fdinfo-N.img` with their descriptors: N is
/// the `files_id` of `ids-PID.img` for the first process, and one more for each further table.
struct FileImages {
  let directory: CInt
  /// The number in the name of the first process's image.
  static let firstTable: UInt32 = 2
  /// `FD_CLOEXEC`.
  private static let closesOnExec: UInt32 = 1

  // MARK: Writing

  func write(_ files: ClassifiedFiles) throws(ImageError) {
    let external = files.external
    var entries = zip(external.table.files, external.classes).map { FileEntries.entry($0, $1) }
    var next = (files.table.files.map(\.id).max() ?? 0) + 1
    for (file, fileClass) in zip(external.table.files, external.classes) {
      guard case .externalByPlugin = fileClass, let peer = FileEntries.peer(of: file, id: next)
      else { continue }
      entries.append(peer)
      next += 1
    }
    try write(entries, .files, ImageName.files)
    var byHolder: [[ImageDescriptorEntry]] = external.table.holders.map { _ in [] }
    for file in external.table.files {
      for descriptor in file.descriptors {
        byHolder[descriptor.holder].append(
          entry(descriptor, file, external.table.holders[descriptor.holder]))
      }
    }
    var number = Self.firstTable
    for (holder, entries) in byHolder.enumerated() where holder == 0 || !entries.isEmpty {
      try write(
        entries.sorted { $0.fd < $1.fd }, .descriptors, ImageName.descriptors(number))
      number += 1
    }
  }

  private func entry(
    _ descriptor: HeldDescriptor, _ file: OpenFile, _ holder: FileHolder
  ) -> ImageDescriptorEntry {
    var entry = ImageDescriptorEntry()
    entry.id = file.id
    entry.flags = descriptor.closesOnExec ? Self.closesOnExec : 0
    entry.type =
      file.kind == .unixSocket
      ? FileEntries.FileType.unixSocket : FileEntries.FileType.external
    entry.fd = UInt32(bitPattern: descriptor.number)
    if descriptor.holder > 0 { entry.pid = UInt32(clamping: holder.innerPID) }
    return entry
  }

  private func write<Entry: ImageEntry>(
    _ entries: [Entry], _ kind: ImageKind, _ name: String
  ) throws(ImageError) {
    try ImageFiles.write(
      try ImageFraming.bytes(of: entries, kind: kind, file: name), to: name, in: directory)
  }

  // MARK: Reading

  /// Reads the files that a restore brings; of others, such as CRIU writes too, nothing is said.
  ///
  /// - Parameters:
  ///   - first: the number of the first process's table.
  ///   - pid: that process, as the container numbers it.
  ///   - others: other processes by the numbers of their tables, where the images of processes tell.
  func read(
    first: UInt32, pid: Int32, others: [UInt32: Int32] = [:], among names: [String]
  ) throws(ImageError) -> ClassifiedFiles {
    var files = ClassifiedFiles(
      table: FileTable(holders: [FileHolder(pid: 0, innerPID: pid)]))
    guard let bytes = try ImageFiles.read(ImageName.files, in: directory) else { return files }
    var places: [UInt32: Int] = [:]
    var ids: Set<UInt32> = []
    try ImageFraming.forEachEntry(
      of: ImageFileEntry.self, kind: .files, file: ImageName.files, bytes: bytes
    ) { (entry, offset) throws(ImageError) in
      guard ids.insert(entry.id).inserted else {
        throw ImageError(
          ImageName.files, .duplicate("files with the id", value: "\(entry.id)"), at: offset)
      }
      guard let found = try FileEntries.file(entry, in: ImageName.files, at: offset) else {
        return
      }
      places[entry.id] = files.table.files.count
      files.table.files.append(found.file)
      files.classes.append(found.fileClass)
    }
    let numbers = names.compactMap { ImageName.number(in: $0, prefix: "fdinfo-") }.sorted()
    for number in [first] + numbers.filter({ $0 != first }) where numbers.contains(number) {
      try readDescriptors(
        number, of: number == first ? nil : others[number] ?? 0, ids, places, &files)
    }
    // A file that nobody holds is nobody's.
    let held = files.table.files.indices.filter { !files.table.files[$0].descriptors.isEmpty }
    files.classes = held.map { files.classes[$0] }
    files.table.files = held.map { files.table.files[$0] }
    return files
  }

  private func readDescriptors(
    _ number: UInt32, of other: Int32?, _ ids: Set<UInt32>, _ places: [UInt32: Int],
    _ files: inout ClassifiedFiles
  ) throws(ImageError) {
    let name = ImageName.descriptors(number)
    guard let bytes = try ImageFiles.read(name, in: directory) else { return }
    var taken: Set<UInt32> = []
    var holder = 0
    var isNew = other != nil
    try ImageFraming.forEachEntry(
      of: ImageDescriptorEntry.self, kind: .descriptors, file: name, bytes: bytes
    ) { (entry, offset) throws(ImageError) in
      guard entry.fd <= UInt32(Int32.max) else {
        throw ImageError(name, .badValue(field: "a descriptor", value: "\(entry.fd)"), at: offset)
      }
      guard taken.insert(entry.fd).inserted else {
        throw ImageError(
          name, .duplicate("descriptors with the number", value: "\(entry.fd)"), at: offset)
      }
      guard ids.contains(entry.id) else {
        throw ImageError(
          name, .badValue(field: "the file of descriptor \(entry.fd)", value: "\(entry.id)"),
          at: offset)
      }
      guard let place = places[entry.id] else { return }
      if isNew {
        isNew = false
        holder = files.table.holders.count
        files.table.holders.append(
          FileHolder(pid: 0, innerPID: entry.hasPid ? Int32(clamping: entry.pid) : other ?? 0))
      }
      files.table.files[place].descriptors.append(
        HeldDescriptor(
          holder: holder, number: Int32(entry.fd),
          closesOnExec: entry.flags & Self.closesOnExec != 0))
    }
  }
}
