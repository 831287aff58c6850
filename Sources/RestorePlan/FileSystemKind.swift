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

  init(_ name: KernelString) {
    switch name.description {
    case "tmpfs", "ramfs": self = .memory
    case "proc", "sysfs", "devpts", "mqueue", "hugetlbfs", "bpf": self = .kernelView
    case "devtmpfs", "binfmt_misc", "fusectl", "securityfs", "debugfs", "tracefs", "pstore",
      "configfs", "efivarfs":
      self = .single
    case "cgroup", "cgroup2": self = .controlGroup
    case "nsfs": self = .namespaceFiles
    default: self = .other
    }
  }

  var canBeMade: Bool {
    switch self {
    case .memory, .kernelView, .single, .controlGroup: true
    case .namespaceFiles, .other: false
    }
  }
}
