import CMooring
import CheckpointImages
import Glibc
import LinuxKernel
import MountTable
import RestorePlan

/// Saves the contents of memory file systems, each superblock once, and of what has been unlinked, and
/// looks which roots are files.
///
/// Which mounts it visits: of a saved superblock one for each root that no other root contains; every mount
/// whose kind the restore must know before it can look itself; and mounts of something unlinked, first
/// to see which show one file, and last to save those that have no other name.
struct ContentSaver {
  /// What was seen on the way.
  struct Answers {
    /// Whether a mount shows a file, for those that were looked at.
    var isFile: [MountID: Bool] = [:]
    /// `Mount.unlinkedAs`.
    var unlinkedAs: [MountID: MountID] = [:]
  }

  /// Something unlinked, as the first mount that shows it has it.
  private struct Unlinked {
    var index: Int
    var anchor: Int
    var hasOtherNames: Bool
  }

  private let pid: Int32
  private let whole: MountTable
  private let kept: MountTable
  private let unlinkedRoots: [(index: Int, anchor: Int)]
  /// The mounts that show all of a superblock that can be reached, by index in `kept`.
  private var shown: [DeviceNumber: [Int]] = [:]
  private var looked: [Int] = []
  private var archives: [DeviceNumber: CInt] = [:]
  private var unlinkedFiles: [FileIdentity: Unlinked] = [:]
  private var otherNames: [FileIdentity: [UInt8]] = [:]
  private(set) var answers = Answers()

  /// - Parameter table: what was read of `pid`, with the mounts that are left out.
  init(_ classification: Classification, pid: Int32, table: MountTable) {
    self.pid = pid
    whole = table
    kept = classification.table
    unlinkedRoots = classification.unlinkedRoots
    let saved = classification.savedDevices
    var all: [DeviceNumber: [Int]] = [:]
    for index in kept.mounts.indices {
      let isDeleted = kept.mounts[index].isRootDeleted
      if !isDeleted, saved.contains(kept.mounts[index].device) {
        all[kept.mounts[index].device, default: []].append(index)
      }
      if isDeleted || classification.kinds[index].isExternal { looked.append(index) }
    }
    for (device, indices) in all { shown[device] = kept.widestRoots(indices) }
  }

  var devices: [DeviceNumber] { shown.keys.sorted() }

  mutating func add(_ archive: consuming Descriptor, for device: DeviceNumber) {
    archives[device] = archive.release()
  }

  /// Closes the archives.
  mutating func close() {
    for descriptor in archives.values { _ = Glibc.close(descriptor) }
    archives = [:]
  }

  /// Sees which mounts show one unlinked file.
  ///
  /// - Throws: `ReadFailure` where the container cannot be entered.
  mutating func lookAtUnlinked() throws {
    guard !unlinkedRoots.isEmpty else { return }
    let found = try visit(unlinkedRoots.map(\.index)) { _, descriptor in
      var status = stat()
      try checked(fstat(descriptor, &status) < 0 ? -Int(errno) : 0, "fstat", "it")
      let hasNames = status.st_mode & S_IFMT != S_IFDIR && status.st_nlink > 0
      let identity = FileIdentity(status)
      return Self.bytes(identity.device, identity.inode, hasNames ? 1 : 0)
    }
    for (index, anchor) in unlinkedRoots {
      guard let answer = found[index] else { continue }
      let numbers = Self.numbers(answer[...])
      let identity = FileIdentity(device: numbers[0], inode: numbers[1])
      let first = unlinkedFiles[identity]?.index ?? index
      if first == index {
        unlinkedFiles[identity] = Unlinked(
          index: index, anchor: anchor, hasOtherNames: numbers[2] != 0)
      }
      answers.unlinkedAs[kept.mounts[index].id] = kept.mounts[first].id
    }
  }

  /// Enters the container and does the rest, but for `saveUnlinked`.
  ///
  /// - Throws: `ReadFailure` where the container cannot be entered or a file cannot be saved.
  mutating func run() throws {
    let named = unlinkedFiles.filter(\.value.hasOtherNames)
    let wanted = Set(named.keys)
    // On the container's root; memory file systems are looked through as they are saved.
    let isOnRoot = named.values.contains { $0.anchor == kept.rootIndex }
    let root = kept.rootIndex
    // The child's own.
    var gathering = RootGathering(shown)
    let archives = archives
    let table = kept
    let found = try visit(
      looked + shown.values.joined() + (isOnRoot ? [root] : [])
    ) { index, descriptor in
      var names: [FileIdentity: [UInt8]] = [:]
      let device = table.mounts[index].device
      if let archive = archives[device],
        let roots = gathering.add(index, of: device, table.mounts[index].root, descriptor)
      {
        _ = try ContentArchive.write(roots: roots, to: archive)
        if !wanted.isEmpty { names = try ContentArchive.names(of: wanted, below: roots) }
      } else if isOnRoot, index == root {
        names = try ContentArchive.names(
          of: wanted, below: [ContentRoot(descriptor: descriptor)])
      }
      let isFile = mooring_is_directory(descriptor) == 0
      return Self.answer(isFile, names)
    }
    for (index, answer) in found {
      answers.isFile[kept.mounts[index].id] = answer.first == 1
      for (identity, name) in Self.names(answer.dropFirst()) { otherNames[identity] = name }
    }
  }

  /// Saves what has been unlinked, each file once.
  ///
  /// - Parameter createArchive: makes the archive that belongs to a mount.
  /// - Throws: `ReadFailure`, as `run`; what `createArchive` throws.
  func saveUnlinked(_ createArchive: (MountID) throws -> Descriptor) throws {
    var nameOf: [Int: [UInt8]] = [:]
    for (identity, file) in unlinkedFiles { nameOf[file.index] = otherNames[identity] }
    var rest = unlinkedFiles.values.map(\.index).sorted()[...]
    // Each visit has its archives open.
    while !rest.isEmpty {
      let part = rest.prefix(256)
      rest = rest.dropFirst(256)
      var archives: [Int: CInt] = [:]
      defer { for descriptor in archives.values { _ = Glibc.close(descriptor) } }
      for index in part { archives[index] = try createArchive(kept.mounts[index].id).release() }
      _ = try visit(Array(part)) { [archives] index, descriptor in
        try ContentArchive.writeUnlinked(
          descriptor, otherName: nameOf[index], to: archives[index]!)
        return []
      }
    }
  }

  /// - Parameters:
  ///   - wanted: indices in `kept`, also of what `body` is given and what is returned.
  ///   - body: run in a process inside the container.
  private func visit(
    _ wanted: [Int], _ body: (Int, CInt) throws -> [UInt8]
  ) throws -> [Int: [UInt8]] {
    var placeOf: [Int: Int] = [:]
    for index in wanted {
      if let place = whole.index(of: kept.mounts[index].id) { placeOf[place] = index }
    }
    guard !placeOf.isEmpty else { return [:] }
    let found = try visitMounts(of: pid, table: whole, wanted: placeOf.keys.sorted()) {
      try body(placeOf[$0]!, $1)
    }
    return Dictionary(uniqueKeysWithValues: found.map { (placeOf[$0]!, $1) })
  }

  /// Whether it is a file; then names: device, inode, length of the name, the name.
  private static func answer(_ isFile: Bool, _ names: [FileIdentity: [UInt8]]) -> [UInt8] {
    var bytes: [UInt8] = [isFile ? 1 : 0]
    for (identity, name) in names {
      bytes += Self.bytes(identity.device, identity.inode, UInt64(name.count)) + name
    }
    return bytes
  }

  private static func bytes(_ numbers: UInt64...) -> [UInt8] {
    numbers.flatMap { number in withUnsafeBytes(of: number) { Array($0) } }
  }

  private static func numbers(_ bytes: ArraySlice<UInt8>) -> [UInt64] {
    bytes.withUnsafeBytes { bytes in
      (0..<3).map { bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
    }
  }

  private static func names(_ answer: ArraySlice<UInt8>) -> [(FileIdentity, [UInt8])] {
    var found: [(FileIdentity, [UInt8])] = []
    var rest = answer
    while rest.count >= 24 {
      let numbers = numbers(rest)
      rest = rest.dropFirst(24)
      found.append(
        (
          FileIdentity(device: numbers[0], inode: numbers[1]),
          Array(rest.prefix(Int(numbers[2])))
        ))
      rest = rest.dropFirst(Int(numbers[2]))
    }
    return found
  }
}

/// The parts of a superblock as they are visited one after the other: what one says of a file (that it has
/// another name, above all) may concern another.
struct RootGathering {
  private let shown: [DeviceNumber: [Int]]
  private var found: [DeviceNumber: [ContentRoot]] = [:]

  /// - Parameter shown: the mounts that show parts of each superblock.
  init(_ shown: [DeviceNumber: [Int]]) { self.shown = shown }

  /// Adds what a mount shows, if it is one of those; all roots of the superblock once the last is there.
  ///
  /// The last descriptor is the caller's own, the others are copies.
  mutating func add(
    _ index: Int, of device: DeviceNumber, _ root: MountPath, _ descriptor: CInt
  ) -> [ContentRoot]? {
    guard let indices = shown[device], indices.contains(index) else { return nil }
    let isLast = found[device, default: []].count + 1 == indices.count
    found[device, default: []].append(
      ContentRoot(path: root, descriptor: isLast ? descriptor : dup(descriptor)))
    return isLast ? found.removeValue(forKey: device) : nil
  }
}

extension MountTable {
  /// Of mounts of one superblock, one for each root that no other root contains; one that maps no IDs
  /// where there is one.
  func widestRoots(_ indices: [Int]) -> [Int] {
    func rank(_ index: Int) -> (Int, Int, Int) {
      (mounts[index].root.depth, mounts[index].idMapping == nil ? 0 : 1, index)
    }
    var chosen: [MountPath: Int] = [:]
    for index in indices.sorted(by: { rank($0) < rank($1) }) {
      var path: MountPath? = mounts[index].root
      var isContained = false
      while let current = path, !isContained {
        isContained = chosen[current] != nil
        path = current.parent
      }
      if !isContained { chosen[mounts[index].root] = index }
    }
    return chosen.values.sorted()
  }
}
