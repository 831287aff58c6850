import MountTable

/// The flags of an open file, in the numbers of `open(2)` on this architecture, as
/// `/proc/PID/fdinfo/N` has them; without `O_CLOEXEC`, which is a descriptor's.
public struct OpenFlags: OptionSet, Hashable, Sendable, Codable {
  public let rawValue: UInt32

  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let writeOnly = OpenFlags(rawValue: 1)
  public static let readWrite = OpenFlags(rawValue: 2)
  public static let append = OpenFlags(rawValue: 0o2000)
  public static let nonBlocking = OpenFlags(rawValue: 0o4000)
  public static let signalsInput = OpenFlags(rawValue: 0o20000)
  public static let synchronous = OpenFlags(rawValue: 0o4010000)
  public static let directory = OpenFlags(rawValue: 0o200000)
  public static let direct = OpenFlags(rawValue: 0o40000)
  public static let noAccessTime = OpenFlags(rawValue: 0o1000000)
  public static let closeOnExec = OpenFlags(rawValue: 0o2000000)
  public static let pathOnly = OpenFlags(rawValue: 0o10000000)

  /// Those that `fcntl(F_SETFL)` sets; `O_ASYNC` among them wants an owner, a process.
  public static let settable: OpenFlags = [.append, .nonBlocking, .direct, .noAccessTime]

  /// `O_RDONLY`, `O_WRONLY` or `O_RDWR`.
  public var access: OpenFlags { intersection([.writeOnly, .readWrite]) }

  /// For people: `rdwr`, `append`.
  public var words: [String] {
    var words: [String] = []
    if contains(.pathOnly) {
      words.append("path")
    } else if access.isEmpty {
      words.append("rdonly")
    } else {
      words.append(access == .writeOnly ? "wronly" : "rdwr")
    }
    let others: [(OpenFlags, String)] = [
      (.append, "append"), (.nonBlocking, "nonblock"), (.signalsInput, "async"),
      (.direct, "direct"), (.noAccessTime, "noatime"),
    ]
    return words + others.filter { contains($0.0) }.map(\.1)
  }
}

/// A descriptor of an open file.
public struct HeldDescriptor: Hashable, Sendable {
  /// Whose it is: a place in `FileTable.holders`.
  public var holder: Int
  public var number: Int32
  /// `FD_CLOEXEC`.
  public var closesOnExec: Bool

  public init(holder: Int, number: Int32, closesOnExec: Bool) {
    self.holder = holder
    self.number = number
    self.closesOnExec = closesOnExec
  }
}

/// A process, or a thread with a table of descriptors of its own.
public struct FileHolder: Hashable, Sendable {
  /// As the engine's PID namespace numbers it; 0 where it is not known (of images).
  public var pid: Int32
  /// As the PID namespace of the tree's first process numbers it.
  public var innerPID: Int32

  public init(pid: Int32, innerPID: Int32) {
    self.pid = pid
    self.innerPID = innerPID
  }
}

/// What the kernel says of a unix socket besides what it says of every file (`unix_diag`, `getsockopt`).
public struct UnixSocket: Hashable, Sendable {
  public enum Peer: Hashable, Sendable {
    case none
    /// It has no number: it has not been accepted, or it is gone.
    case unknown
    case socket(UInt32)
  }

  /// `SOCK_STREAM` 1, `SOCK_DGRAM` 2, `SOCK_SEQPACKET` 5.
  public var type: Int32
  public var isListening = false
  public var peer = Peer.none
  /// The address it is bound to: a path, or a name after a zero byte; empty where none.
  public var name: [UInt8] = []
  /// The address of the peer.
  public var peerName: [UInt8] = []
  /// Of one that listens: the sockets that wait to be accepted.
  public var waitingClients: [UInt32] = []
  public var backlog: UInt32 = 0
  public var sendBuffer: UInt32 = 0
  public var receiveBuffer: UInt32 = 0
  /// Microseconds; 0 for none.
  public var sendTimeout: UInt64 = 0
  public var receiveTimeout: UInt64 = 0
  public var passesCredentials = false

  /// Bytes of an address: `sun_path`.
  public static let longestName = 108

  public init(type: Int32) { self.type = type }

  /// For people.
  public var typeWord: String {
    switch type {
    case 1: "stream"
    case 2: "dgram"
    case 5: "seqpacket"
    default: "type \(type)"
    }
  }
}

/// An open file (an open file description): several descriptors may share it.
public struct OpenFile: Hashable, Sendable {
  /// Unique in its table; what plugins know it by.
  public var id: UInt32
  public var kind: OpenFileKind
  /// The link in `/proc/PID/fd`: a path of the mount namespace it is in, or `socket:[N]`.
  public var name: KernelString
  public var inode: UInt64
  /// The mount it was opened on, as `/proc/PID/fdinfo` numbers it.
  public var mount: MountID
  /// `nil` where images do not say.
  public var flags: OpenFlags?
  /// Where it is read and written next, in bytes.
  public var position: UInt64 = 0
  /// What a device file is for.
  public var device: DeviceNumber?
  /// Whether its path in the container's tree leads to it.
  public var isReachable = false
  /// Of a pipe: whether its other end is open, and nobody in the tree has it.
  public var isHalfOutside = false
  public var socket: UnixSocket?
  public var descriptors: [HeldDescriptor] = []

  public init(
    id: UInt32, kind: OpenFileKind, name: KernelString, inode: UInt64, mount: MountID,
    flags: OpenFlags?, device: DeviceNumber? = nil
  ) {
    self.id = id
    self.kind = kind
    self.name = name
    self.inode = inode
    self.mount = mount
    self.flags = flags
    self.device = device
  }

  /// `O_PATH`: a name only.
  public var isPathOnly: Bool { flags?.contains(.pathOnly) ?? false }

  /// Whether `key` tells it apart: all anonymous inodes are one inode.
  public var hasKey: Bool {
    if case .anonymous = kind { false } else { true }
  }

  /// CRIU's name for it, by which mappings find it: `unix[INODE]`, `file[MNTID:INODE]`.
  public var key: KernelString {
    kind == .unixSocket
      ? KernelString("unix[\(inode)]")
      : KernelString(
        "file[\(String(mount.rawValue, radix: 16)):\(String(inode, radix: 16))]")
  }
}

/// The open files of a process tree.
public struct FileTable: Hashable, Sendable {
  /// The first process of the tree first.
  public var holders: [FileHolder]
  public var files: [OpenFile]
  /// Threads with descriptors of their own, which the kernel lets nobody take (before Linux 6.9).
  public var unreadThreads: [Int32] = []

  public init(holders: [FileHolder] = [], files: [OpenFile] = []) {
    self.holders = holders
    self.files = files
  }

  /// A descriptor for people: its number, for one of another process than the first `PID/FD`.
  public func spelling(_ descriptor: HeldDescriptor) -> String {
    guard descriptor.holder > 0, descriptor.holder < holders.count else {
      return "\(descriptor.number)"
    }
    let holder = holders[descriptor.holder]
    return "\(holder.pid > 0 ? holder.pid : holder.innerPID)/\(descriptor.number)"
  }
}
