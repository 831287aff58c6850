import LinkTable
import MountTable

/// The kinds of image files that are read and written here, with their magic numbers.
enum ImageKind: Sendable {
  case inventory, processes, ids, mounts, userNamespace, hostNames, timeNamespace
  case network, networkDevices
  case files, descriptors

  /// The number that says what kind of image a file is.
  var magic: UInt32 {
    switch self {
    case .inventory: 0x5831_3116
    case .processes: 0x5027_3030
    case .ids: 0x5443_2030
    case .mounts: 0x5556_3928
    case .userNamespace: 0x5547_4906
    case .hostNames: 0x5447_3203
    case .timeNamespace: 0x4311_4433
    case .network: 0x5593_3752
    case .networkDevices: 0x5737_3951
    case .files: 0x5630_3138
    case .descriptors: 0x5621_3732
    }
  }

  /// Options may fill a page or more each, and nothing is longer; but a network has one entry for all
  /// the settings, neighbours and queues of its links.
  var mostEntryBytes: UInt32 {
    self == .network ? UInt32(ImageFraming.mostBytes) : 1 << 20
  }

  /// The number that stands before it in all images but the inventory.
  static let commonMagic: UInt32 = 0x5456_4319

  var hasCommonMagic: Bool { self != .inventory }
}

/// The names of the files in a directory of images.
enum ImageName {
  static let inventory = "inventory.img"
  static let processes = "pstree.img"
  static func ids(of pid: UInt32) -> String { "ids-\(pid).img" }
  static func mounts(_ namespace: UInt32) -> String { "mountpoints-\(namespace).img" }
  static func userNamespace(_ namespace: UInt32) -> String { "userns-\(namespace).img" }
  static func hostNames(_ namespace: UInt32) -> String { "utsns-\(namespace).img" }
  static func timeNamespace(_ namespace: UInt32) -> String { "timens-\(namespace).img" }
  static func network(_ namespace: UInt32) -> String { "netns-\(namespace).img" }
  static func networkDevices(_ namespace: UInt32) -> String { "netdev-\(namespace).img" }
  static func addresses(_ namespace: UInt32) -> String { "ifaddr-\(namespace).img" }
  static func routes(_ namespace: UInt32) -> String { "route-\(namespace).img" }
  static func routes6(_ namespace: UInt32) -> String { "route6-\(namespace).img" }
  static func rules(_ namespace: UInt32) -> String { "rule-\(namespace).img" }
  static func packetFilter(_ filter: PacketFilter, _ namespace: UInt32) -> String {
    "\(filter.rawValue)-\(namespace).img"
  }
  static let files = "files.img"
  static func descriptors(_ table: UInt32) -> String { "fdinfo-\(table).img" }
  static func contents(of device: DeviceNumber) -> String {
    "tmpfs-dev-\(device.packed).tar.gz.img"
  }
  /// What a mount shows that has been unlinked.
  static func unlinked(_ mount: MountID) -> String { "unlinked-mnt-\(mount).tar.gz.img" }

  /// The number in a name like `mountpoints-10.img`, where it has this form.
  static func number(in name: String, prefix: String, suffix: String = ".img") -> UInt32? {
    guard name.hasPrefix(prefix), name.hasSuffix(suffix),
      name.utf8.count > prefix.utf8.count + suffix.utf8.count
    else { return nil }
    let digits = name.dropFirst(prefix.count).dropLast(suffix.count)
    guard let number = UInt32(digits), String(number) == digits else { return nil }
    return number
  }

  /// Whether a file of this name is part of an image set, this engine's or CRIU's, and may be
  /// replaced by another set. Files with other names belong to somebody else.
  static func isPartOfSet(_ name: String) -> Bool {
    if fixedNames.contains(name) { return true }
    for prefix in ["tmpfs-dev-", "unlinked-mnt-"]
    where number(in: name, prefix: prefix, suffix: ".tar.gz.img") != nil {
      return true
    }
    guard name.hasSuffix(".img"), let dash = name.lastIndex(of: "-") else { return false }
    let prefix = String(name[...dash])
    return numberedNames.contains(String(prefix.dropLast()))
      && number(in: name, prefix: prefix) != nil
  }

  private static let fixedNames: Set = [
    "inventory.img", "pstree.img", "files.img", "ns-files.img", "reg-files.img", "ext-files.img",
    "unixsk.img", "tunfile.img", "netlinksk.img", "packetsk.img", "inetsk.img", "fs-1.img",
    "cgroup.img", "binfmt-misc.img", "seccomp.img", "tty-info.img", "tty-data.img",
    "pipes.img", "pipes-data.img", "fifo.img", "fifo-data.img", "sk-queues.img", "eventfd.img",
    "eventpoll.img", "remap-fpath.img", "filelocks.img", "apparmor.img", "timens-0.img",
    "cpuinfo.img", "stats-dump", "stats-restore",
  ]

  private static let numberedNames: Set = [
    "ids", "mountpoints", "userns", "utsns", "timens", "pidns", "netdev", "netns", "ifaddr",
    "route", "route6", "rule", "iptables", "ip6tables", "nftables", "fdinfo", "core", "mm",
    "pagemap", "pages", "fs", "creds", "sigacts", "itimers", "rlimit", "ipcns-var", "ipcns-shm",
    "ipcns-msg", "ipcns-sem", "autofs", "binfmt-misc", "ghost-file", "tmpfs", "vmas", "signal-s",
    "signal-p", "timens", "memfd", "pagemap-shmem", "posix-timers", "cgroup-fds",
  ]
}
