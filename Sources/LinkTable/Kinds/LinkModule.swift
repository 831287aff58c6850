extension LinkKind {
  /// The module that brings links of this kind where the kernel does not have them built in.
  public static func module(of kind: String) -> String { modules[kind] ?? kind }

  /// Those whose module is not called as the kind.
  private static let modules = [
    "vlan": "8021q", "bond": "bonding", "gre": "ip_gre", "gretap": "ip_gre", "erspan": "ip_gre",
    "ip6gre": "ip6_gre", "ip6gretap": "ip6_gre", "ip6erspan": "ip6_gre", "ip6tnl": "ip6_tunnel",
    "vti": "ip_vti", "vti6": "ip6_vti", "xfrm": "xfrm_interface",
  ]
}
