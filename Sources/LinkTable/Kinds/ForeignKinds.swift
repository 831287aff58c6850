/// Kinds that Linux has and that no message of `RTM_NEWLINK` makes as they were: who makes them.
enum ForeignKinds {
  /// By `IFLA_INFO_KIND`.
  private static let makers: [String: String] = [
    "openvswitch": "Open vSwitch (ovs-vsctl), whose data base knows its ports and flows",
    "team": "teamd, which sets its mode and watches its ports",
    "gtp": "the program that holds its sockets (osmo-ggsn, free5gc and their like)",
    "ppp": "the program that talks to its peer (pppd, xl2tpd, accel-ppp)",
    "l2tpeth": "the program that holds its session (ip l2tp, xl2tpd)",
    "ovpn": "the program that holds its keys and peers (openvpn)",
    "wwan": "the driver of a modem (ModemManager)",
    "rmnet": "the driver of a modem (ModemManager, rmnetcli)",
    "batadv": "batctl, on links that a mesh is made of",
    "hdlc": "its driver and sethdlc",
    "lowpan": "the driver of a radio (ip link add link wpan0 type lowpan)",
    "wpan": "the driver of a radio (iwpan)",
    "ipoib": "the driver of InfiniBand",
    "dsa": "the driver of a switch",
    "can": "the driver of a CAN controller",
    "slcan": "the program that holds its serial line (slcand)",
    "virt_wifi": "ip link, on wireless hardware",
    "netdevsim": "a write into /sys/bus/netdevsim",
    "nfp": "the driver of hardware",
  ]

  /// What a finding says of a link that the engine cannot make.
  static func sentence(_ link: Link) -> String {
    guard let kind = link.kind, !kind.isEmpty else {
      return "has no kind: it is hardware, or was made in another way (ARPHRD type \(link.type))"
    }
    if let maker = makers[kind] {
      return
        "has the kind \(kind) (ARPHRD type \(link.type)), which only its own program can make: \(maker)"
    }
    return
      "has a kind that is not known here (\(kind), ARPHRD type \(link.type)): what it consists of "
      + "cannot be told"
  }

  /// How such a link comes back.
  static func cures(_ link: Link) -> [String] {
    [
      "a plugin that answers for it in DUMP_EXT_LINK: -L DIR",
      "--external 'link[\(link.displayName)]:KEY', and at restore a setup-namespaces script that brings "
        + "a link of this name: --action-script PATH",
    ]
  }
}
