import CMooring
import Glibc
import LinuxKernel
import MountTable

/// What the plugin host inherits from the engine when it is forked.
struct HostSettings {
  /// The word that begins sentences: `restore`, `plugins`.
  var operation: String
  /// `nil` where plugins are only looked at.
  var stage: PluginStage?
  var folder: String
  /// `nil` where images do not say which plugins they need.
  var inventory: [String]?
  var reserved: [MountPath] = []
  /// 0 to 4, as in `criu-log.h`.
  var logLevel: UInt32
  var engine = getpid()
}

/// The descriptors of the plugin host: what is inherited becomes these, everything else is closed.
enum HostDescriptor {
  static let socket: CInt = 3
  static let images: CInt = 4
  /// A plugin's own descriptors start here.
  static let firstFree: CInt = 5
}

extension HostSettings {
  /// Makes the forked child a process that depends on nothing of the engine's but the socket: its
  /// own signals, process group and descriptors, and it ends with the engine.
  func prepareProcess(_ inherited: [CInt]) throws {
    try checked(
      mooring_prctl(CInt(MOORING_PR_SET_PDEATHSIG), UInt(SIGKILL)), "prctl", "PR_SET_PDEATHSIG")
    // The engine may have ended before that call.
    if getppid() != engine { mooring_exit(1) }
    // What plugins start stays in reach, however it is started.
    _ = mooring_prctl(CInt(MOORING_PR_SET_CHILD_SUBREAPER), 1)
    // Ctrl-C is for the engine, which tells the plugins.
    setpgid(0, 0)
    mooring_reset_signals()
    try checked(
      mooring_arrange_descriptors(inherited, inherited.count, 3), "dup3", "the plugins' descriptors"
    )
    mooring_line_buffer_output()
    mooring_plugins_serve(
      inherited.count > Int(HostDescriptor.images) ? HostDescriptor.images : -1, logLevel,
      HostDescriptor.socket, PluginMessage.Kind.log.rawValue)
    guard let inventory else { return mooring_inventory_is_unknown() }
    for name in inventory { mooring_inventory_require(name) }
  }

  /// Enters a private copy of the host's mounts, so that what plugins mount goes with their process. Without
  /// the right to make one they have no right to mount either, and stay where they are.
  func enterPrivateCopy() throws {
    let unshared = mooring_unshare(CInt(MOORING_CLONE_NEWNS))
    if unshared == -Int(EPERM) { return }
    try checked(unshared, "unshare", "a mount namespace for the plugins")
    try checked(
      mooring_mount("none", "/", nil, UInt(MS_SLAVE | MS_REC), nil), "mount", "MS_SLAVE on /")
  }

  /// Enters a private copy of the host's mounts. What is mounted on the host from now on arrives in
  /// it; what plugins mount stays in it.
  func enterPrivateMounts() throws -> TemporaryPlace {
    let hidden = reserved.map { MountPath(withPath($0.bytes, realBytes) ?? $0.bytes) }
    let unshared = mooring_unshare(CInt(MOORING_CLONE_NEWNS))
    if unshared == -Int(EPERM) {
      throw PluginFailure(
        operation: operation, subject: "a mount namespace for the plugins",
        reason: "EPERM (Operation not permitted); plugins restore mounts as root only")
    }
    try checked(unshared, "unshare", "CLONE_NEWNS")
    try checked(
      mooring_mount("none", "/", nil, UInt(MS_SLAVE | MS_REC), nil), "mount", "MS_SLAVE on /")
    let images = MountPath(linkTarget("/proc/self/fd/\(HostDescriptor.images)"))
    return try TemporaryPlace.make(reserved: reserved + hidden + [images], operation: operation)
  }

  private func realBytes(_ path: UnsafePointer<CChar>) -> [UInt8]? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return (0..<strlen(real)).map { UInt8(bitPattern: real[$0]) }
  }
}
