/// Secure channels and associations of a macsec link, which are not in `IFLA_INFO_DATA`: the generic
/// netlink family `macsec` tells them (`linux/if_macsec.h`), all but their keys. A saved link has them
/// beside the parameters of its kind, under a number that no kernel uses.
///
/// ```
/// saved ─┬─ OFFLOAD      how hardware helps
///        ├─ TXSA_LIST    a row for each association that sends
///        └─ RXSC_LIST    a row for each channel that is listened to: SCI, ACTIVE, SA_LIST
/// a row of an association: AN, ACTIVE, PN, KEYID; SSCI; and of the user's file KEY, SALT
/// ```
///
/// Lists of associations are there only where they were saved with their keys.
public enum Macsec {
  public static let kind = "macsec"
  /// `MACSEC_CMD_GET_TXSC`.
  public static let getChannels: UInt8 = 0
  static let addReceiveChannel: UInt8 = 1
  static let addTransmitAssociation: UInt8 = 4
  static let addReceiveAssociation: UInt8 = 7

  /// The attribute of a saved link that has all this.
  static let saved: UInt16 = 0x1000

  /// `MACSEC_ATTR_…`.
  enum Device {
    static let index: UInt16 = 1
    static let channelConfiguration: UInt16 = 2
    static let associationConfiguration: UInt16 = 3
    static let transmitAssociations: UInt16 = 5
    static let receiveChannels: UInt16 = 6
    static let offload: UInt16 = 9
  }

  /// `MACSEC_RXSC_ATTR_…`.
  enum Channel {
    static let identifier: UInt16 = 1
    static let active: UInt16 = 2
    static let associations: UInt16 = 3
  }

  /// `MACSEC_SA_ATTR_…`.
  enum Association {
    static let number: UInt16 = 1
    static let active: UInt16 = 2
    static let packetNumber: UInt16 = 3
    static let key: UInt16 = 4
    static let keyID: UInt16 = 5
    static let shortIdentifier: UInt16 = 8
    static let salt: UInt16 = 9
    /// What the kernel tells and takes.
    static let told = [number, active, packetNumber, keyID, shortIdentifier]
  }

  // MARK: Reading

  /// A link with what the family told of it, of all messages of its namespace.
  public static func link(_ link: Link, _ messages: [NetlinkAttributes]) -> Link {
    guard let message = messages.first(where: { $0[Device.index]?.i32 == link.index }) else {
      return link
    }
    var kept = NetlinkAttributes()
    if let offload = message[Device.offload] { kept.list.append(offload) }
    kept.list.append(
      nested(Device.transmitAssociations, rows(message[Device.transmitAssociations]).map(told)))
    let channels = rows(message[Device.receiveChannels]).map { channel in
      NetlinkAttributes(
        [Channel.identifier, Channel.active].compactMap { channel[$0] }
          + [nested(Channel.associations, rows(channel[Channel.associations]).map(told))])
    }
    kept.list.append(nested(Device.receiveChannels, channels))
    return with(kept, link)
  }

  private static func told(_ row: NetlinkAttributes) -> NetlinkAttributes {
    NetlinkAttributes(Association.told.compactMap { row[$0] })
  }

  static func configuration(_ link: Link) -> NetlinkAttributes? {
    guard link.kind == kind else { return nil }
    return try? link.kindData[saved]?.attributes()
  }

  static func with(_ configuration: NetlinkAttributes, _ link: Link) -> Link {
    var data = link.kindData
    data.set(NetlinkAttribute(saved, nested: configuration))
    return link.withKindData(data)
  }

  /// Rows of attributes; their types are only a count.
  static func rows(_ attribute: NetlinkAttribute?) -> [NetlinkAttributes] {
    let items = (try? attribute?.attributes())?.list ?? []
    return items.compactMap { try? $0.attributes() }
  }

  static func nested(_ type: UInt16, _ rows: [NetlinkAttributes]) -> NetlinkAttribute {
    NetlinkAttribute(
      type,
      nested: NetlinkAttributes(
        rows.enumerated().map {
          NetlinkAttribute(UInt16(truncatingIfNeeded: $0.offset + 1), nested: $0.element)
        }))
  }

  // MARK: Restoring

  /// As a new link is given them. Whose frames do not name their channel may choose no more of its
  /// identifier than the port: the rest is the address.
  static func parameters(_ link: Link, _ told: [NetlinkAttribute]) -> [NetlinkAttribute] {
    let (identifier, port, includesIdentifier): (UInt16, UInt16, UInt16) = (1, 2, 9)
    var list = told + [offload(link)].compactMap { $0 }
    if link.kindData[includesIdentifier]?.u8 == 0, let bytes = link.kindData[identifier]?.payload,
      bytes.count == 8, Array(bytes[..<6]) == link.address
    {
      list = list.map { $0.type == identifier ? NetlinkAttribute(port, Array(bytes[6...])) : $0 }
    }
    return list
  }

  /// `IFLA_MACSEC_OFFLOAD`, where only the family tells it.
  private static func offload(_ link: Link) -> NetlinkAttribute? {
    let type: UInt16 = 15
    guard link.kindData[type] == nil, let configuration = configuration(link),
      let mode = (try? configuration[Device.offload]?.attributes())?[1]?.u8, mode != 0
    else { return nil }
    return NetlinkAttribute(type, mode)
  }

  /// The commands that configure the link that was made for a saved one. An association comes after its
  /// channel; what sends comes last.
  static func requests(
    _ link: Link, _ index: Int32
  ) -> [(command: UInt8, attributes: NetlinkAttributes)] {
    guard let configuration = configuration(link) else { return [] }
    let device = NetlinkAttribute(Device.index, index)
    var requests: [(command: UInt8, attributes: NetlinkAttributes)] = []
    func add(_ command: UInt8, _ parts: [NetlinkAttribute]) {
      requests.append((command, NetlinkAttributes([device] + parts)))
    }
    // The kernel puts each new channel before the others.
    for channel in rows(configuration[Device.receiveChannels]).reversed() {
      let identifier = [Channel.identifier].compactMap { channel[$0] }
      let active = [Channel.active].compactMap { channel[$0] }
      let name = NetlinkAttribute(
        Device.channelConfiguration, nested: NetlinkAttributes(identifier))
      add(
        addReceiveChannel,
        [
          NetlinkAttribute(
            Device.channelConfiguration, nested: NetlinkAttributes(identifier + active))
        ])
      for row in rows(channel[Channel.associations]) where row[Association.key] != nil {
        add(
          addReceiveAssociation,
          [name, NetlinkAttribute(Device.associationConfiguration, nested: row)])
      }
    }
    for row in rows(configuration[Device.transmitAssociations]) where row[Association.key] != nil {
      add(
        addTransmitAssociation, [NetlinkAttribute(Device.associationConfiguration, nested: row)])
    }
    return requests
  }

  // MARK: Comparing

  /// A sentence for each thing that is not as saved, without the link's name. Packet numbers grow; one that
  /// fell would use a key for the same number twice.
  static func differences(_ expected: Link, _ found: Link) -> [String] {
    guard let old = configuration(expected) else { return [] }
    let new = configuration(found) ?? NetlinkAttributes()
    var differences = compare(
      old[Device.transmitAssociations], new[Device.transmitAssociations], "transmit association")
    var channels: [[UInt8]: NetlinkAttributes] = [:]
    for channel in rows(new[Device.receiveChannels]) {
      channels[channel[Channel.identifier]?.payload ?? []] = channel
    }
    for channel in rows(old[Device.receiveChannels]) {
      let identifier = channel[Channel.identifier]?.payload ?? []
      let name = "receive channel \(hex(identifier))"
      guard let other = channels.removeValue(forKey: identifier) else {
        differences.append("\(name) is not there")
        continue
      }
      let active = (channel[Channel.active]?.u8 ?? 1, other[Channel.active]?.u8 ?? 1)
      if active.0 != active.1 {
        differences.append("\(name): active is \(active.1), expected \(active.0)")
      }
      differences += compare(
        channel[Channel.associations], other[Channel.associations], "\(name) association")
    }
    for identifier in channels.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      differences.append("receive channel \(hex(identifier)) is there, and was not saved")
    }
    return differences
  }

  private static func compare(
    _ expected: NetlinkAttribute?, _ found: NetlinkAttribute?, _ what: String
  ) -> [String] {
    guard expected != nil else { return [] }
    var differences: [String] = []
    var others: [UInt8: NetlinkAttributes] = [:]
    for row in rows(found) { others[row[Association.number]?.u8 ?? 0] = row }
    for row in rows(expected) {
      let number = row[Association.number]?.u8 ?? 0
      guard let other = others.removeValue(forKey: number) else {
        differences.append("\(what) \(number) is not there")
        continue
      }
      for (type, title) in [
        (Association.active, "active"), (Association.keyID, "key ID"),
        (Association.shortIdentifier, "SSCI"),
      ] where row[type]?.payload != other[type]?.payload {
        differences.append(
          "\(what) \(number): \(title) is \(hex(other[type]?.payload ?? [])), expected "
            + hex(row[type]?.payload ?? []))
      }
      let packets = (packetNumber(row), packetNumber(other))
      if packets.1 < packets.0 {
        differences.append(
          "\(what) \(number): packet number is \(packets.1), expected \(packets.0) or more")
      }
    }
    for number in others.keys.sorted() {
      differences.append("\(what) \(number) is there, and was not saved")
    }
    return differences
  }

  /// Of 32 bits, or with extended numbers of 64.
  static func packetNumber(_ row: NetlinkAttributes) -> UInt64 {
    let attribute = row[Association.packetNumber]
    return attribute?.u64 ?? UInt64(attribute?.u32 ?? 0)
  }

  static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}

extension Link {
  /// This link with other parameters of its kind (`IFLA_INFO_DATA`).
  func withKindData(_ data: NetlinkAttributes) -> Link {
    var link = self
    let type = LinkAttribute.linkInfo.rawValue
    var info = (try? record.attributes[type]?.attributes()) ?? NetlinkAttributes()
    info.set(NetlinkAttribute(2, nested: data))
    link.record.attributes.set(NetlinkAttribute(type, nested: info))
    return link
  }
}
