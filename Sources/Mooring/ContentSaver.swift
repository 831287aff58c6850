import CheckpointImages
import Glibc
import LinuxKernel
import MountTable
import RestorePlan

/// Saves the contents of memory file systems, each superblock once, and looks which roots are files.
///
/// Which mounts it visits: of a saved superblock one for each root that no other root contains; and
/// every mount whose kind the restore must know before it can look itself.
struct ContentSaver {
  private let kept: MountTable
  /// The mounts that show all of a superblock that can be reached, by index in `kept`.
  private var shown: [DeviceNumber: [Int]] = [:]
  private var looked: [Int] = []
  private var archives: [DeviceNumber: CInt] = [:]

  init(_ classification: Classification) {
    kept = classification.table
    let saved = classification.savedDevices
    var all: [DeviceNumber: [Int]] = [:]
    for (index, mount) in kept.mounts.enumerated() {
      if saved.contains(mount.device), !mount.isRootDeleted {
        all[mount.device, default: []].append(index)
      }
      if mount.isRootDeleted || classification.kinds[index].isExternal { looked.append(index) }
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

  /// Enters the container and does it.
  ///
  /// - Parameter table: what was read of `pid`, with the mounts that are left out.
  /// - Returns: whether a mount shows a file, for those that were looked at.
  /// - Throws: `ReadFailure` where the container cannot be entered or a file cannot be saved.
  func run(pid: Int32, table: MountTable) throws -> [MountID: Bool] {
    var placeOf: [Int: Int] = [:]
    for index in looked + shown.values.joined() {
      if let place = table.index(of: kept.mounts[index].id) { placeOf[place] = index }
    }
    guard !placeOf.isEmpty else { return [:] }
    // The child's own.
    var gathering = RootGathering(shown)
    let answers = try visitMounts(of: pid, table: table, wanted: placeOf.keys.sorted()) {
      place, descriptor in
      let index = placeOf[place]!
      let mount = kept.mounts[index]
      if let archive = archives[mount.device],
        let roots = gathering.add(index, of: mount.device, mount.root, descriptor)
      {
        _ = try ContentArchive.write(roots: roots, to: archive)
      }
      var status = stat()
      return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR ? [1] : [0]
    }
    var isFile: [MountID: Bool] = [:]
    for (place, answer) in answers { isFile[table.mounts[place].id] = answer == [1] }
    return isFile
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
  /// Of mounts of one superblock, one for each root that no other root contains.
  func widestRoots(_ indices: [Int]) -> [Int] {
    var chosen: [MountPath: Int] = [:]
    for index in indices.sorted(by: {
      (mounts[$0].root.depth, $0) < (mounts[$1].root.depth, $1)
    }) {
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
