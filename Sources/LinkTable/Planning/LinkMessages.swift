/// The messages that make and change links.
enum LinkMessage {
  /// `ARPHRD_ETHER`.
  private static let ethernet: UInt16 = 1
  /// Flags that a message may set: DEBUG, NOTRAILERS, NOARP, PROMISC, ALLMULTI, MULTICAST, PORTSEL,
  /// AUTOMEDIA, DYNAMIC; and UP.
  static let settableFlags: UInt32 = 0x1 | 0x4 | 0x20 | 0x80 | 0x300 | 0x1000 | 0xE000

  static func message(
    _ index: Int32, _ attributes: [NetlinkAttribute], type: UInt16 = MessageType.newLink,
    family: UInt8 = 0, flags: UInt32 = 0, change: UInt32 = 0
  ) -> NetlinkRecord {
    var record = NetlinkRecord(
      type: type, header: [UInt8](repeating: 0, count: 16), attributes: .init(attributes))
    record.header[0] = family
    record.setNumber(index, at: 4)
    record.setNumber(flags, at: 8)
    record.setNumber(change, at: 12)
    return record
  }

  private static func attribute(
    _ type: LinkAttribute, nested list: [NetlinkAttribute]
  ) -> NetlinkAttribute { NetlinkAttribute(type.rawValue, nested: NetlinkAttributes(list)) }

  static func info(_ kind: String, _ data: [NetlinkAttribute]) -> NetlinkAttribute {
    var list = [NetlinkAttribute(1, text: Array(kind.utf8))]
    if !data.isEmpty { list.append(NetlinkAttribute(2, nested: NetlinkAttributes(data))) }
    return attribute(.linkInfo, nested: list)
  }

  /// What a link is made with, besides its kind.
  ///
  /// - Parameter mtu: another one than its own, for a while.
  static func basics(_ link: Link, mtu: UInt32? = nil) -> [NetlinkAttribute] {
    var list = [NetlinkAttribute(LinkAttribute.name.rawValue, text: link.name)]
    // The address of a tunnel is that of its end.
    if link.type == ethernet, !Netkit.isBare(link), let address = link[.address] {
      // A port of a bond has the bond's until it leaves it.
      let own = link.portKind == Bond.kind ? link.portData[Bond.Port.permanentAddress] : nil
      list.append(NetlinkAttribute(address.type, own?.payload ?? address.payload))
    }
    for type: LinkAttribute in [.mtu, .queueLength, .group, .sendQueues, .receiveQueues] {
      if let attribute = link[type] { list.append(plain(attribute)) }
    }
    if let mtu {
      list = list.map {
        $0.type == LinkAttribute.mtu.rawValue ? NetlinkAttribute($0.type, mtu) : $0
      }
    }
    return list
  }

  static func mtu(_ link: Link, _ index: Int32) -> NetlinkRecord? {
    link[.mtu].map { message(index, [plain($0)]) }
  }

  private static func plain(_ attribute: NetlinkAttribute) -> NetlinkAttribute {
    NetlinkAttribute(attribute.type, attribute.payload)
  }

  /// The parameters of a kind, as they are given back to the kernel.
  static func parameters(_ link: Link, _ numbers: LinkNumbers) -> [NetlinkAttribute] {
    guard let name = link.kind, name != Wireguard.kind, let kind = LinkKind.named[name] else {
      return []
    }
    var list: [NetlinkAttribute] = []
    for attribute in link.kindData.list
    where !kind.readOnly.contains(attribute.type) && !kind.ports.contains(attribute.type)
      && kind.applies(attribute.type, link.kindData)
    {
      let isZero = attribute.payload.allSatisfy { $0 == 0 }
      if kind.unlessZero.contains(attribute.type) && isZero { continue }
      // Of a newer kernel: what it has there by itself, it may not take in each mode of a kind.
      let isUnknown = Int(attribute.type) > kind.parameters.count && !kind.parameters.isEmpty
      if isUnknown && isZero && !attribute.payload.isEmpty { continue }
      if kind.flags.contains(attribute.type) {
        if !isZero || attribute.payload.isEmpty {
          list.append(NetlinkAttribute(attribute.type, []))
        }
        continue
      }
      if attribute.type == kind.link || kind.members.contains(attribute.type),
        let index = attribute.i32
      {
        list.append(NetlinkAttribute(attribute.type, numbers[index]))
        continue
      }
      list.append(attribute)
    }
    switch name {
    case "vlan": list = list.map(VLAN.given)
    case "macvlan", "macvtap":
      // The list of a source mode is set by MACVLAN_MACADDR_SET.
      if link.kindData[5] != nil { list.append(NetlinkAttribute(3, UInt32(3))) }
    case "vxlan":
      // IFLA_VXLAN_RESERVED_BITS: what the kernel has of itself covers bits that nobody may give.
      list.removeAll { $0.type == 33 && $0.payload.count == 8 && $0.payload[1] & 0x20 != 0 }
    case Macsec.kind: list = Macsec.parameters(link, list)
    case HighAvailability.kind: list = HighAvailability.parameters(list)
    case "bridge":
      // Given back, the usual one would stand as chosen.
      list.removeAll { $0.type == 20 && $0.payload == [1, 0x80, 0xC2, 0, 0, 0] }
      // struct br_boolopt_multi: of switches, those that are on; some kernels refuse to turn off others.
      list = list.map { attribute in
        guard attribute.type == 46, attribute.payload.count == 8 else { return attribute }
        return NetlinkAttribute(46, Array(attribute.payload[0..<4] + attribute.payload[0..<4]))
      }
    default: break
    }
    return list
  }

  /// What a link is given when it is there: what no creation takes.
  ///
  /// - Parameter existing: the link as it was found, where it was not made here.
  static func configuration(
    _ link: Link, _ index: Int32, existing: Link?
  ) -> [(record: NetlinkRecord, flags: UInt16)] {
    var list: [NetlinkAttribute] = []
    if let existing {
      if link.type == ethernet, let address = link[.address],
        existing.address != address.payload
      {
        list.append(plain(address))
      }
      for type: LinkAttribute in [.mtu, .queueLength, .group] {
        if let attribute = link[type], existing[type]?.payload != attribute.payload {
          list.append(plain(attribute))
        }
      }
    }
    if let alias = link[.alias] { list.append(plain(alias)) }
    if let mode = link[.linkMode], mode.payload != [0] { list.append(plain(mode)) }
    // Sizes of segments, where they are not what links have at first.
    let usual: [(LinkAttribute, UInt32)] = [
      (.gsoMaxSegments, 65535), (.gsoMaxSize, 65536), (.groMaxSize, 65536),
    ]
    for (type, value) in usual {
      if let attribute = link[type], attribute.u32 != value, existing?[type] != attribute {
        list.append(plain(attribute))
      }
    }
    if let down = link[.protocolDown], down.payload != [0] { list.append(plain(down)) }
    var requests: [(NetlinkRecord, UInt16)] = []
    if !list.isEmpty { requests.append((message(index, list), 0)) }
    let names = link.alternativeNames.filter { !(existing?.alternativeNames ?? []).contains($0) }
    if !names.isEmpty {
      let properties = names.map {
        NetlinkAttribute(LinkAttribute.alternativeName.rawValue, text: $0)
      }
      requests.append(
        (
          message(
            index, [attribute(.propertyList, nested: properties)],
            type: MessageType.newLinkProperty), RequestFlag.create | RequestFlag.exclusive
        ))
    }
    return requests
  }

  /// `IFLA_INET6_ADDR_GEN_MODE`. A link without IPv6 says `EAFNOSUPPORT`.
  static func addressGeneration(
    _ index: Int32, _ mode: Link.AddressGeneration
  ) -> NetlinkRecord {
    let family = NetlinkAttribute(
      10, nested: NetlinkAttributes([NetlinkAttribute(8, mode.rawValue)]))
    return message(
      index, [attribute(.perFamily, nested: [family])], type: MessageType.setLink)
  }

  /// The flags, up or down among them.
  static func flags(_ link: Link, _ index: Int32) -> NetlinkRecord {
    message(
      index, [], flags: link.flags & settableFlags, change: settableFlags)
  }

  static func master(_ index: Int32, _ master: Int32) -> NetlinkRecord {
    message(
      index, [NetlinkAttribute(LinkAttribute.master.rawValue, master)],
      type: MessageType.setLink)
  }

  /// What the kernel tells of a port and does not take (`IFLA_BRPORT_…`, `IFLA_BOND_SLAVE_…`).
  static let readOnlyOfPorts: [String: Set<UInt16>] = [
    "bridge": [1, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 35, 36, 38, 41],
    "bond": [1, 2, 3, 4, 6, 7, 8, 11, 12],
  ]

  /// What names ports, once they are some.
  static func namedPorts(
    _ link: Link, _ index: Int32, _ numbers: LinkNumbers
  ) -> NetlinkRecord? {
    guard let name = link.kind, let kind = LinkKind.named[name] else { return nil }
    let data = link.kindData.list.compactMap { attribute -> NetlinkAttribute? in
      guard kind.ports.contains(attribute.type), kind.applies(attribute.type, link.kindData),
        let port = attribute.i32, port != 0
      else { return nil }
      return NetlinkAttribute(attribute.type, numbers[port])
    }
    return data.isEmpty ? nil : message(index, [info(name, data)])
  }

  /// - Parameter master: whose port it is.
  static func port(
    _ link: Link, _ index: Int32, _ numbers: LinkNumbers, of master: Link? = nil
  ) -> NetlinkRecord? {
    guard let kind = link.portKind, let readOnly = readOnlyOfPorts[kind] else { return nil }
    var data = link.portData.list.filter { !readOnly.contains($0.type) }
    if kind == Bond.kind { data = Bond.settings(ofPort: data, in: master?.kindData) }
    if kind == "bridge" { data.removeAll { $0.type == backupPort } }
    return data.isEmpty ? nil : portMessage(index, kind, data)
  }

  /// `IFLA_BRPORT_BACKUP_PORT`
  static let backupPort: UInt16 = 34

  /// Names the port of a bridge that takes the place of another: once both are its ports.
  static func backup(_ link: Link, _ index: Int32, _ numbers: LinkNumbers) -> NetlinkRecord? {
    guard link.portKind == "bridge", let port = link.portData[backupPort]?.i32, port != 0 else {
      return nil
    }
    return portMessage(index, "bridge", [NetlinkAttribute(backupPort, numbers[port])])
  }

  private static func portMessage(
    _ index: Int32, _ kind: String, _ data: [NetlinkAttribute]
  ) -> NetlinkRecord {
    message(
      index,
      [
        attribute(
          .linkInfo,
          nested: [
            NetlinkAttribute(4, text: Array(kind.utf8)),
            NetlinkAttribute(5, nested: NetlinkAttributes(data)),
          ])
      ])
  }

  // MARK: Bridges (`linux/if_bridge.h`)

  private static let bridgeFamily: UInt8 = 7

  /// The VLANs of a bridge or of one of its ports: first the one it has of itself goes, where it is none
  /// of them.
  static func vlans(
    _ record: NetlinkRecord, _ index: Int32, isBridge: Bool, ownID: UInt16
  ) -> [(record: NetlinkRecord, tolerating: Set<Int32>)] {
    guard let spec = try? record.attributes[LinkAttribute.perFamily.rawValue]?.attributes()
    else { return [] }
    let infos = spec.all(2).filter { $0.payload.count == 4 }
    var flags: [NetlinkAttribute] = []
    if isBridge { flags = [NetlinkAttribute(0, UInt16(2))] }  // IFLA_BRIDGE_FLAGS: SELF
    func change(_ type: UInt16, _ list: [NetlinkAttribute]) -> NetlinkRecord {
      message(
        index, [attribute(.perFamily, nested: flags + list)], type: type, family: bridgeFamily)
    }
    var requests: [(NetlinkRecord, Set<Int32>)] = []
    let ids = infos.map { UInt16(nativeBytes: $0.payload[2..<4]) }
    if ownID != 0 && !ids.contains(ownID) {
      let own = NetlinkAttribute(2, UInt16(0).nativeBytes + ownID.nativeBytes)
      requests.append((change(MessageType.deleteLink, [own]), [2]))
    }
    for start in stride(from: 0, to: infos.count, by: 1000) {
      requests.append(
        (change(MessageType.setLink, Array(infos[start..<min(start + 1000, infos.count)])), []))
    }
    return requests
  }

  /// The permanent entries (`RTM_NEWMDB`) of a bridge's multicast table.
  static func multicast(_ record: NetlinkRecord, _ numbers: LinkNumbers) -> [NetlinkRecord] {
    guard let table = try? record.attributes[1]?.attributes() else { return [] }
    var requests: [NetlinkRecord] = []
    for entry in table.all(1) {
      guard let infos = try? entry.attributes() else { continue }
      for info in infos.all(1) where info.payload.count >= 28 && info.payload[4] & 1 != 0 {
        var bytes = Array(info.payload[0..<28])
        let port = Int32(nativeBytes: bytes[0..<4])
        bytes.replaceSubrange(0..<4, with: numbers[port].nativeBytes)
        bytes[5] = 0
        var request = NetlinkRecord(
          type: MessageType.newMulticastEntry, header: record.header,
          attributes: .init([NetlinkAttribute(1, bytes)]))
        request.header[0] = bridgeFamily
        request.setNumber(numbers[record.number(at: 4)], at: 4)
        requests.append(request)
      }
    }
    return requests
  }
}
