/// What one network namespace holds: facts, read once. No value holds a descriptor.
public struct NetworkTable: Hashable, Sendable {
  /// In the order the kernel gives them: by index.
  public var links: [Link] = []
  /// `RTM_NEWADDR`, both families.
  public var addresses: [NetlinkRecord] = []
  /// `RTM_NEWROUTE` of all tables, both families; those that the kernel clones or makes of router
  /// advertisements are among them.
  public var routes: [NetlinkRecord] = []
  /// `RTM_NEWRULE`, both families.
  public var rules: [NetlinkRecord] = []
  /// `RTM_NEWNEXTHOP`.
  public var nextHops: [NetlinkRecord] = []
  /// `RTM_NEWNEIGH` that stay: permanent and proxy entries of both families.
  public var neighbours: [NetlinkRecord] = []
  /// `RTM_NEWNEIGH` of `AF_BRIDGE`: the forwarding data bases of bridges and vxlans.
  public var forwarding: [NetlinkRecord] = []
  /// `RTM_NEWMDB`, one message a bridge.
  public var multicast: [NetlinkRecord] = []
  /// `RTM_NEWLINK` of `AF_BRIDGE` with `RTEXT_FILTER_BRVLAN`: the VLANs of bridges and their ports.
  public var vlans: [NetlinkRecord] = []
  /// `RTM_NEWQDISC`.
  public var queueing: [NetlinkRecord] = []
  /// Files below `/proc/sys/net` by their path there (`ipv4/conf/default/forwarding`), with what they
  /// say, without the newline.
  public var sysctls: [Sysctl] = []
  public var namespaceIDs: [NamespaceID] = []
  /// What `iptables-save`, `ip6tables-save` and `nft list ruleset` wrote; `nil` where the tool is missing.
  public var packetFilters: [PacketFilter: [UInt8]] = [:]

  public init() {}

  /// Whether there is nothing in it but what the kernel puts into every network: nobody's work can be
  /// undone here.
  public var isPristine: Bool {
    let kernel: UInt8 = 2  // RTPROT_KERNEL, as routes and rules have it
    return links.allSatisfy { $0.isLoopback || $0.isFallbackTunnel } && nextHops.isEmpty
      && neighbours.isEmpty && routes.allSatisfy { $0.header[5] == kernel }
      && rules.allSatisfy { $0.attributes[21]?.u8 == kernel }
  }

  public func link(named name: [UInt8]) -> Link? { links.first { $0.name == name } }
}

/// One setting below `/proc/sys/net`.
public struct Sysctl: Hashable, Sendable {
  /// Who chose the value, as far as a dump can tell: by the values that a new network had then and there.
  public enum Origin: Hashable, Sendable {
    /// Nobody has looked, as in images of CRIU.
    case unknown
    /// The value is that of a new network: of the kernel's choice, or of the host's.
    case kernel
    /// Somebody changed it.
    case changed
  }

  public var path: [UInt8]
  public var value: [UInt8]
  public var origin: Origin

  public init(path: [UInt8], value: [UInt8], origin: Origin = .unknown) {
    self.path = path
    self.value = value
    self.origin = origin
  }

  /// As `--leave-out` and messages name it: `net/ipv4/ip_forward`.
  public var name: String { "net/" + String(decoding: path, as: UTF8.self) }
}

/// How one network namespace calls another (`RTM_NEWNSID`).
public struct NamespaceID: Hashable, Sendable {
  public var id: Int32
  /// The namespace that is meant: its inode.
  public var inode: UInt64

  public init(id: Int32, inode: UInt64) {
    self.id = id
    self.inode = inode
  }
}

public enum PacketFilter: String, Hashable, Sendable, CaseIterable {
  case iptables, ip6tables, nftables
}
