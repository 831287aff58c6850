import MountTable

/// What an open file is, by `fstat(2)` and its link in `/proc/PID/fd`.
public enum OpenFileKind: Hashable, Sendable {
  case regular, directory, fifo, symbolicLink
  /// Without a name; a fifo has one.
  case pipe
  /// One that is none of the next two.
  case characterDevice
  case terminal
  /// `/dev/net/tun`.
  case tunnel
  case blockDevice
  case unixSocket
  /// Of another family.
  case socket
  /// `memfd_create(2)`.
  case memoryFile
  /// A file of nsfs.
  case namespace
  /// An anonymous inode: what stands after `anon_inode:`, without brackets.
  case anonymous(KernelString)

  private static let words: [(kind: OpenFileKind, word: String)] = [
    (.regular, "file"), (.directory, "directory"), (.fifo, "fifo"), (.symbolicLink, "symlink"),
    (.pipe, "pipe"), (.characterDevice, "char"), (.terminal, "tty"), (.tunnel, "tun"),
    (.blockDevice, "block"), (.unixSocket, "unix"), (.socket, "socket"), (.memoryFile, "memfd"),
    (.namespace, "namespace"),
  ]

  /// Anonymous inodes that a restorer of processes makes again with a system call, all that belongs to
  /// them being told in `/proc/PID/fdinfo` or by the call itself.
  private static let remade: Set<KernelString> = [
    "eventfd", "eventpoll", "signalfd", "timerfd", "inotify", "fanotify", "pidfd", "bpf-map",
  ]

  /// Other anonymous inodes that have a word of their own.
  private static let known: Set<KernelString> = remade.union([
    "io_uring", "userfaultfd", "perf_event", "bpf-prog", "bpf_link", "kvm-vm",
    "seccomp notify", "sync_file", "fscontext", "landlock-ruleset",
  ])

  /// The word for it on the command line: `char`, `eventfd`, `anon:NAME` for an anonymous inode that has
  /// no word of its own.
  public var word: String {
    if case .anonymous(let name) = self {
      return Self.known.contains(name) ? "\(name)" : "anon:\(name)"
    }
    return Self.words.first { $0.kind == self }!.word
  }

  /// The kind for a word; `nil` where there is no such word.
  public init?(word: String) {
    if let found = Self.words.first(where: { $0.word == word }) {
      self = found.kind
    } else if Self.known.contains(KernelString(word)) {
      self = .anonymous(KernelString(word))
    } else if word.hasPrefix("anon:"), word.utf8.count > 5 {
      self = .anonymous(KernelString(String(word.dropFirst(5))))
    } else {
      return nil
    }
  }

  /// Whether the container's tree may give it back, where it is reachable there.
  var isFoundByPath: Bool {
    switch self {
    case .regular, .directory, .fifo, .symbolicLink, .namespace: true
    default: false
    }
  }

  /// Whether a restorer of processes makes it again by itself, wherever it came from.
  var isMadeWithProcesses: Bool {
    switch self {
    case .terminal, .tunnel, .socket, .memoryFile: true
    case .anonymous(let name): Self.remade.contains(name)
    default: false
    }
  }
}
