/// The configuration of a wireguard link, which is not in `IFLA_INFO_DATA`: the generic netlink family
/// `wireguard` tells it (`linux/wireguard.h`). A saved link has it in the place of the parameters of its
/// kind, as `WGDEVICE_A_…`.
public enum Wireguard {
  public static let kind = "wireguard"
  /// Parameters that are keys, or hold some: the private key, and the peers with their preshared ones. They
  /// stand in images alone, never in what is shown.
  static let secrets: Set<UInt16> = [3, 8]
  public static let getDevice: UInt8 = 0
  public static let setDevice: UInt8 = 1

  private enum Device {
    static let index: UInt16 = 1
    static let name: UInt16 = 2
    static let privateKey: UInt16 = 3
    static let publicKey: UInt16 = 4
    static let flags: UInt16 = 5
    static let listenPort: UInt16 = 6
    static let mark: UInt16 = 7
    static let peers: UInt16 = 8
    /// `WGDEVICE_F_REPLACE_PEERS`.
    static let replacePeers: UInt32 = 1
  }

  private enum Peer {
    static let publicKey: UInt16 = 1
    static let presharedKey: UInt16 = 2
    static let flags: UInt16 = 3
    static let endpoint: UInt16 = 4
    static let keepalive: UInt16 = 5
    static let allowedAddresses: UInt16 = 9
    static let protocolVersion: UInt16 = 10
    /// `WGPEER_F_REPLACE_ALLOWEDIPS`.
    static let replaceAddresses: UInt32 = 2
  }

  /// Peers that one message sets.
  private static let mostPeers = 200

  /// The question for a link's configuration.
  public static func question(_ index: Int32) -> NetlinkAttributes {
    NetlinkAttributes([NetlinkAttribute(Device.index, index)])
  }

  /// A link with what the family told of it. A peer whose addresses fill more than a message is continued
  /// in the next.
  public static func link(
    _ link: Link, _ messages: [NetlinkAttributes], withSecrets: Bool
  ) -> Link {
    guard let first = messages.first else { return link }
    var device = first
    device.remove(Device.peers)
    device.remove(Device.index)
    device.remove(Device.name)
    if !withSecrets { device.remove(Device.privateKey) }
    var peers: [NetlinkAttributes] = []
    for message in messages {
      for peer in list(message[Device.peers]) {
        guard let last = peers.last, let key = peer[Peer.publicKey], last[Peer.publicKey] == key
        else {
          peers.append(peer)
          continue
        }
        let addresses =
          list(last[Peer.allowedAddresses]) + list(peer[Peer.allowedAddresses])
        peers[peers.count - 1].set(nested(Peer.allowedAddresses, addresses))
      }
    }
    if !withSecrets {
      for place in peers.indices { peers[place].remove(Peer.presharedKey) }
    }
    if !peers.isEmpty { device.list.append(nested(Device.peers, peers)) }
    var link = link
    let type = LinkAttribute.linkInfo.rawValue
    var info = (try? link.record.attributes[type]?.attributes()) ?? NetlinkAttributes()
    info.set(NetlinkAttribute(2, nested: device))
    link.record.attributes.set(NetlinkAttribute(type, nested: info))
    return link
  }

  /// Rows of attributes without types.
  private static func list(_ attribute: NetlinkAttribute?) -> [NetlinkAttributes] {
    let items = (try? attribute?.attributes())?.list ?? []
    return items.compactMap { try? $0.attributes() }
  }

  private static func nested(_ type: UInt16, _ rows: [NetlinkAttributes]) -> NetlinkAttribute {
    NetlinkAttribute(
      type, nested: NetlinkAttributes(rows.map { NetlinkAttribute(0, nested: $0) }))
  }

  /// The messages that configure the link that was made for a saved one.
  static func requests(_ link: Link, _ index: Int32) -> [NetlinkAttributes] {
    let data = link.kindData
    guard !data.list.isEmpty else { return [] }
    let peers = list(data[Device.peers]).map { peer in
      NetlinkAttributes(
        [Peer.publicKey, Peer.presharedKey].compactMap { peer[$0] }
          + [NetlinkAttribute(Peer.flags, Peer.replaceAddresses)]
          + [Peer.endpoint, Peer.keepalive, Peer.allowedAddresses, Peer.protocolVersion]
          .compactMap { peer[$0] })
    }
    var requests: [NetlinkAttributes] = []
    for start in stride(from: 0, to: max(peers.count, 1), by: mostPeers) {
      var request = question(index)
      if start == 0 {
        request.list += [Device.privateKey, Device.listenPort, Device.mark].compactMap { data[$0] }
        request.list.append(NetlinkAttribute(Device.flags, Device.replacePeers))
      }
      let some = peers[start..<min(start + mostPeers, peers.count)]
      if !some.isEmpty { request.list.append(nested(Device.peers, Array(some))) }
      requests.append(request)
    }
    return requests
  }

  /// What lasts of a configuration: no keys but those of peers, no counters, no endpoints, which move.
  static func stable(_ data: NetlinkAttributes) -> NetlinkAttributes {
    var stable = NetlinkAttributes(
      [Device.listenPort, Device.mark].compactMap { data[$0] })
    let peers = list(data[Device.peers]).map { peer in
      NetlinkAttributes(
        [Peer.publicKey, Peer.keepalive, Peer.allowedAddresses].compactMap { peer[$0] })
    }.sorted { $0.encoded.lexicographicallyPrecedes($1.encoded) }
    if !peers.isEmpty { stable.list.append(nested(Device.peers, peers)) }
    return stable
  }
}
