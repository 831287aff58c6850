/// What is known of a kind of link: its parameters (`IFLA_INFO_DATA`), and which of them only the kernel
/// sets.
public struct LinkKind: Sendable {
  public var name: String
  /// By attribute, from 1; `-` where there is none.
  var parameters: [String]
  /// What the kernel tells and does not take back.
  var readOnly: Set<UInt16> = []
  /// Told as a number and taken as a flag, which has no value.
  var flags: Set<UInt16> = []
  /// The attribute with the index of the link that packets leave by, in the namespace where it was made.
  var link: UInt16?
  /// Taken only if it is not 0: other parameters forbid it even so.
  var unlessZero: Set<UInt16> = []
  /// With indices of links that must be there before, in the same namespace.
  var members: Set<UInt16> = []
  /// Two links are made at once; parameter 1 is the other end (a `struct ifinfomsg` and attributes).
  var isPair = false
  /// The kernel overlooks the MTU that such a link is made with.
  var choosesMTU = false
  /// The link below is looked for in the namespace that the new one is in, and nowhere else.
  var liesOnOwn = false
  /// Taken, and never told: what the user said of them.
  var untold: Set<UInt16> = []
  /// The modes (attribute 1) in which a parameter is taken, where it is not each.
  var modes: [UInt16: Set<UInt8>] = [:]
  /// Those with the index of a port, taken once it is one.
  var ports: Set<UInt16> = []
  /// What the kernel tells only of links that have it: not to tell it is a value too.
  var toldIfSet: Set<UInt16> = []

  init(
    _ name: String, _ parameters: String = "", readOnly: Set<UInt16> = [],
    flags: Set<UInt16> = [], link: UInt16? = nil, unlessZero: Set<UInt16> = [],
    members: Set<UInt16> = [], untold: Set<UInt16> = [], isPair: Bool = false,
    choosesMTU: Bool = false, liesOnOwn: Bool = false,
    modes: [UInt16: Set<UInt8>] = [:], ports: Set<UInt16> = [], toldIfSet: Set<UInt16> = []
  ) {
    self.name = name
    self.parameters = parameters.split(separator: " ").map(String.init)
    self.readOnly = readOnly
    self.flags = flags
    self.link = link
    self.unlessZero = unlessZero
    self.members = members
    self.untold = untold
    self.isPair = isPair
    self.choosesMTU = choosesMTU
    self.liesOnOwn = liesOnOwn
    self.modes = modes
    self.ports = ports
    self.toldIfSet = toldIfSet
  }

  /// Whether a parameter has a meaning beside the others: in its mode.
  func applies(_ type: UInt16, _ data: NetlinkAttributes) -> Bool {
    guard let modes = modes[type], let mode = data[1]?.u8 else { return true }
    return modes.contains(mode)
  }

  /// Those that can be created.
  public static let named: [String: LinkKind] = Dictionary(
    uniqueKeysWithValues: (all + pairs + stacked + overlays).map { ($0.name, $0) })

  /// Links that come with their module, or with the namespace.
  static let fallbackTunnels: [String: String] = [
    "tunl0": "ipip", "gre0": "gre", "gretap0": "gretap", "erspan0": "erspan", "ip_vti0": "vti",
    "sit0": "sit", "ip6tnl0": "ip6tnl", "ip6gre0": "ip6gre", "ip6_vti0": "vti6",
  ]

  private static let macvlan = """
    mode flags macaddr-mode macaddr macaddr-list macaddr-count bc-queue-len bc-queue-len-used bc-cutoff
    """
  private static let ipTunnel = """
    link local remote ttl tos encap-limit flowinfo flags proto pmtudisc 6rd-prefix 6rd-relay-prefix \
    6rd-prefixlen 6rd-relay-prefixlen encap-type encap-flags encap-sport encap-dport collect-metadata \
    fwmark
    """
  static let gre = """
    link iflags oflags ikey okey local remote ttl tos pmtudisc encap-limit flowinfo flags encap-type \
    encap-flags encap-sport encap-dport collect-metadata ignore-df fwmark erspan-index erspan-ver \
    erspan-dir erspan-hwid
    """
  private static let vti = "link ikey okey local remote fwmark"

  private static let all: [LinkKind] = [
    LinkKind("dummy"), LinkKind("ifb"), LinkKind("nlmon"), LinkKind("vcan"),
    LinkKind(
      "bridge",
      """
      forward-delay hello-time max-age ageing-time stp-state priority vlan-filtering vlan-protocol \
      group-fwd-mask root-id bridge-id root-port root-path-cost topology-change \
      topology-change-detected hello-timer tcn-timer topology-change-timer gc-timer group-address flush \
      mcast-router mcast-snooping mcast-query-use-ifaddr mcast-querier mcast-hash-elasticity \
      mcast-hash-max mcast-last-member-count mcast-startup-query-count mcast-last-member-interval \
      mcast-membership-interval mcast-querier-interval mcast-query-interval \
      mcast-query-response-interval mcast-startup-query-interval nf-call-iptables \
      nf-call-ip6tables nf-call-arptables vlan-default-pvid - vlan-stats mcast-stats \
      mcast-igmp-version mcast-mld-version vlan-stats-per-port options mcast-querier-state \
      fdb-learned fdb-max-learned
      """,
      readOnly: [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 47, 48],
      // Kernels without the filter refuse to switch it off.
      unlessZero: [7]),
    LinkKind("macvlan", macvlan, readOnly: [6, 8]),
    LinkKind("macvtap", macvlan, readOnly: [6, 8]),
    LinkKind("ipvlan", "mode flags"), LinkKind("ipvtap", "mode flags"),
    VLAN.link,
    LinkKind(
      "vxlan",
      """
      id group dev local ttl tos learning ageing limit port-range proxy rsc l2miss l3miss port \
      group6 local6 udp-csum udp-zero-csum6-tx udp-zero-csum6-rx remcsum-tx remcsum-rx gbp \
      remcsum-nopartial collect-metadata label gpe ttl-inherit df vnifilter localbypass label-policy \
      reserved-bits mcroute
      """, flags: [28], link: 3,
      // Given at all, these claim bits of the header.
      unlessZero: [21, 22], toldIfSet: [2, 4, 16, 17]),
    LinkKind(
      "tun",
      "owner group type packet-information virtual-header persist multi-queue queues disabled-queues",
      toldIfSet: [1, 2]),
    LinkKind("vrf", "table"),
    // By a family of its own: see Wireguard.
    LinkKind(
      Wireguard.kind, "- - private-key public-key - listen-port fwmark peers"),
    Bond.link,
    LinkKind("sit", ipTunnel, link: 1), LinkKind("ipip", ipTunnel, link: 1),
    LinkKind("ip6tnl", ipTunnel, link: 1),
    LinkKind("gre", gre, link: 1), LinkKind("ip6gre", gre, link: 1),
    // IFLA_GRE_REMOTE: an Ethernet link that leads nowhere is refused, unless it is not said.
    LinkKind("gretap", gre, link: 1, unlessZero: [7]),
    LinkKind("ip6gretap", gre, link: 1, unlessZero: [7]),
    LinkKind("vti", vti, link: 1), LinkKind("vti6", vti, link: 1),
  ]

  /// Names and values of a link's parameters, for people.
  public static func parameters(of link: Link) -> [(name: String, value: String)] {
    let known = link.kind.flatMap { named[$0] }
    return link.kindData.list.compactMap { attribute in
      let place = Int(attribute.type) - 1
      let names = known?.parameters ?? []
      guard place >= 0, !(known?.readOnly.contains(attribute.type) ?? false) else { return nil }
      let name = place < names.count ? names[place] : "attribute-\(attribute.type)"
      guard name != "-" else { return nil }
      if known?.name == Wireguard.kind, Wireguard.secrets.contains(attribute.type) {
        return (name, "(not shown)")
      }
      return (name, value(attribute, name, isForeign: place >= names.count))
    }
  }

  private static func value(
    _ attribute: NetlinkAttribute, _ name: String, isForeign: Bool
  ) -> String {
    let bytes = attribute.payload
    let isAddress = [
      "local", "remote", "group", "local6", "group6", "local-ip", "remote-ip", "discovery-ip",
    ]
    .contains(name)
    switch bytes.count {
    case 0: return "yes"
    case 1: return "\(bytes[0])"
    case 2:
      let isBigEndian = [
        "port", "vlan-protocol", "protocol", "encap-sport", "encap-dport", "relay-port",
        "gateway-port", "ethertype",
      ].contains(name)
      return "\(isBigEndian ? UInt16(bytes[0]) << 8 | UInt16(bytes[1]) : attribute.u16 ?? 0)"
    case 4 where isAddress: return bytes.map { "\($0)" }.joined(separator: ".")
    case 4: return "\(attribute.u32 ?? 0)"
    case 6: return hardwareAddress(bytes)
    case 8 where !isForeign: return "\(attribute.u64 ?? 0)"
    default: return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
  }
}

/// `02:42:ac:11:00:02`.
public func hardwareAddress(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
}
