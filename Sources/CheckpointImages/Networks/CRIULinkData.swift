import LinkTable

/// Links from CRIU's typed fields, and these fields from links.
///
/// What CRIU does not save, a link made of its fields does not have: the kernel's own values then stay.
enum CRIULinkData {
  private typealias Kind = NetworkDeviceEntry.Kind

  /// `IFF_…` of `linux/if_tun.h`, as `TUNSETIFF` takes them.
  private enum TunnelFlag {
    static let tun: UInt32 = 1
    static let tap: UInt32 = 2
    static let multipleQueues: UInt32 = 0x100
    static let persistent: UInt32 = 0x800
    static let noPacketInformation: UInt32 = 0x1000
    static let virtualHeader: UInt32 = 0x4000
  }

  // MARK: Links

  static func link(
    _ entry: ImageNetworkDeviceEntry, index: Int32,
    _ surroundings: NetworkDeviceEntry.Surroundings, file: String, offset: Int
  ) throws(ImageError) -> Link {
    guard (Kind.loopback...Kind.sit).contains(entry.type) else {
      throw ImageError(
        file, .badValue(field: "the type of a link", value: "\(entry.type)"), at: offset)
    }
    var attributes = [
      attribute(.name, text: Array(entry.name)), attribute(.mtu, entry.mtu),
    ]
    if entry.hasAddress {
      attributes.append(.init(LinkAttribute.address.rawValue, Array(entry.address)))
    }
    if entry.hasMaster { attributes.append(attribute(.master, entry.master)) }
    attributes += lower(of: entry, index, surroundings)
    var type = entry.address.count == 6 ? HardwareType.ethernet : HardwareType.void
    var info: [NetlinkAttribute] = []
    func setKind(_ name: String, _ data: [NetlinkAttribute]? = nil) {
      info = [NetlinkAttribute(1, text: Array(name.utf8))]
      if let data { info.append(NetlinkAttribute(2, nested: NetlinkAttributes(data))) }
    }
    switch entry.type {
    case Kind.loopback: type = HardwareType.loopback
    case Kind.veth: setKind("veth")
    case Kind.bridge: setKind("bridge")
    case Kind.tunnel:
      guard entry.hasTun else { throw ImageError(file, .missingField, at: offset) }
      if entry.tun.flags & TunnelFlag.tap == 0 { type = HardwareType.none }
      setKind("tun", tunnelAttributes(entry.tun))
    case Kind.macVLAN:
      guard entry.hasMacvlan else { throw ImageError(file, .missingField, at: offset) }
      var data = [NetlinkAttribute(1, entry.macvlan.mode)]
      if entry.macvlan.hasFlags {
        data.append(NetlinkAttribute(2, UInt16(truncatingIfNeeded: entry.macvlan.flags)))
      }
      setKind("macvlan", data)
    case Kind.sit:
      type = HardwareType.sit
      setKind("sit", entry.hasSit ? sitAttributes(entry.sit) : [])
    default: break
    }
    if !info.isEmpty {
      attributes.append(
        NetlinkAttribute(LinkAttribute.linkInfo.rawValue, nested: NetlinkAttributes(info)))
    }
    return Link(index: index, type: type, flags: entry.flags, attributes)
  }

  static func linkClass(of entry: ImageNetworkDeviceEntry) -> LinkClass {
    switch entry.type {
    case Kind.loopback: .madeByKernel
    case Kind.sit where entry.name.elementsEqual("sit0".utf8): .madeByKernel
    case Kind.external, Kind.venet: .externalByPlugin
    default: .native
    }
  }

  /// `ARPHRD_…`.
  private enum HardwareType {
    static let ethernet: UInt16 = 1
    static let loopback: UInt16 = 772
    static let sit: UInt16 = 776
    static let void: UInt16 = 0xFFFF
    static let none: UInt16 = 0xFFFE
  }

  private static func attribute(
    _ type: LinkAttribute, _ number: some FixedWidthInteger
  ) -> NetlinkAttribute { NetlinkAttribute(type.rawValue, number) }

  private static func attribute(_ type: LinkAttribute, text: [UInt8]) -> NetlinkAttribute {
    NetlinkAttribute(type.rawValue, text: text)
  }

  /// A number of a namespace that nobody has a name for is that of none in the tree.
  private static func lower(
    of entry: ImageNetworkDeviceEntry, _ index: Int32,
    _ surroundings: NetworkDeviceEntry.Surroundings
  ) -> [NetlinkAttribute] {
    guard entry.hasPeerIfindex, entry.peerIfindex != 0 else { return [] }
    let isInside = entry.hasPeerNsid && entry.peerNsid == surroundings.own
    if isInside && entry.peerIfindex == UInt32(index) { return [] }
    let lower = attribute(.link, entry.peerIfindex)
    if isInside { return [lower] }
    // Without a namespace and with its own index, a link has nothing below.
    if !entry.hasPeerNsid && entry.peerIfindex == UInt32(index) && entry.type != Kind.veth
      && entry.type != Kind.macVLAN
    {
      return []
    }
    let id = entry.hasPeerNsid ? surroundings.idOfNumber[entry.peerNsid] ?? -1 : -1
    return [lower, attribute(.linkNamespaceID, id)]
  }

  // MARK: tun and tap (`IFLA_TUN_…`)

  static func tunnel(_ data: NetlinkAttributes) -> ImageNetworkDeviceEntry.Tunnel {
    var entry = ImageNetworkDeviceEntry.Tunnel()
    var flags = UInt32(data[3]?.u8 ?? 0)
    func set(_ flag: UInt32, if isSet: Bool) { if isSet { flags |= flag } }
    set(TunnelFlag.noPacketInformation, if: data[4]?.u8 == 0)
    set(TunnelFlag.virtualHeader, if: data[5]?.u8 ?? 0 != 0)
    set(TunnelFlag.persistent, if: data[6]?.u8 ?? 0 != 0)
    set(TunnelFlag.multipleQueues, if: data[7]?.u8 ?? 0 != 0)
    entry.flags = flags
    entry.owner = data[1]?.i32 ?? -1
    entry.group = data[2]?.i32 ?? -1
    // What the kernel begins with: netlink does not tell them.
    entry.vnethdr = 10
    entry.sndbuf = UInt32(Int32.max)
    return entry
  }

  private static func tunnelAttributes(
    _ entry: ImageNetworkDeviceEntry.Tunnel
  ) -> [NetlinkAttribute] {
    func bit(_ type: UInt16, _ flag: UInt32) -> NetlinkAttribute {
      NetlinkAttribute(type, UInt8(entry.flags & flag == 0 ? 0 : 1))
    }
    let kind = entry.flags & (TunnelFlag.tun | TunnelFlag.tap)
    var attributes = [
      NetlinkAttribute(3, UInt8(kind)),
      NetlinkAttribute(4, UInt8(entry.flags & TunnelFlag.noPacketInformation == 0 ? 1 : 0)),
      bit(5, TunnelFlag.virtualHeader), bit(6, TunnelFlag.persistent),
      bit(7, TunnelFlag.multipleQueues),
    ]
    if entry.owner != -1 { attributes.append(NetlinkAttribute(1, entry.owner)) }
    if entry.group != -1 { attributes.append(NetlinkAttribute(2, entry.group)) }
    return attributes
  }

  // MARK: macvlan (`IFLA_MACVLAN_…`)

  static func macVLAN(_ data: NetlinkAttributes) -> ImageNetworkDeviceEntry.MACVLAN {
    var entry = ImageNetworkDeviceEntry.MACVLAN()
    entry.mode = data[1]?.u32 ?? 0
    if let flags = data[2]?.u16, flags != 0 { entry.flags = UInt32(flags) }
    return entry
  }

  // MARK: sit (`IFLA_IPTUN_…`)

  static func sit(_ data: NetlinkAttributes) -> ImageNetworkDeviceEntry.SIT {
    var entry = ImageNetworkDeviceEntry.SIT()
    if let link = data[1]?.u32, link != 0 { entry.link = link }
    entry.local = words(data[2])
    entry.remote = words(data[3])
    if let ttl = data[4]?.u8 { entry.ttl = UInt32(ttl) }
    if let tos = data[5]?.u8 { entry.tos = UInt32(tos) }
    if let flags = data[8]?.u16 { entry.flags = UInt32(flags) }
    if let proto = data[9]?.u8 { entry.proto = UInt32(proto) }
    if let discovery = data[10]?.u8 { entry.pmtudisc = discovery != 0 }
    entry.rdPrefix = words(data[11])
    entry.relayPrefix = words(data[12])
    if let length = data[13]?.u16 { entry.rdPrefixlen = UInt32(length) }
    if let length = data[14]?.u16 { entry.relayPrefixlen = UInt32(length) }
    if let type = data[15]?.u16 { entry.encapType = UInt32(type) }
    if let flags = data[16]?.u16 { entry.encapFlags = UInt32(flags) }
    if let port = data[17]?.u16 { entry.encapSport = UInt32(port) }
    if let port = data[18]?.u16 { entry.encapDport = UInt32(port) }
    return entry
  }

  /// An address as words of four bytes; zeros are none.
  private static func words(_ attribute: NetlinkAttribute?) -> [UInt32] {
    guard let bytes = attribute?.payload, bytes.count % 4 == 0, bytes.contains(where: { $0 != 0 })
    else { return [] }
    return stride(from: 0, to: bytes.count, by: 4).map { UInt32(nativeBytes: bytes[$0..<$0 + 4]) }
  }

  private static func sitAttributes(
    _ entry: ImageNetworkDeviceEntry.SIT
  ) -> [NetlinkAttribute] {
    var attributes: [NetlinkAttribute] = []
    func byte(_ type: UInt16, _ number: UInt32, if isThere: Bool) {
      if isThere { attributes.append(.init(type, UInt8(truncatingIfNeeded: number))) }
    }
    func short(_ type: UInt16, _ number: UInt32, if isThere: Bool) {
      if isThere { attributes.append(.init(type, UInt16(truncatingIfNeeded: number))) }
    }
    func address(_ type: UInt16, _ words: [UInt32], of count: Int) {
      if words.count == count { attributes.append(.init(type, words.flatMap(\.nativeBytes))) }
    }
    if entry.hasLink { attributes.append(.init(1, entry.link)) }
    address(2, entry.local, of: 1)
    address(3, entry.remote, of: 1)
    byte(4, entry.ttl, if: entry.hasTtl)
    byte(5, entry.tos, if: entry.hasTos)
    short(8, entry.flags, if: entry.hasFlags)
    byte(9, entry.proto, if: entry.hasProto)
    byte(10, entry.pmtudisc ? 1 : 0, if: entry.hasPmtudisc)
    address(11, entry.rdPrefix, of: 4)
    address(12, entry.relayPrefix, of: 1)
    short(13, entry.rdPrefixlen, if: entry.hasRdPrefixlen)
    short(14, entry.relayPrefixlen, if: entry.hasRelayPrefixlen)
    short(15, entry.encapType, if: entry.hasEncapType)
    short(16, entry.encapFlags, if: entry.hasEncapFlags)
    short(17, entry.encapSport, if: entry.hasEncapSport)
    short(18, entry.encapDport, if: entry.hasEncapDport)
    return attributes
  }
}
