import CMooring
import Glibc
import MountTable
import RestorePlan
import SystemPackage

/// `O_PATH`, which needs a feature macro in C.
public let openPath = CInt(MOORING_O_PATH)

/// The mount API of Linux 5.2 and later on descriptors: each function is one call, or the few that
/// belong together. Paths are resolved below a descriptor, without symbolic links.
public enum MountCalls {

  /// Opens a path below `directory` without leaving it: no symbolic link, no mount is crossed. It may be
  /// longer than the kernel takes at a time.
  ///
  /// The corresponding system call is `openat2` (Linux 5.6).
  public static func openBeneath(
    _ path: [UInt8], _ directory: CInt, flags: CInt = openPath,
    crossingMounts: Bool = false
  ) throws(SystemCallFailure) -> Descriptor {
    var resolve =
      UInt64(MOORING_RESOLVE_BENEATH) | UInt64(MOORING_RESOLVE_NO_SYMLINKS)
      | UInt64(MOORING_RESOLVE_NO_MAGICLINKS)
    if !crossingMounts { resolve |= UInt64(MOORING_RESOLVE_NO_XDEV) }
    if path.count > 4000, let cut = path[..<4000].lastIndex(of: 0x2F) {
      let upper = try openBeneath(
        Array(path[..<cut]), directory, crossingMounts: crossingMounts)
      return try openBeneath(
        Array(path[(cut + 1)...]), upper.number, flags: flags, crossingMounts: crossingMounts)
    }
    let fd = withPath(path) {
      mooring_openat2(directory, $0, UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), 0, resolve)
    }
    return Descriptor(owning: CInt(try checked(fd, "openat2", quoted(path))))
  }

  /// A detached clone of the mount that `path` below `directory` lies in, from there on down;
  /// mounts below are left out unless `recursive`.
  ///
  /// The corresponding system call is `open_tree` (Linux 5.2).
  public static func cloneTree(
    _ path: [UInt8], below directory: CInt, recursive: Bool = false
  ) throws(SystemCallFailure) -> Descriptor {
    var flags =
      UInt32(MOORING_OPEN_TREE_CLONE) | UInt32(MOORING_OPEN_TREE_CLOEXEC)
    if recursive { flags |= UInt32(MOORING_AT_RECURSIVE) }
    if path.contains(0x2F) {
      let place = try openBeneath(path, directory)
      let fd = mooring_open_tree(
        place.number, "", flags | UInt32(MOORING_AT_EMPTY_PATH))
      return Descriptor(owning: CInt(try checked(fd, "open_tree", quoted(path))))
    }
    flags |= UInt32(
      path.isEmpty ? MOORING_AT_EMPTY_PATH : MOORING_AT_SYMLINK_NOFOLLOW)
    let fd = withPath(path) { mooring_open_tree(directory, $0, flags) }
    return Descriptor(owning: CInt(try checked(fd, "open_tree", quoted(path))))
  }

  /// Attaches the mount in `mount` at the root that `place` refers to.
  ///
  /// The corresponding system call is `move_mount` (Linux 5.2).
  public static func attach(_ mount: CInt, at place: CInt) throws(SystemCallFailure) {
    try checked(
      mooring_move_mount(
        mount, "", place, "",
        UInt32(MOORING_MOVE_F_EMPTY_PATH | MOORING_MOVE_T_EMPTY_PATH)),
      "move_mount", "the mount point")
  }

  /// Copies peer group and master from one mount to another (`MOVE_MOUNT_SET_GROUP`, Linux 5.15).
  public static func joinGroup(of source: CInt, _ mount: CInt) throws(SystemCallFailure) {
    try checked(
      mooring_move_mount(
        source, "", mount, "",
        UInt32(
          MOORING_MOVE_F_EMPTY_PATH | MOORING_MOVE_T_EMPTY_PATH
            | MOORING_MOVE_SET_GROUP)),
      "move_mount(MOVE_MOUNT_SET_GROUP)", "its peer group")
  }

  /// Sets all attributes of a mount to `attributes` (`mount_setattr`, Linux 5.12).
  public static func setAttributes(
    _ mount: CInt, _ attributes: MountAttributes
  ) throws(SystemCallFailure) {
    let set = attributeBits(attributes)
    let all =
      MountAttributes.Flags([
        .readOnly, .noSUID, .noDevices, .noExecution, .noDirectoryAccessTime, .noSymbolicLinks,
      ]).rawValue
    try checked(
      mooring_mount_setattr(
        mount, "", UInt32(MOORING_AT_EMPTY_PATH), set,
        UInt64(all) & ~set | 0x70, 0, -1),
      "mount_setattr", "\(attributes)")
  }

  /// The flags of a mount that protect whoever mounted it; read-only where its file system is so, too.
  ///
  /// The corresponding system call is `fstatfs`.
  public static func protectingFlags(
    _ mount: CInt
  ) throws(SystemCallFailure) -> MountAttributes.Flags {
    var (type, found): (UInt, UInt) = (0, 0)
    try checked(mooring_file_system(mount, &type, &found), "fstatfs", "a mount")
    // ST_RDONLY, ST_NOSUID, ST_NODEV, ST_NOEXEC are those of MOUNT_ATTR_*; ST_NOSYMFOLLOW is not.
    let bits = UInt32(truncatingIfNeeded: found)
    var flags = MountAttributes.Flags(rawValue: bits & 0xF)
    if bits & 0x2000 != 0 { flags.insert(.noSymbolicLinks) }
    return flags
  }

  /// The bits of `MOUNT_ATTR_*`.
  static func attributeBits(_ attributes: MountAttributes) -> UInt64 {
    var bits = UInt64(attributes.flags.rawValue)
    switch attributes.accessTime {
    case .relative: break
    case .never: bits |= 0x10
    case .strict: bits |= 0x20
    }
    return bits
  }

  /// Changes the propagation of one mount (`mount_setattr`, Linux 5.12).
  public static func setPropagation(
    _ mount: CInt, _ propagation: Propagation
  ) throws(SystemCallFailure) {
    let value: UInt64 =
      switch propagation {
      case .private: 1 << 18
      case .slave: 1 << 19
      case .shared: 1 << 20
      case .unbindable: 1 << 17
      }
    try checked(
      mooring_mount_setattr(mount, "", UInt32(MOORING_AT_EMPTY_PATH), 0, 0, value, -1),
      "mount_setattr", propagation.rawValue)
  }

  /// Maps the IDs of a detached mount as the user namespace does (`MOUNT_ATTR_IDMAP`, Linux 5.12).
  public static func setIDMapping(_ mount: CInt, userNamespace: CInt) throws(SystemCallFailure) {
    try checked(
      mooring_mount_setattr(
        mount, "", UInt32(MOORING_AT_EMPTY_PATH), 0x100000, 0, 0, userNamespace),
      "mount_setattr", "MOUNT_ATTR_IDMAP")
  }

  /// Makes a superblock and a detached mount of its root (`fsopen`, `fsconfig`, `fsmount`).
  ///
  /// - Throws: with the messages that the file system left on the descriptor.
  public static func create(
    _ new: NewFileSystem, attributes: MountAttributes = .init()
  ) throws(SystemCallFailure) -> Descriptor {
    let name = new.type.bytes
    let context = Descriptor(
      owning: CInt(try checked(withPath(name) { mooring_fsopen($0, 1) }, "fsopen", quoted(name))))
    try configure(context, UInt32(MOORING_FSCONFIG_SET_STRING), "source", new.source.bytes)
    for parameter in new.parameters { try configure(context, parameter) }
    for flag in names(of: new.flags) {
      try configure(context, UInt32(MOORING_FSCONFIG_SET_FLAG), Array(flag.utf8), nil)
    }
    try configure(context, UInt32(MOORING_FSCONFIG_CMD_CREATE), nil, nil)
    let mount = mooring_fsmount(
      context.number, 1, UInt32(truncatingIfNeeded: attributeBits(attributes)))
    if mount < 0 {
      throw SystemCallFailure(
        "fsmount", on: quoted(name), Errno(rawValue: CInt(-mount)), detail: messages(context))
    }
    return Descriptor(owning: CInt(mount))
  }

  /// Gives one option, `key=value` or a word, to a descriptor of `fsopen`.
  static func configure(
    _ context: borrowing Descriptor, _ parameter: KernelString
  ) throws(SystemCallFailure) {
    let parts = parameter.bytes.split(separator: 0x3D, maxSplits: 1)
    let key = Array(parts.first ?? [])
    if parameter.bytes.contains(0x3D) {
      let value = parts.count > 1 ? Array(parts[1]) : []
      try configure(context, UInt32(MOORING_FSCONFIG_SET_STRING), key, value)
    } else {
      try configure(context, UInt32(MOORING_FSCONFIG_SET_FLAG), key, nil)
    }
  }

  private static func names(of flags: SuperblockFlags) -> [String] {
    var names: [String] = []
    if flags.contains(.readOnly) { names.append("ro") }
    if flags.contains(.synchronous) { names.append("sync") }
    if flags.contains(.synchronousDirectories) { names.append("dirsync") }
    if flags.contains(.mandatoryLocks) { names.append("mand") }
    if flags.contains(.lazyTime) { names.append("lazytime") }
    return names
  }

  /// Changes the flags of a mount's superblock (`fspick`, `FSCONFIG_CMD_RECONFIGURE`).
  public static func setSuperblockFlags(
    _ mount: CInt, _ flags: SuperblockFlags
  ) throws(SystemCallFailure) {
    let picked = try checked(
      mooring_fspick(mount, "", 1 | 8), "fspick", "the mounted file system")
    let context = Descriptor(owning: CInt(picked))
    // The kernel refuses to change this one; it stays as it was made.
    for flag in names(of: flags.subtracting(.synchronousDirectories)) {
      try configure(context, UInt32(MOORING_FSCONFIG_SET_FLAG), Array(flag.utf8), nil)
    }
    try configure(context, UInt32(MOORING_FSCONFIG_CMD_RECONFIGURE), nil, nil)
  }

  private static func configure(
    _ context: borrowing Descriptor, _ command: UInt32, _ key: [UInt8]?, _ value: [UInt8]?
  ) throws(SystemCallFailure) {
    let number = context.number
    let result: Int
    if let key, let value {
      result = withPath(key) { key in
        withPath(value) { mooring_fsconfig(number, command, key, $0, 0) }
      }
    } else if let key {
      result = withPath(key) { mooring_fsconfig(number, command, $0, nil, 0) }
    } else {
      result = mooring_fsconfig(number, command, nil, nil, 0)
    }
    if result < 0 {
      let parameter = KernelString(key ?? []).description
      let with = value.map { "=" + KernelString($0).description } ?? ""
      throw SystemCallFailure(
        "fsconfig", on: key == nil ? "(create)" : parameter + with, Errno(rawValue: CInt(-result)),
        detail: messages(context))
    }
  }

  private static func configure(
    _ context: borrowing Descriptor, _ command: UInt32, _ key: String, _ value: [UInt8]
  ) throws(SystemCallFailure) { try configure(context, command, Array(key.utf8), value) }

  /// What the kernel wrote to the descriptor of `fsopen`: one message a read.
  private static func messages(_ context: borrowing Descriptor) -> String {
    var found: [String] = []
    var buffer = [UInt8](repeating: 0, count: 1024)
    for _ in 0..<16 {
      let count = read(context.number, &buffer, buffer.count)
      guard count > 0 else { break }
      var text = buffer[..<count]
      while text.last == 0x0A { text.removeLast() }
      found.append(KernelString(Array(text)).description)
    }
    return found.isEmpty ? "" : "the kernel says: " + found.joined(separator: "; ")
  }
}

extension MountCalls {
  /// Like `openBeneath`, but `nil` where there is no such name.
  static func existing(
    _ name: [UInt8], _ directory: CInt
  ) throws(SystemCallFailure) -> Descriptor? {
    do {
      return try openBeneath(name, directory)
    } catch {
      if error.errno == .noSuchFileOrDirectory { return nil }
      throw error
    }
  }
}
