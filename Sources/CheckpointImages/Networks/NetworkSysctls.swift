import FoundationEssentials
import LinkTable

/// The settings that CRIU keeps by their position in a list, not by name.
///
/// The lists are those of CRIU's program; a set of CRIU 4.2 agrees with them in length, and in every value
/// that is not zero. Lists that are shorter have the beginning; what goes beyond is not known.
enum NetworkSysctls {
  static let conf4: [[UInt8]] = names(
    """
    accept_local accept_redirects accept_source_route arp_accept arp_announce arp_filter arp_ignore \
    arp_notify bootp_relay disable_policy disable_xfrm force_igmp_version forwarding \
    igmpv2_unsolicited_report_interval igmpv3_unsolicited_report_interval log_martians medium_id \
    promote_secondaries proxy_arp proxy_arp_pvlan route_localnet rp_filter secure_redirects \
    send_redirects shared_media src_valid_mark tag ignore_routes_with_linkdown drop_gratuitous_arp \
    drop_unicast_in_l2_multicast
    """)

  static let conf6: [[UInt8]] = names(
    """
    accept_dad accept_ra accept_ra_defrtr accept_ra_from_local accept_ra_min_hop_limit \
    accept_ra_mtu accept_ra_pinfo accept_ra_rt_info_max_plen accept_ra_rtr_pref accept_redirects \
    accept_source_route autoconf dad_transmits disable_ipv6 drop_unicast_in_l2_multicast \
    drop_unsolicited_na force_mld_version force_tllao forwarding hop_limit \
    ignore_routes_with_linkdown keep_addr_on_down max_addresses max_desync_factor \
    mldv1_unsolicited_report_interval mldv2_unsolicited_report_interval mtu ndisc_notify \
    optimistic_dad proxy_ndp regen_max_retry router_probe_interval router_solicitation_delay \
    router_solicitation_interval router_solicitations stable_secret suppress_frag_ndisc \
    temp_prefered_lft temp_valid_lft use_oif_addrs_only use_optimistic use_tempaddr
    """)

  static let unix: [[UInt8]] = names("max_dgram_qlen")

  private static let forwarding = Array("forwarding".utf8)
  private static let textual: Set = [Array("stable_secret".utf8)]
  private static let textType: UInt32 = 5
  private static let numberType: UInt32 = 6

  private static func names(_ text: String) -> [[UInt8]] {
    text.split(separator: " ").map { Array($0.utf8) }
  }

  /// What a list says, by path below `/proc/sys/net`. Forwarding comes first: the kernel changes others
  /// with it.
  static func named(
    _ entries: [ImageSysctlEntry], _ names: [[UInt8]], below path: [UInt8]
  ) -> [Sysctl] {
    var found: [Sysctl] = []
    for (name, entry) in zip(names, entries) {
      guard let value = value(of: entry) else { continue }
      let sysctl = Sysctl(path: path + [0x2F] + name, value: value)
      if name == forwarding { found.insert(sysctl, at: 0) } else { found.append(sysctl) }
    }
    return found
  }

  private static func value(of entry: ImageSysctlEntry) -> [UInt8]? {
    switch entry.type {
    case numberType: entry.hasIarg ? Array("\(entry.iarg)".utf8) : nil
    case textType: entry.hasSarg ? Array(entry.sarg) : nil
    default: nil
    }
  }

  /// Settings of one folder, `ipv4/conf/lo` for example, each at the position of its name.
  typealias Folder = [Int: [UInt8]]

  /// Those settings that CRIU has a place for, by folder.
  static func folders(_ sysctls: [Sysctl]) -> [[UInt8]: Folder] {
    var folders: [[UInt8]: Folder] = [:]
    for sysctl in sysctls {
      guard let slash = sysctl.path.lastIndex(of: 0x2F),
        let places = places(below: sysctl.path[..<slash]),
        let place = places[Array(sysctl.path[(slash + 1)...])]
      else { continue }
      folders[Array(sysctl.path[..<slash]), default: [:]][place] = sysctl.value
    }
    return folders
  }

  private static func places(below folder: ArraySlice<UInt8>) -> [[UInt8]: Int]? {
    if folder.starts(with: "ipv4/conf/".utf8) { return places4 }
    if folder.starts(with: "ipv6/conf/".utf8) { return places6 }
    return folder.elementsEqual("unix".utf8) ? unixPlaces : nil
  }

  private static let places4 = places(of: conf4)
  private static let places6 = places(of: conf6)
  private static let unixPlaces = places(of: unix)

  private static func places(of names: [[UInt8]]) -> [[UInt8]: Int] {
    Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
  }

  /// A list for CRIU; what is not known has no value in it. Empty where nothing is known.
  static func entries(_ folder: Folder?, _ names: [[UInt8]]) -> [ImageSysctlEntry] {
    guard let folder else { return [] }
    return names.enumerated().map { place, name in
      var entry = ImageSysctlEntry()
      let value = folder[place]
      if textual.contains(name) {
        entry.type = textType
        if let value, !value.isEmpty { entry.sarg = Data(value) }
      } else {
        entry.type = numberType
        if let number = value.flatMap({ Int32(String(decoding: $0, as: UTF8.self)) }) {
          entry.iarg = number
        }
      }
      return entry
    }
  }
}
