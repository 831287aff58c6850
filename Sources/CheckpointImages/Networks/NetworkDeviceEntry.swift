import FoundationEssentials
import LinkTable
import LinuxKernel

/// A link as an entry of `netdev-NSID.img`, and back.
///
/// CRIU's fields say what CRIU would; field 1000 has everything, and counts where it is there.
///
/// | the link | `type` | has |
/// |---|---|---|
/// | without kind, a loopback | 1 | |
/// | veth | 2 | |
/// | tun, tap | 3 | `tun` |
/// | bridge | 6 | |
/// | macvlan | 7 | `macvlan` |
/// | sit | 8 | `sit` |
/// | a plugin's, or of a kind CRIU does not know | 4, external | |
enum NetworkDeviceEntry {
  enum Kind {
    static let loopback: UInt32 = 1
    static let veth: UInt32 = 2
    static let tunnel: UInt32 = 3
    static let external: UInt32 = 4
    /// A link of OpenVZ, which nobody can make.
    static let venet: UInt32 = 5
    static let bridge: UInt32 = 6
    static let macVLAN: UInt32 = 7
    static let sit: UInt32 = 8

    static let named: [String: UInt32] = [
      "veth": veth, "tun": tunnel, "bridge": bridge, "macvlan": macVLAN, "sit": sit,
    ]
  }

  /// What an entry says besides the link itself.
  struct Surroundings {
    /// The number of the link's own namespace in the set.
    var own: UInt32
    /// The numbers of others, by the ID that the link's namespace calls them.
    var numberOfID: [Int32: UInt32] = [:]
    /// The reverse.
    var idOfNumber: [UInt32: Int32] = [:]
  }

  private static let loopbackFlag: UInt32 = 1 << 3

  static func entry(
    of link: Link, _ linkClass: LinkClass, _ surroundings: Surroundings
  ) -> ImageNetworkDeviceEntry {
    var entry = ImageNetworkDeviceEntry()
    let kind = link.kind
    switch linkClass {
    case .externalByPlugin: entry.type = Kind.external
    case _ where kind == nil && link.flags & loopbackFlag != 0: entry.type = Kind.loopback
    default: entry.type = kind.flatMap { Kind.named[$0] } ?? Kind.external
    }
    entry.ifindex = UInt32(bitPattern: link.index)
    entry.mtu = link.mtu ?? 0
    entry.flags = link.flags
    entry.name = Data(link.name)
    // CRIU has none for the loopback, whose address is zeros.
    if let address = link.address, entry.type != Kind.loopback { entry.address = Data(address) }
    entry.peerIfindex = UInt32(bitPattern: link.lower ?? link.index)
    if let id = link.lowerNamespace {
      if let number = surroundings.numberOfID[id] { entry.peerNsid = number }
    } else {
      entry.peerNsid = surroundings.own
    }
    if let master = link.master, master > 0 { entry.master = UInt32(bitPattern: master) }
    switch entry.type {
    case Kind.tunnel: entry.tun = CRIULinkData.tunnel(link.kindData)
    case Kind.macVLAN: entry.macvlan = CRIULinkData.macVLAN(link.kindData)
    case Kind.sit: entry.sit = CRIULinkData.sit(link.kindData)
    default: break
    }
    entry.link = Data(link.record.payload)
    setClass(linkClass, of: &entry)
    return entry
  }

  /// - Throws: `ImageError` for what cannot be a link; names and references are for `NetworkImageCheck`.
  static func link(
    _ entry: ImageNetworkDeviceEntry, _ surroundings: Surroundings, file: String, offset: Int
  ) throws(ImageError) -> (Link, LinkClass) {
    func refused(_ field: String, _ value: String) -> ImageError {
      ImageError(file, .badValue(field: field, value: value), at: offset)
    }
    guard let index = Int32(exactly: entry.ifindex), index > 0 else {
      throw refused("ifindex", "\(Int32(truncatingIfNeeded: entry.ifindex))")
    }
    guard !entry.name.contains(0) else {
      throw refused("the name of a link", quoted(Array(entry.name)))
    }
    guard entry.hasLink else {
      let link = try CRIULinkData.link(
        entry, index: index, surroundings, file: file, offset: offset)
      return (link, CRIULinkData.linkClass(of: entry))
    }
    let what = "link \(quoted(Array(entry.name)))"
    let record: NetlinkRecord
    do throws(NetlinkFormatError) {
      record = try NetlinkRecord(type: MessageType.newLink, payload: Array(entry.link)[...])
    } catch {
      throw ImageError(file, .netlink(error, in: what), at: offset)
    }
    let link = Link(record)
    guard link.index == index else {
      throw refused("ifindex", "\(index) where the kernel said \(link.index)")
    }
    guard link.name == Array(entry.name) else {
      throw refused(
        "the name of a link",
        "\(quoted(Array(entry.name))) where the kernel said "
          + quoted(link.name))
    }
    return (link, try linkClass(of: entry, refused))
  }

  private static func setClass(
    _ linkClass: LinkClass, of entry: inout ImageNetworkDeviceEntry
  ) {
    switch linkClass {
    case .native: entry.linkClass = 1
    case .madeByKernel: entry.linkClass = 2
    case .externalByPlugin: entry.linkClass = 3
    case .externalByKey(let key):
      entry.linkClass = 4
      entry.key = Data(key.utf8)
    }
  }

  private static func linkClass(
    of entry: ImageNetworkDeviceEntry, _ refused: (String, String) -> ImageError
  ) throws(ImageError) -> LinkClass {
    switch entry.linkClass {
    case 1: return .native
    case 2: return .madeByKernel
    case 3: return .externalByPlugin
    case 4:
      let key = String(decoding: entry.key, as: UTF8.self)
      guard !key.isEmpty, !key.utf8.contains(0) else {
        throw refused("the key of a link", quoted(Array(entry.key)))
      }
      return .externalByKey(key)
    default: throw refused("the class of a link", "\(entry.linkClass)")
    }
  }
}
