/// Kinds that lie on links and change what these carry.
extension LinkKind {
  static let stacked: [LinkKind] = [
    // IFLA_HSR_…: on two links, and since 6.11 with a third that leads to a ring.
    LinkKind(
      HighAvailability.kind,
      "slave1 slave2 multicast-spec supervision-addr seq-nr version protocol interlink",
      readOnly: [5], members: [1, 2, 8],
      untold: [HighAvailability.version], choosesMTU: true),
    // IFLA_MACSEC_…; the rest by a family of its own: see Macsec.
    LinkKind(
      Macsec.kind,
      """
      sci port icv-len cipher-suite window encoding-sa encrypt protect inc-sci es scb \
      replay-protect validation - offload
      """, readOnly: [14, Macsec.saved], liesOnOwn: true),
  ]
}

/// What the kernel does not tell of links of the kind `hsr`.
enum HighAvailability {
  static let kind = "hsr"
  static let multicastSpecification: UInt16 = 3
  static let supervisionAddress: UInt16 = 4
  static let version: UInt16 = 6
  private static let networkProtocol: UInt16 = 7
  /// `HSR_PROTOCOL_PRP`.
  private static let redundancy: UInt8 = 1

  /// Whether frames are those of version 0 or of version 1 is nowhere to be read; with PRP there is one.
  static func lacksVersion(_ link: Link) -> Bool {
    link.kind == kind && link.kindData[version] == nil
      && link.kindData[networkProtocol]?.u8 != redundancy
  }

  /// As a new link is given them: the last byte of the supervision address is what can be chosen.
  static func parameters(_ told: [NetlinkAttribute]) -> [NetlinkAttribute] {
    told.map { attribute in
      guard attribute.type == supervisionAddress, let last = attribute.payload.last else {
        return attribute
      }
      return NetlinkAttribute(multicastSpecification, last)
    }
  }
}
