/// Something that a kernel, the caller's rights or the machine's programs allow, or do not. Where an answer
/// is wanted, it is tried out: see `KernelAbilities`.
public enum KernelFeature: Hashable, Sendable {
  /// `CAP_SYS_ADMIN` over the mount namespace of the caller.
  case mountRights
  /// `CAP_NET_ADMIN` over the network namespace of the caller.
  case networkRights
  /// Device nodes in a file system that was mounted just now (`CAP_MKNOD`, in the first user namespace).
  case deviceNodes
  /// `open_tree`, `fsopen`, `move_mount` (Linux 5.2) and `mount_setattr` (5.12).
  case mountAPI
  /// `MOVE_MOUNT_SET_GROUP`.
  case peerGroups
  /// `listmount` and `statmount` of another namespace, which `NS_GET_MNTNS_ID` names.
  case statmount
  /// `STATMOUNT_MNT_UIDMAP`: how a mount maps IDs.
  case mappingReading
  /// `open_tree_attr`: a clone of a mount without its mapping of IDs.
  case mappingClearing
  /// `MOUNT_ATTR_IDMAP` on a tmpfs.
  case mappedTmpfs
  /// Extended attributes of the family `user` on files of a tmpfs.
  case userAttributes
  /// `kcmp` and `pidfd_getfd`.
  case fileComparison
  /// `PIDFD_THREAD`: descriptors of a thread that shares them with no other.
  case threadDescriptors
  /// `NETLINK_SOCK_DIAG` for unix sockets.
  case unixDiagnosis
  /// A new namespace of the kind.
  case namespace(NamespaceKind)
  /// Links of the kind, in `IFLA_INFO_KIND`'s words.
  case linkKind(String)
  /// Loading rules of a packet filter, by its program.
  case packetFilter(String)

  /// What tells it from others, in `mooring check --json` and in tests.
  public var id: String {
    switch self {
    case .mountRights: "mount-rights"
    case .networkRights: "network-rights"
    case .deviceNodes: "device-nodes"
    case .mountAPI: "mount-api"
    case .peerGroups: "peer-groups"
    case .statmount: "statmount"
    case .mappingReading: "mapping-reading"
    case .mappingClearing: "mapping-clearing"
    case .mappedTmpfs: "mapped-tmpfs"
    case .userAttributes: "user-attributes"
    case .fileComparison: "file-comparison"
    case .threadDescriptors: "thread-descriptors"
    case .unixDiagnosis: "unix-diagnosis"
    case .namespace(let kind): "namespace-\(kind.rawValue)"
    case .linkKind(let kind): "link-\(kind)"
    case .packetFilter(let name): "filter-\(name)"
    }
  }

  /// What a person calls it.
  public var title: String {
    switch self {
    case .mountRights: "CAP_SYS_ADMIN over the mounts here"
    case .networkRights: "CAP_NET_ADMIN over the network here"
    case .deviceNodes: "device nodes in a new tmpfs"
    case .mountAPI: "open_tree, move_mount, fsopen, mount_setattr"
    case .peerGroups: "MOVE_MOUNT_SET_GROUP"
    case .statmount: "listmount, statmount of another namespace"
    case .mappingReading: "STATMOUNT_MNT_UIDMAP"
    case .mappingClearing: "open_tree_attr"
    case .mappedTmpfs: "idmapped mounts of a tmpfs"
    case .userAttributes: "user attributes of files in a tmpfs"
    case .fileComparison: "kcmp, pidfd_getfd"
    case .threadDescriptors: "PIDFD_THREAD"
    case .unixDiagnosis: "NETLINK_SOCK_DIAG for unix sockets"
    case .namespace(let kind): "a \(kind.rawValue) namespace of its own"
    case .linkKind(let kind): "links of the kind \(kind)"
    case .packetFilter(let name): "the program for rules of \(name)"
    }
  }

  /// The version of Linux it came with; empty where it does not depend on that.
  public var since: String {
    switch self {
    case .mountAPI: "5.12"
    case .peerGroups: "5.15"
    case .statmount: "6.11"
    case .mappingReading, .mappingClearing: "6.15"
    case .mappedTmpfs: "6.3"
    case .fileComparison, .namespace(.time): "5.6"
    case .threadDescriptors: "6.9"
    case .userAttributes: "6.6"
    default: ""
    }
  }

  /// What is lost without it.
  public var cost: String {
    switch self {
    case .mountRights:
      "a container can be saved where it is one's own, but nothing can be restored: run as root"
    case .networkRights:
      "links that are tied to the host (a veth, a macvlan on its link) cannot be restored"
    case .deviceNodes: "a tmpfs that holds device nodes cannot be restored"
    case .mountAPI, .namespace(.mount): "nothing can be restored"
    case .peerGroups: "peer groups of several mounts, and slaves, cannot be restored"
    case .statmount: "tables that change while they are read are noticed later"
    case .mappingReading: "idmapped mounts cannot be saved"
    case .mappingClearing: "a tmpfs that only an idmapped mount shows cannot be saved"
    case .mappedTmpfs: "idmapped mounts of a tmpfs cannot be restored"
    case .userAttributes:
      "contents with extended attributes of the family user cannot be restored whole"
    case .fileComparison: "open files cannot be looked at and saved"
    case .threadDescriptors: "open files of threads that have their own cannot be saved"
    case .unixDiagnosis:
      "open files cannot be looked at and saved where unix sockets are among them"
    case .namespace(let kind):
      "containers with a \(kind.rawValue) namespace of their own cannot be restored"
    case .linkKind(let kind): "containers with links of the kind \(kind) cannot be restored"
    case .packetFilter(let name): "networks with rules of \(name) can be neither saved nor restored"
    }
  }

  /// Whether no restore is possible without it.
  public var isRequired: Bool {
    switch self {
    case .mountRights, .mountAPI, .namespace(.mount): true
    default: false
    }
  }

  /// All but the kinds of links.
  public static let common: [KernelFeature] =
    [
      .mountRights, .networkRights, .deviceNodes, .mountAPI, .peerGroups, .mappedTmpfs,
      .userAttributes,
    ]
    + [
      .statmount, .mappingReading, .mappingClearing, .fileComparison, .threadDescriptors,
      .unixDiagnosis,
    ]
    + NamespaceKind.allCases.map { .namespace($0) }
    + ["nftables", "iptables", "ip6tables"].map { .packetFilter($0) }
}
