import LinkTable
import LinuxKernel

/// What must hold of networks before anybody believes them: the same when they are written and when
/// they are read, so that what is written can be read.
///
/// - A link has an index above zero and a name that Linux allows; no two have the same. Its master is
///   there. What it lies on need not be: that may be outside, or gone.
/// - Attributes in attributes are whole, and not nested deeper than the kernel has them.
/// - Records are of the kind of their list, and belong to links that are there.
/// - Paths of settings stay below `/proc/sys/net`.
/// - No two networks are the same namespace, and none calls two of them by one ID.
struct NetworkImageCheck {
  private let network: SavedNetwork
  private var indices: Set<Int32> = []

  /// `IFNAMSIZ`, `ALTIFNAMSIZ`, `MAX_ADDR_LEN`, in bytes, with the final NUL in names.
  private static let nameSize = 16
  private static let alternativeNameSize = 128
  private static let longestAddress = 32
  /// As deep as the kernel's own check of messages goes.
  private static let mostLevels = 10
  private static let longestPayload = Int(UInt16.max) - 4
  private static let nested: UInt16 = 0x8000
  private static let multipath: UInt16 = 9

  private init(_ network: SavedNetwork) { self.network = network }

  /// - Throws: `ImageError` with the file of the network that is not as it must be.
  static func run(_ networks: [SavedNetwork]) throws(ImageError) {
    var inodes: Set<UInt64> = []
    for network in networks {
      guard network.inode == 0 || inodes.insert(network.inode).inserted else {
        throw ImageError(
          ImageName.network(network.id),
          .duplicate("networks with the inode", value: "\(network.inode)"))
      }
      var check = NetworkImageCheck(network)
      try check.run()
    }
  }

  private mutating func run() throws(ImageError) {
    guard network.classes.count == network.table.links.count else {
      throw badLink("the number of classes of links", "\(network.classes.count)")
    }
    var names: Set<[UInt8]> = []
    for link in network.table.links { try check(link, &names) }
    for link in network.table.links {
      guard let master = link[.master] else { continue }
      guard let index = master.i32, index == 0 || indices.contains(index) else {
        throw badLink("the master of \(quoted(link.name))", "\(master.i32 ?? 0)")
      }
    }
    for kind in NetworkRecordKind.allCases {
      for record in kind.records(of: network.table) { try check(record, kind) }
    }
    try checkNames()
    try checkSysctls()
  }

  // MARK: Links

  private mutating func check(_ link: Link, _ names: inout Set<[UInt8]>) throws(ImageError) {
    let file = ImageName.networkDevices(network.id)
    guard link.record.type == MessageType.newLink, link.record.header.count == 16,
      link.record.header[0] == 0
    else { throw badLink("the type of a link's message", "\(link.record.type)") }
    guard link.index > 0 else { throw badLink("the index of a link", "\(link.index)") }
    guard indices.insert(link.index).inserted else {
      throw ImageError(file, .duplicate("links with the index", value: "\(link.index)"))
    }
    let name = link[.name]?.payload ?? []
    let text = link.name
    guard Self.isName(text), name.count <= Self.nameSize,
      name.dropFirst(text.count).allSatisfy({ $0 == 0 })
    else { throw badLink("the name of a link", quoted(text)) }
    try insert(text, into: &names)

    let what = { "link \(quoted(text))" }
    try checkLevels(of: link.record.attributes, 0, file, what)
    let properties = try row(link[.propertyList], file, what)
    for property in properties.all(LinkAttribute.alternativeName.rawValue) {
      let other = property.text
      guard !other.isEmpty, other.count < Self.alternativeNameSize else {
        throw badLink("an alternative name of \(quoted(text))", quoted(other))
      }
      try insert(other, into: &names)
    }
    let info = try row(link[.linkInfo], file, what)
    for type: UInt16 in [2, 5] { _ = try row(info[type], file, what) }
    _ = try row(link[.perFamily], file, what)
    if let address = link.address, address.count > Self.longestAddress {
      throw badLink("the length of the address of \(quoted(text))", "\(address.count) bytes")
    }
    if let id = link.lowerNamespace, id < -1 {
      throw badLink("the namespace of what \(quoted(text)) lies on", "\(id)")
    }
  }

  private func insert(_ name: [UInt8], into names: inout Set<[UInt8]>) throws(ImageError) {
    guard names.insert(name).inserted else {
      throw ImageError(
        ImageName.networkDevices(network.id),
        .duplicate("links with the name", value: quoted(name)))
    }
  }

  /// `dev_valid_name` of Linux.
  private static func isName(_ name: [UInt8]) -> Bool {
    guard !name.isEmpty, name.count < nameSize, name != [0x2E], name != [0x2E, 0x2E] else {
      return false
    }
    return name.allSatisfy { byte in
      byte != 0x2F && byte != 0x3A && byte != 0x20 && byte != 0xA0 && !(0x09...0x0D).contains(byte)
    }
  }

  private func badLink(_ field: String, _ value: String) -> ImageError {
    ImageError(ImageName.networkDevices(network.id), .badValue(field: field, value: value))
  }

  // MARK: Records

  private func check(_ record: NetlinkRecord, _ kind: NetworkRecordKind) throws(ImageError) {
    let file = kind.file(network.id, record)
    guard kind.types.contains(record.type),
      record.header.count == MessageType.headerSize(record.type)
    else {
      throw ImageError(file, .netlink(.unknownType(record.type), in: kind.words))
    }
    try checkLevels(of: record.attributes, 0, file) { kind.words }
    if let index = kind.linkIndex(of: record) { try expect(index, kind, file) }
    if let type = kind.linkAttribute, let attribute = record.attributes[type] {
      guard let index = attribute.i32 else {
        throw ImageError(
          file, .badValue(field: "the link of \(kind.words)", value: "of another size"))
      }
      try expect(index, kind, file)
    }
    guard kind == .routes, let paths = record.attributes[Self.multipath] else { return }
    try checkPaths(paths.payload[...], kind, file)
  }

  /// `struct rtnexthop`: u16 length, u8 flags, u8 hops, i32 index, attributes; padded to four bytes.
  private func checkPaths(
    _ bytes: ArraySlice<UInt8>, _ kind: NetworkRecordKind, _ file: String
  ) throws(ImageError) {
    var rest = bytes
    while !rest.isEmpty {
      let length = Int(UInt16(nativeBytes: rest.prefix(2)))
      guard rest.count >= 8, length >= 8, length <= rest.count else {
        throw ImageError(
          file,
          .netlink(.attributeLength(length, available: rest.count), in: "a path of a route"))
      }
      try expect(Int32(nativeBytes: rest.dropFirst(4).prefix(4)), kind, file)
      let path = NetlinkAttribute(Self.multipath, Array(rest.prefix(length).dropFirst(8)))
      _ = try row(path, file) { "a path of a route" }
      rest = rest.dropFirst((length + 3) & ~3)
    }
  }

  /// Zero stands for none.
  private func expect(
    _ index: Int32, _ kind: NetworkRecordKind, _ file: String
  ) throws(ImageError) {
    guard index == 0 || indices.contains(index) else {
      throw ImageError(file, .unknownLink(index, of: kind.words))
    }
  }

  // MARK: Attributes

  private func row(
    _ attribute: NetlinkAttribute?, _ file: String, _ what: () -> String
  ) throws(ImageError) -> NetlinkAttributes {
    guard let attribute else { return NetlinkAttributes() }
    let attributes = try Self.attributes(of: attribute, file, what)
    try checkLevels(of: attributes, 1, file, what)
    return attributes
  }

  private func checkLevels(
    of attributes: NetlinkAttributes, _ level: Int, _ file: String, _ what: () -> String
  ) throws(ImageError) {
    for attribute in attributes.list {
      guard attribute.payload.count <= Self.longestPayload else {
        throw ImageError(
          file,
          .badValue(
            field: "the size of an attribute of \(what())", value: "\(attribute.payload.count)"))
      }
      guard attribute.rawType & Self.nested != 0 else { continue }
      guard level < Self.mostLevels else { throw ImageError(file, .nestedTooDeep(in: what())) }
      try checkLevels(
        of: try Self.attributes(of: attribute, file, what), level + 1, file, what)
    }
  }

  private static func attributes(
    of attribute: NetlinkAttribute, _ file: String, _ what: () -> String
  ) throws(ImageError) -> NetlinkAttributes {
    do throws(NetlinkFormatError) {
      return try attribute.attributes()
    } catch {
      throw ImageError(file, .netlink(error, in: what()))
    }
  }

  // MARK: The namespace

  private func checkNames() throws(ImageError) {
    let file = ImageName.network(network.id)
    var ids: Set<Int32> = []
    for known in network.table.namespaceIDs {
      guard known.id >= 0 else {
        throw ImageError(file, .badValue(field: "the ID of a namespace", value: "\(known.id)"))
      }
      guard ids.insert(known.id).inserted else {
        throw ImageError(file, .duplicate("namespaces with the ID", value: "\(known.id)"))
      }
    }
    if let key = network.externalKey, key.isEmpty || key.utf8.contains(0) {
      throw ImageError(file, .badValue(field: "ext_key", value: "\"\(key)\""))
    }
  }

  private func checkSysctls() throws(ImageError) {
    for sysctl in network.table.sysctls {
      let parts = sysctl.path.split(separator: 0x2F, omittingEmptySubsequences: false)
      let climbs = parts.contains { $0.isEmpty || $0 == [0x2E] || $0 == [0x2E, 0x2E] }
      guard parts.count > 1, !climbs, !sysctl.path.contains(0), sysctl.path.count < 256 else {
        throw ImageError(
          ImageName.network(network.id),
          .badValue(field: "the path of a setting", value: quoted(sysctl.path)))
      }
      guard !sysctl.value.contains(0), sysctl.value.count <= Int(UInt16.max) else {
        throw ImageError(
          ImageName.network(network.id),
          .badValue(
            field: "the value of \(quoted(sysctl.path))",
            value: "with NUL, or of \(sysctl.value.count) bytes"))
      }
    }
  }
}
