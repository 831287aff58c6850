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
    // The child's own: roots of superblocks of which not all have been visited.
    var waiting: [DeviceNumber: [ContentRoot]] = [:]
    let answers = try visitMounts(of: pid, table: table, wanted: placeOf.keys.sorted()) {
      place, descriptor in
      let index = placeOf[place]!
      let mount = kept.mounts[index]
      if let archive = archives[mount.device], let roots = shown[mount.device],
        roots.contains(index)
      {
        var found = waiting.removeValue(forKey: mount.device) ?? []
        if found.count + 1 == roots.count {
          found.append(ContentRoot(path: mount.root, descriptor: descriptor))
          _ = try ContentArchive.write(roots: found, to: archive)
        } else {
          found.append(ContentRoot(path: mount.root, descriptor: dup(descriptor)))
          waiting[mount.device] = found
        }
      }
      var status = stat()
      return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR ? [1] : [0]
    }
    var isFile: [MountID: Bool] = [:]
    for (place, answer) in answers { isFile[table.mounts[place].id] = answer == [1] }
    return isFile
  }
}

/// Lets the process open as many descriptors as it may: a restore holds one for each mount that
/// others wait for, a dump one for each archive.
func raiseDescriptorLimit() {
  var limit = rlimit()
  let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
  guard getrlimit(resource, &limit) == 0 else { return }
  limit.rlim_cur = limit.rlim_max
  setrlimit(resource, &limit)
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
