import LinkTable
import Testing

/// Messages after `linux/wireguard.h`, put together byte by byte; not run on a kernel.
@Suite("wireguard")
struct WireguardTests {
  private static let key = String(repeating: "11", count: 32)
  private static let other = String(repeating: "22", count: 32)

  private static func attributes(_ text: String) throws -> NetlinkAttributes {
    try NetlinkAttributes(FabricatedKindTests.bytes(text)[...])
  }

  /// Two messages of one device: the addresses of its second peer go on in the second.
  private static func messages() throws -> [NetlinkAttributes] {
    [
      try attributes(
        """
        0800 0100 05000000            // WGDEVICE_A_IFINDEX 5
        0800 0200 77673000            // WGDEVICE_A_IFNAME "wg0"
        2400 0300 \(String(repeating: "aa", count: 32)) // WGDEVICE_A_PRIVATE_KEY
        2400 0400 \(String(repeating: "bb", count: 32)) // WGDEVICE_A_PUBLIC_KEY
        0600 0600 6cca 0000           // WGDEVICE_A_LISTEN_PORT 51820
        0800 0700 07000000            // WGDEVICE_A_FWMARK 7
        c800 0880                     // WGDEVICE_A_PEERS
          6800 0080                   // the first
            2400 0100 \(key)          // WGPEER_A_PUBLIC_KEY
            2400 0200 \(String(repeating: "cc", count: 32)) // WGPEER_A_PRESHARED_KEY
            0600 0500 1900 0000       // WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL 25
            0c00 0700 0102030405060708 // WGPEER_A_RX_BYTES
            0800 0a00 01000000        // WGPEER_A_PROTOCOL_VERSION
          5c00 0080                   // the second
            2400 0100 \(other)
            1400 0400 0200ca6c0a0000090000000000000000 // WGPEER_A_ENDPOINT 10.0.0.9:51820
            2000 0980                 // WGPEER_A_ALLOWEDIPS
              1c00 0080
                0600 0100 0200 0000   // WGALLOWEDIP_A_FAMILY AF_INET
                0800 0200 0a010000    // WGALLOWEDIP_A_IPADDR 10.1.0.0
                0500 0300 10000000    // WGALLOWEDIP_A_CIDR_MASK 16
        """),
      try attributes(
        """
        4c00 0880                     // WGDEVICE_A_PEERS
          4800 0080                   // the second, continued
            2400 0100 \(other)
            2000 0980
              1c00 0080
                0600 0100 0200 0000
                0800 0200 0a020000    // 10.2.0.0
                0500 0300 10000000
        """),
    ]
  }

  private static let bare = Link(
    index: 5, type: 0xFFFE, flags: 0x1090,
    [
      NetlinkAttribute(LinkAttribute.name.rawValue, text: Array("wg0".utf8)),
      NetlinkAttribute(
        LinkAttribute.linkInfo.rawValue,
        nested: NetlinkAttributes([NetlinkAttribute(1, text: Array("wireguard".utf8))])),
    ])

  private func requests(_ link: Link) -> [NetlinkAttributes] {
    FabricatedKindTests.request([FabricatedKindTests.loopback, link]).plan().steps.compactMap {
      if case .configure("wireguard", _, let attributes) = $0.action { attributes } else { nil }
    }
  }

  @Test(
    "a device comes back with its peers and their addresses; keys only where they were asked for")
  func device() throws {
    for withSecrets in [false, true] {
      let link = Wireguard.link(Self.bare, try Self.messages(), withSecrets: withSecrets)
      #expect(link.kind == "wireguard")
      #expect((link.kindData[3] != nil) == withSecrets)
      let requests = requests(link)
      try #require(requests.count == 1)
      let device = requests[0]
      #expect(device[1]?.i32 == 5)
      #expect((device[3] != nil) == withSecrets)
      #expect(device[4] == nil)
      #expect(device[5]?.u32 == 1)
      #expect(device[6]?.u16 == 51820)
      #expect(device[7]?.u32 == 7)
      let peers = try #require(device[8]).attributes().list.map { try $0.attributes() }
      try #require(peers.count == 2)
      #expect((peers[0][2] != nil) == withSecrets)
      #expect(peers[0][5]?.u16 == 25)
      #expect(peers[0][7] == nil)
      #expect(peers[0][3]?.u32 == 2)
      #expect(peers[1][4]?.payload.count == 16)
      let addresses = try #require(peers[1][9]).attributes().list.map {
        try $0.attributes()[2]?.payload
      }
      #expect(addresses == [[10, 1, 0, 0], [10, 2, 0, 0]])
    }
  }

  @Test("no message is made of a link whose configuration was not told")
  func none() { #expect(requests(Self.bare).isEmpty) }

  @Test("keys and counters are no differences, addresses are")
  func comparison() throws {
    let saved = Wireguard.link(Self.bare, try Self.messages(), withSecrets: true)
    var table = NetworkTable()
    table.links = [saved]
    let network = SavedNetwork(id: 9, inode: 1, table: table, classes: [.native])
    table.links = [Wireguard.link(Self.bare, try Self.messages(), withSecrets: false)]
    #expect(NetworkComparison(expected: network, found: table).isEqual)
    table.links = [Wireguard.link(Self.bare, [try Self.messages()[0]], withSecrets: false)]
    #expect(NetworkComparison(expected: network, found: table).differences.count == 1)
  }

  @Test("keys are shown nowhere")
  func secrets() throws {
    func link(_ byte: UInt8) -> Link {
      let data = NetlinkAttributes([
        NetlinkAttribute(3, [UInt8](repeating: byte, count: 32)),
        NetlinkAttribute(8, [UInt8](repeating: byte, count: 40)),
      ])
      return Link(
        index: 2, type: 65534, flags: 0,
        [
          NetlinkAttribute(LinkAttribute.name.rawValue, text: Array("wg0".utf8)),
          NetlinkAttribute(
            LinkAttribute.linkInfo.rawValue,
            nested: NetlinkAttributes([
              NetlinkAttribute(1, text: Array("wireguard".utf8)), NetlinkAttribute(2, nested: data),
            ])),
        ])
    }
    let shown = LinkKind.parameters(of: link(0xAB)).map { "\($0.name) \($0.value)" }
    #expect(shown.count == 2 && !shown.contains { $0.contains("abab") })
    var table = NetworkTable()
    table.links = [link(0xAB)]
    let saved = SavedNetwork(id: 1, inode: 1, table: table, classes: [.native])
    table.links = [link(0xCD)]
    let differences = NetworkComparison(expected: saved, found: table).differences
    #expect(!differences.contains { $0.contains("abab") || $0.contains("cdcd") })
  }
}
