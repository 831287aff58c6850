/// Tunnels that carry more than an address: sessions, network identifiers, keys of transformations.
extension LinkKind {
  /// Given at all, the kernel takes it for an address.
  private static let greRemote: UInt16 = 7

  static let overlays: [LinkKind] = [
    LinkKind("erspan", gre, link: 1, unlessZero: [greRemote]),
    LinkKind("ip6erspan", gre, link: 1, unlessZero: [greRemote]),
    // IFLA_GENEVE_…
    LinkKind(
      "geneve",
      """
      id remote ttl tos port collect-metadata remote6 udp-csum udp-zero-csum6-tx udp-zero-csum6-rx \
      label ttl-inherit df inner-proto-inherit port-range gro-hint
      """,
      // Beside it, whatever it says, the kernel overlooks the ttl.
      unlessZero: [12]),
    // IFLA_XFRM_…
    LinkKind("xfrm", "link if-id collect-metadata", link: 1),
    // IFLA_AMT_…: a gateway learns the address of its relay.
    LinkKind(
      "amt",
      "mode relay-port gateway-port link local-ip remote-ip discovery-ip max-tunnels",
      readOnly: [6], link: 4, choosesMTU: true),
    // IFLA_BAREUDP_…
    LinkKind("bareudp", "port ethertype srcport-min multiproto-mode"),
  ]
}
