import RestorePlan

/// The settings of neighbour tables (`RTM_NEWNEIGHTBL`), as far as they tell which links have their own.
public enum NeighbourSettings {
  /// `NDTA_NAME`, `NDTA_PARMS`; `NDTPA_IFINDEX`, and what changes by itself: the number of users, the time
  /// that is drawn anew, padding.
  private static let name: UInt16 = 1
  private static let parameters: UInt16 = 6
  private static let index: UInt16 = 1
  private static let unstable: Set<UInt16> = [1, 2, 3, 15]
  private static let families = ["arp_cache": "ipv4", "ndisc_cache": "ipv6"]

  /// The folders below `/proc/sys/net` of links whose settings are not those of the table.
  public static func folders(_ tables: [NetlinkRecord], _ links: [Link]) -> [[UInt8]] {
    let names = Dictionary(
      links.map { ($0.index, $0.name) }, uniquingKeysWith: { first, _ in first })
    var usual: [String: [NetlinkAttribute]] = [:]
    var folders: [[UInt8]] = []
    for record in tables {
      guard let table = record.attributes[name].map({ String(decoding: $0.text, as: UTF8.self) }),
        let family = families[table],
        let values = try? record.attributes[parameters]?.attributes()
      else { continue }
      let stable = values.list.filter { !unstable.contains($0.type) }
      guard let link = values[index]?.i32, link != 0 else {
        usual[table] = stable
        continue
      }
      if let name = names[link], let common = usual[table], common != stable {
        folders.append(Array("\(family)/neigh/".utf8) + name)
      }
    }
    return folders
  }
}

/// The settings of single links below `/proc/sys/net/ipv4/conf` and `ipv6/conf`, as `IFLA_AF_SPEC` lists
/// them: a message for ten thousand links says what would take a million files.
enum LinkSettings {
  private struct Setting {
    var name: String
    /// What the message counts in milliseconds and the file in seconds.
    var divisor: Int32 = 1
  }

  /// By position; `-` cannot be written, or is said elsewhere.
  private static let names4 = settings(
    """
    forwarding - proxy_arp accept_redirects secure_redirects send_redirects shared_media rp_filter \
    accept_source_route bootp_relay log_martians tag arp_filter medium_id disable_xfrm \
    disable_policy force_igmp_version arp_announce arp_ignore promote_secondaries arp_accept \
    arp_notify accept_local src_valid_mark proxy_arp_pvlan route_localnet \
    igmpv2_unsolicited_report_interval igmpv3_unsolicited_report_interval \
    ignore_routes_with_linkdown drop_unicast_in_l2_multicast drop_gratuitous_arp bc_forwarding \
    arp_evict_nocarrier
    """)

  private static let names6 = settings(
    """
    forwarding hop_limit mtu accept_ra accept_redirects autoconf dad_transmits \
    router_solicitations router_solicitation_interval:1000 router_solicitation_delay:1000 \
    use_tempaddr temp_valid_lft temp_prefered_lft regen_max_retry max_desync_factor max_addresses \
    force_mld_version accept_ra_defrtr accept_ra_pinfo accept_ra_rtr_pref \
    router_probe_interval:1000 accept_ra_rt_info_max_plen proxy_ndp optimistic_dad \
    accept_source_route - disable_ipv6 accept_dad force_tllao ndisc_notify \
    mldv1_unsolicited_report_interval mldv2_unsolicited_report_interval suppress_frag_ndisc \
    accept_ra_from_local use_optimistic accept_ra_mtu - use_oif_addrs_only \
    accept_ra_min_hop_limit ignore_routes_with_linkdown drop_unicast_in_l2_multicast \
    drop_unsolicited_na keep_addr_on_down router_solicitation_max_interval:1000 seg6_enabled \
    seg6_require_hmac enhanced_dad - disable_policy accept_ra_rt_info_min_plen ndisc_tclass \
    rpl_seg_enabled ra_defrtr_metric ioam6_enabled ioam6_id - ndisc_evict_nocarrier \
    accept_untracked_na accept_ra_min_lft force_forwarding
    """)

  private static func settings(_ text: String) -> [Setting] {
    text.split(separator: " ").map { word in
      let parts = word.split(separator: ":")
      return Setting(
        name: String(parts[0]), divisor: parts.count > 1 ? Int32(parts[1]) ?? 1 : 1)
    }
  }

  typealias Value = (path: String, value: Int32)

  /// Of a link, by their names; of both families, forwarding first: the kernel changes others with it.
  static func values(of link: Link) -> (ipv4: [Value], ipv6: [Value]) {
    (
      values(link.family4?[1], names4), values(link.family6?[2], names6)
    )
  }

  private static func values(_ attribute: NetlinkAttribute?, _ names: [Setting]) -> [Value] {
    guard let bytes = attribute?.payload else { return [] }
    return zip(names, stride(from: 0, to: bytes.count - 3, by: 4)).compactMap { setting, place in
      guard setting.name != "-" else { return nil }
      return (setting.name, Int32(nativeBytes: bytes[place..<place + 4]) / setting.divisor)
    }
  }

  /// Those of a link that differ from what a new one would have, ready to be written.
  ///
  /// - Parameters:
  ///   - others: what images say by path (`NetworkTable.sysctls` by folder and name).
  ///   - leftOut: what nobody expects.
  static func different(
    _ link: Link, _ others: [[UInt8]: [[UInt8]: Sysctl]], _ leftOut: LeaveOut
  ) -> [Sysctl] {
    let known = values(of: link)
    var settings: [Sysctl] = []
    for (family, values) in [("ipv4", known.ipv4), ("ipv6", known.ipv6)] {
      let folder = Array("\(family)/conf/".utf8) + link.name
      let defaults = others[Array("\(family)/conf/default".utf8)] ?? [:]
      for (name, value) in values {
        let text = Array(String(value).utf8)
        if let usual = defaults[Array(name.utf8)], usual.value == text {
          // The links that the kernel makes are there before their defaults are changed.
          if !link.isLoopback && !link.isFallbackTunnel || usual.origin == .kernel { continue }
        }
        // The kernel's own, for kinds that cannot have it.
        if value == -1, name == "accept_dad" || name == "use_tempaddr" { continue }
        // A link's own MTU is the limit of this one, and what it is at first.
        if name == "mtu", link.mtu == UInt32(bitPattern: value) { continue }
        let setting = Sysctl(
          path: folder + [0x2F] + Array(name.utf8), value: text, origin: .changed)
        if !leftOut.isEmpty, leftOut.contains(.sysctl, setting.name) { continue }
        settings.append(setting)
      }
    }
    return settings
  }
}
