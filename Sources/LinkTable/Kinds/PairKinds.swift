/// Kinds of which two links are made at once, each the other's end.
extension LinkKind {
  /// Parameter 1 is a whole message for the other end, which could say in what namespace that is to be. The
  /// kernel never tells it, so that an image that has one was made by hand: it is put together anew.
  private static let peer: UInt16 = 1

  static let pairs: [LinkKind] = [
    LinkKind("veth", readOnly: [peer], isPair: true),
    LinkKind("vxcan", readOnly: [peer], isPair: true),
    // IFLA_NETKIT_…
    LinkKind(
      Netkit.kind,
      "- primary policy peer-policy mode scrub peer-scrub headroom tailroom pairing",
      readOnly: [peer, Netkit.primary], isPair: true),
  ]
}

extension Link {
  /// Whether it has another end, which is made and which goes with it.
  public var isPair: Bool {
    guard let kind, LinkKind.named[kind]?.isPair ?? false else { return false }
    return !Netkit.isSingle(self)
  }
}

/// What is special about a pair of netkit links: they are not equal. The first is made with the parameters
/// of both, and only it takes changes of them.
enum Netkit {
  static let kind = "netkit"
  static let primary: UInt16 = 2
  /// Each beside that of the other end: policies, and whether marks are scrubbed.
  private static let mirrored: [UInt16: UInt16] = [3: 4, 4: 3, 6: 7, 7: 6]

  /// `NETKIT_DEVICE_SINGLE`: it has no other end.
  static func isSingle(_ link: Link) -> Bool {
    link.kind == kind && link.kindData[10]?.u32 == 1
  }

  /// The end that came second.
  static func isSecondary(_ link: Link) -> Bool {
    link.kind == kind && link.kindData[primary]?.u8 == 0
  }

  /// Without an address of the link layer (`NETKIT_L3`).
  static func isBare(_ link: Link) -> Bool {
    link.kind == kind && link.kindData[5]?.u32 == 1
  }

  /// Parameters of one end as the other end tells them.
  static func mirrored(_ parameters: [NetlinkAttribute]) -> [NetlinkAttribute] {
    parameters.map { NetlinkAttribute(mirrored[$0.type] ?? $0.type, $0.payload) }
  }
}
