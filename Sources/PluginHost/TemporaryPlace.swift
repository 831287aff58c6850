import CMooring
import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// Where plugins mount at restore: a memory file system over a directory that is empty, in a private
/// copy of the host's mount namespace.
///
/// Plugins print its path into small buffers, hence a short one. The directory is an empty one so
/// that nothing is hidden that a plugin could want to bind: what plugins bind is known to them alone.
struct TemporaryPlace: ~Copyable {
  let path: MountPath
  /// The root of the memory file system; what is looked up below it does not depend on what plugins
  /// mount elsewhere.
  let root: Descriptor
  private var count = 0

  /// In order of preference. The last two exist in every procfs and are empty for ever.
  static let candidates: [MountPath] = [
    "/mnt", "/media", "/srv", "/opt", "/var/empty", "/var/opt", "/var/tmp", "/proc/tty/ldisc",
    "/proc/fs/nfsd",
  ]

  /// Mounts the memory file system, in the calling process's own mount namespace.
  ///
  /// - Parameter reserved: paths without symbolic links that must stay visible.
  static func make(reserved: [MountPath], operation: String) throws -> TemporaryPlace {
    guard
      let path = TemporaryPlace.candidates.first(where: { candidate in
        !reserved.contains { candidate.contains($0) } && TemporaryPlace.isEmptyDirectory(candidate)
      })
    else {
      let tried = TemporaryPlace.candidates.map(\.description).joined(separator: ", ")
      throw PluginFailure(
        operation: operation, subject: "a temporary place for the mounts of plugins",
        reason: "no empty directory among \(tried); make one of them")
    }
    let result = withPath(path.bytes) {
      mooring_mount("mooring-plugins", $0, "tmpfs", UInt(MS_NOSUID | MS_NODEV), "mode=0755")
    }
    try checked(result, "mount", "a tmpfs on \(path)")
    return TemporaryPlace(path, try Descriptor.open(path.bytes, flags: openPath | O_DIRECTORY))
  }

  private init(_ path: MountPath, _ root: consuming Descriptor) {
    self.path = path
    self.root = root
  }

  /// A path that does not exist yet, and its last name. Each is used once: nothing needs to be
  /// cleared away.
  mutating func next() -> (path: MountPath, name: String) {
    count += 1
    let name = String(count)
    return (path.appending(Array(name.utf8)), name)
  }

  private static func isEmptyDirectory(_ path: MountPath) -> Bool {
    guard
      let directory = try? Descriptor.open(path.bytes, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    else { return false }
    // Some parent may be a link; and what looks empty under autofs is not.
    guard linkTarget("/proc/self/fd/\(directory.number)") == path.bytes,
      !mooring_is_autofs(directory.number),
      let stream = fdopendir(directory.release())
    else { return false }
    defer { closedir(stream) }
    var names = 0
    while readdir(stream) != nil { names += 1 }
    return names == 2
  }
}

/// What lies at a name of the temporary place.
enum PlaceContent: Equatable {
  case nothing
  /// Made, and nothing mounted on it.
  case mountPoint
  case mount(isFile: Bool, uniqueID: UInt64)
}

extension TemporaryPlace {
  func content(_ name: String) throws -> PlaceContent {
    var found = mooring_place()
    let result = mooring_look_at(root.number, name, &found)
    if result == -Int(ENOENT) { return .nothing }
    try checked(result, "statx", "\(path)/\(name)")
    guard found.is_mount_root else { return .mountPoint }
    return .mount(
      isFile: found.mode & S_IFMT != S_IFDIR, uniqueID: found.unique_mount_id)
  }

  func makeMountPoint(_ name: String, isFile: Bool) throws {
    let made =
      isFile
      ? openat(root.number, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
      : mkdirat(root.number, name, 0o700)
    try checked(made < 0 ? -Int(errno) : 0, isFile ? "open" : "mkdir", "\(path)/\(name)")
    if isFile { close(made) }
  }

  /// The mount at a name, detached; without what may be mounted below it.
  func clone(_ name: String) throws(SystemCallFailure) -> Descriptor {
    try MountCalls.cloneTree(Array(name.utf8), below: root.number)
  }

  /// Whether anything is mounted below a mount; `false` where the kernel cannot say.
  func hasMountsBelow(_ uniqueID: UInt64) -> Bool {
    guard uniqueID != 0 else { return false }
    // From this ID on: what is mounted on a mount is nearly always younger than it.
    var request = mooring_mnt_id_req(
      size: 24, spare: 0, mnt_id: uniqueID, param: uniqueID, mnt_ns_id: 0)
    var first: UInt64 = 0
    return mooring_listmount(&request, &first, 1) > 0
  }

  /// Takes off the place with everything that plugins mounted in it, in one call: one by one they cost
  /// a hundred microseconds each. They would go with the namespace, but what a plugin has started may
  /// keep that alive.
  func takeDown() {
    // 8 is UMOUNT_NOFOLLOW, 2 MNT_DETACH.
    _ = withPath(path.bytes) { mooring_umount2($0, 8 | 2) }
  }
}
