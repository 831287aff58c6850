import CMooring
import Glibc
import LinuxKernel
import MountTable
import RestorePlan
import SystemPackage

/// Where plugins mount before `pivot_root`: a tmpfs over a directory of the host's private copy of the
/// mount namespace.
struct TemporaryPlace {
  let path: String
  /// The root of the tmpfs.
  let directory: CInt
  /// Its mount.
  let mount: Int

  /// Directories that are hardly anybody's source of a mount. The first that is there and empty serves.
  private static let candidates = [
    "/mnt", "/media", "/srv", "/opt", "/lost+found", "/sys/kernel/debug", "/sys/kernel/config",
    "/sys/kernel/tracing", "/sys/fs/pstore", "/sys/fs/fuse/connections", "/sys/kernel/security",
    "/proc/sys/fs/binfmt_misc", "/sys/fs/bpf", "/boot", "/home",
  ]

  /// Enters a private copy of the mount namespace, at its root, and makes the place.
  ///
  /// What the engine's namespace mounts later is still seen; what plugins mount here is not seen there.
  static func make(
    _ reserved: [MountPath], _ folder: String
  ) throws -> TemporaryPlace {
    do {
      try NamespaceCalls.unshare([.mount])
      try checked(
        mooring_mount(nil, "/", nil, UInt(MS_REC) | UInt(MS_SLAVE), nil), "mount",
        "/ (make everything a slave)")
      try checked(chdir("/") < 0 ? -Int(errno) : 0, "chdir", "/")
      let kept = reserved + [MountPath(folder)]
      guard let path = candidates.first(where: { isFree($0, kept) }) else {
        throw PluginFailure(
          "no empty directory serves plugins as a temporary place; make one: mkdir -p /mnt")
      }
      let tmpfs = try MountCalls.create(
        NewFileSystem(type: "tmpfs", source: "mooring", parameters: ["mode=755"], flags: []))
      let place = try Descriptor.open(path, flags: openPath | O_DIRECTORY)
      try MountCalls.attach(tmpfs.number, at: place.number)
      let mount = try checked(mooring_mount_id(tmpfs.number), "statx", path)
      return TemporaryPlace(path: path, directory: tmpfs.release(), mount: mount)
    } catch let failure as SystemCallFailure {
      throw PluginFailure("the plugins get no mount namespace of their own: \(failure)")
    }
  }

  private static func isFree(_ path: String, _ kept: [MountPath]) -> Bool {
    let place = MountPath(path)
    guard !kept.contains(where: { place.contains($0) || $0.contains(place) && !$0.isRoot }) else {
      return false
    }
    guard let directory = opendir(path) else { return false }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    return count == 2  // "." and ".."
  }

  /// What is at a name: nothing, a file or directory that somebody made, or a mount.
  enum Found {
    case nothing, plain
    case mount(isFile: Bool)
  }

  func look(at name: [UInt8]) throws(SystemCallFailure) -> Found {
    let opened: Descriptor
    do {
      opened = try Descriptor.open(name, below: directory, flags: openPath | O_NOFOLLOW)
    } catch {
      if error.errno == .noSuchFileOrDirectory { return .nothing }
      throw error
    }
    let id = try checked(mooring_mount_id(opened.number), "statx", quoted(name))
    if id == mount { return .plain }
    var status = stat()
    try checked(fstat(opened.number, &status) < 0 ? -Int(errno) : 0, "fstat", quoted(name))
    return .mount(isFile: status.st_mode & S_IFMT != S_IFDIR)
  }

  func makeMountPoint(_ name: [UInt8], isFile: Bool) throws(SystemCallFailure) {
    let made = withPath(name) {
      isFile ? mknodat(directory, $0, S_IFREG | 0o644, 0) : mkdirat(directory, $0, 0o755)
    }
    try checked(made < 0 ? -Int(errno) : 0, isFile ? "mknodat" : "mkdirat", quoted(name))
  }

  /// A detached clone of the mount at a name, which is taken away. (Cloning from a mount that has many
  /// children costs time in proportion to them.)
  func take(_ name: [UInt8]) throws(SystemCallFailure) -> Descriptor {
    let mount = try Descriptor.open(name, below: directory, flags: openPath | O_NOFOLLOW)
    let clone = try MountCalls.cloneTree([], below: mount.number)
    clear(name)
    return clone
  }

  /// Takes away what is at a name, mounts first.
  func clear(_ name: [UInt8]) {
    let path = Array(path.utf8) + [0x2F] + name
    for _ in 0..<64 {
      if withPath(path, { mooring_umount2($0, CInt(MNT_DETACH) | 8) }) < 0 { break }
    }
    _ = withPath(name) { name in
      unlinkat(directory, name, 0) == 0 ? 0 : unlinkat(directory, name, AT_REMOVEDIR)
    }
  }
}
