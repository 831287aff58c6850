import MountTable

/// What the restore knows about a file system by its name.
enum FileSystemKind {
  /// Lives in memory and belongs to the container: made anew, content saved.
  case memory
  /// Made anew for the namespaces of the container; its content is the kernel's.
  case kernelView
  /// There is one of it a kernel, or a hierarchy: mounting it again shows the same.
  case single
  /// A cgroup hierarchy.
  case controlGroup
  /// Files that stand for namespaces.
  case namespaceFiles
  /// Not made by the restore.
  case other

  /// Found by the bytes of the name: to make a `String` of it for every mount costs more than the look-up.
  private static let known: [KernelString: FileSystemKind] = [
    "tmpfs": .memory, "ramfs": .memory,
    "proc": .kernelView, "sysfs": .kernelView, "devpts": .kernelView, "mqueue": .kernelView,
    "hugetlbfs": .kernelView, "bpf": .kernelView,
    "devtmpfs": .single, "binfmt_misc": .single, "fusectl": .single, "securityfs": .single,
    "debugfs": .single, "tracefs": .single, "pstore": .single, "configfs": .single,
    "efivarfs": .single,
    "cgroup": .controlGroup, "cgroup2": .controlGroup,
    "nsfs": .namespaceFiles,
  ]

  init(_ name: KernelString) { self = Self.known[name] ?? .other }

  var canBeMade: Bool {
    switch self {
    case .memory, .kernelView, .single, .controlGroup: true
    case .namespaceFiles, .other: false
    }
  }
}
