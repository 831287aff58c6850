/// Bonds (`linux/if_link.h`, `linux/if_bonding.h`): what is taken depends on the mode, and some of it on the
/// ports that are there.
enum Bond {
  static let kind = "bond"

  /// `IFLA_BOND_…`.
  enum Parameter {
    static let mode: UInt16 = 1
    static let activePort: UInt16 = 2
    static let updelay: UInt16 = 4
    static let downdelay: UInt16 = 5
    static let arpInterval: UInt16 = 7
    static let arpTargets: UInt16 = 8
    static let arpValidate: UInt16 = 9
    static let arpAllTargets: UInt16 = 10
    static let primary: UInt16 = 11
    static let primaryReselect: UInt16 = 12
    static let failOverAddress: UInt16 = 13
    static let hashPolicy: UInt16 = 14
    static let packetsPerPort: UInt16 = 20
    static let lacpRate: UInt16 = 21
    static let aggregatorSelect: UInt16 = 22
    static let aggregator: UInt16 = 23
    static let actorPriority: UInt16 = 24
    static let userPortKey: UInt16 = 25
    static let actorSystem: UInt16 = 26
    static let dynamicBalance: UInt16 = 27
    static let peerNotifyDelay: UInt16 = 28
    static let lacpActive: UInt16 = 29
    static let missedMax: UInt16 = 30
    static let neighbourTargets: UInt16 = 31
    static let coupledControl: UInt16 = 32
    static let broadcastNeighbour: UInt16 = 33
    static let lacpStrict: UInt16 = 34
  }

  /// `IFLA_BOND_SLAVE_…`.
  enum Port {
    static let permanentAddress: UInt16 = 4
    static let queue: UInt16 = 5
    static let priority: UInt16 = 9
    static let actorPriority: UInt16 = 10
    static let names = [
      "state", "mii-status", "link-failure-count", "perm-hwaddr", "queue-id", "ad-aggregator-id",
      "ad-actor-oper-port-state", "ad-partner-oper-port-state", "prio", "actor-port-prio",
    ]
  }

  /// `BOND_MODE_…`: balance-rr, active-backup, balance-xor, broadcast, 802.3ad, balance-tlb, balance-alb.
  private static let lacp: Set<UInt8> = [4]
  private static let oneActive: Set<UInt8> = [1, 5, 6]
  private static let watchesByARP: Set<UInt8> = [0, 1, 2, 3]

  /// The modes in which a parameter is taken at all (and has an effect), where it is not each.
  static let modes: [UInt16: Set<UInt8>] = [
    Parameter.arpInterval: watchesByARP, Parameter.arpValidate: watchesByARP,
    Parameter.missedMax: watchesByARP,
    Parameter.primary: oneActive, Parameter.primaryReselect: oneActive,
    Parameter.packetsPerPort: [0], Parameter.dynamicBalance: [5, 6],
    Parameter.lacpRate: lacp, Parameter.actorPriority: lacp, Parameter.userPortKey: lacp,
    Parameter.actorSystem: lacp, Parameter.lacpActive: lacp, Parameter.coupledControl: lacp,
    Parameter.broadcastNeighbour: lacp, Parameter.lacpStrict: lacp,
  ]
  private static let modesOfPorts: [UInt16: Set<UInt8>] = [
    Port.priority: oneActive, Port.actorPriority: lacp,
  ]

  /// The settings of a port, as they are given to a bond in its mode.
  static func settings(
    ofPort data: [NetlinkAttribute], in bond: NetlinkAttributes?
  ) -> [NetlinkAttribute] {
    guard let mode = bond?[Parameter.mode]?.u8 else { return data }
    return data.filter { modesOfPorts[$0.type]?.contains(mode) ?? true }
  }

  static let link = LinkKind(
    kind,
    """
    mode active-port miimon updelay downdelay use-carrier arp-interval arp-ip-target arp-validate \
    arp-all-targets primary primary-reselect fail-over-mac xmit-hash-policy resend-igmp \
    num-peer-notif all-ports-active min-links lp-interval packets-per-port lacp-rate ad-select \
    ad-info ad-actor-sys-prio ad-user-port-key ad-actor-system tlb-dynamic-lb peer-notif-delay \
    lacp-active missed-max ns-ip6-target coupled-control broadcast-neighbour lacp-strict
    """,
    readOnly: [Parameter.activePort, Parameter.aggregator],
    // A delay, even none, wants the link to be watched; an interval of none is refused beside miimon.
    unlessZero: [
      Parameter.updelay, Parameter.downdelay, Parameter.arpInterval, Parameter.arpValidate,
      Parameter.arpAllTargets, Parameter.failOverAddress, Parameter.hashPolicy,
      Parameter.aggregatorSelect, Parameter.userPortKey, Parameter.actorSystem,
      Parameter.peerNotifyDelay,
    ],
    modes: modes, ports: [Parameter.primary],
    toldIfSet: [Parameter.primary, Parameter.arpTargets, Parameter.neighbourTargets])
}
