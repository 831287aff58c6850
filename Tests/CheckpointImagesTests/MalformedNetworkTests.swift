import FoundationEssentials
import Glibc
import LinkTable
import RestorePlan
import Testing

@testable import CheckpointImages

/// Networks that cannot be: a sentence that names the file and what is wrong, never a crash.
@Suite struct MalformedNetworkTests {
  private typealias Net = TestNetwork

  private static func link(
    _ index: Int32 = 2, _ name: String = "x", _ more: [NetlinkAttribute] = []
  ) -> Link {
    Link(index: index, type: 1, flags: 0, [Net.name(name)] + more)
  }

  private static func links(_ links: Link...) -> SavedNetwork {
    Net.network([Net.loopback] + links)
  }

  private static func named(_ bytes: [UInt8]) -> SavedNetwork {
    links(
      Link(
        index: 2, type: 1, flags: 0,
        [NetlinkAttribute(LinkAttribute.name.rawValue, bytes)]))
  }

  private static func table(_ change: (inout NetworkTable) -> Void) -> SavedNetwork {
    Net.network([Net.loopback], change)
  }

  private static func nested(_ levels: Int) -> NetlinkAttribute {
    (0..<levels).reduce(NetlinkAttribute(1, UInt32(0))) { inner, _ in
      NetlinkAttribute(77, nested: NetlinkAttributes([inner]))
    }
  }

  private static func bad(_ field: String, _ value: String) -> ImageError.Problem {
    .badValue(field: field, value: value)
  }

  private static func badName(_ name: String) -> ImageError.Problem {
    bad("the name of a link", "\"\(name)\"")
  }

  private static let lying = NetlinkAttribute(0x8000 | 77, [9, 0, 1, 0])
  private static let liar = NetlinkFormatError.attributeLength(9, available: 4)

  /// The network with number 9, the file that has to be named, and the problem.
  static let networks:
    [(why: String, network: SavedNetwork, file: String, problem: ImageError.Problem)] = [
      (
        "one index twice", links(link(2, "x"), link(2, "y")), "netdev",
        .duplicate("links with the index", value: "2")
      ),
      (
        "one name twice", links(link(2, "x"), link(3, "x")), "netdev",
        .duplicate("links with the name", value: "\"x\"")
      ),
      (
        "another's name as an alternative",
        links(
          link(2, "x"),
          link(3, "y", [NetlinkAttribute(52, nested: .init([.init(53, text: [0x78])]))])),
        "netdev", .duplicate("links with the name", value: "\"x\"")
      ),
      (
        "an alternative name without end",
        links(
          link(
            2, "x",
            [
              NetlinkAttribute(
                52, nested: .init([.init(53, text: .init(repeating: 0x61, count: 128))]))
            ]
          )),
        "netdev",
        bad("an alternative name of \"x\"", "\"" + String(repeating: "a", count: 128) + "\"")
      ),
      ("no name", links(link(2, "")), "netdev", badName("")),
      ("16 bytes", links(link(2, "abcdefghijklmnop")), "netdev", badName("abcdefghijklmnop")),
      ("a slash", links(link(2, "a/b")), "netdev", badName("a/b")),
      ("a colon", links(link(2, "a:b")), "netdev", badName("a:b")),
      ("a blank", links(link(2, "a b")), "netdev", badName("a b")),
      ("dots", links(link(2, "..")), "netdev", badName("..")),
      ("bytes after the end", named([0x61, 0, 0x62]), "netdev", badName("a")),
      (
        "padding beyond the end", named([0x61] + .init(repeating: 0, count: 16)), "netdev",
        badName("a")
      ),
      (
        "a master that is not there",
        links(link(2, "x", [Net.attribute(.master, Int32(7))])), "netdev",
        bad("the master of \"x\"", "7")
      ),
      (
        "a master of two bytes", links(link(2, "x", [Net.attribute(.master, UInt16(1))])),
        "netdev", bad("the master of \"x\"", "0")
      ),
      (
        "an address of 33 bytes",
        links(link(2, "x", [.init(1, [UInt8](repeating: 1, count: 33))])), "netdev",
        bad("the length of the address of \"x\"", "33 bytes")
      ),
      (
        "a namespace below -1",
        links(link(2, "x", [Net.attribute(.linkNamespaceID, Int32(-2))])), "netdev",
        bad("the namespace of what \"x\" lies on", "-2")
      ),
      ("too deep", links(link(2, "x", [nested(11)])), "netdev", .nestedTooDeep(in: "link \"x\"")),
      ("cut short", links(link(2, "x", [lying])), "netdev", .netlink(liar, in: "link \"x\"")),
      (
        "a kind cut short",
        links(link(2, "x", [NetlinkAttribute(18, [9, 0, 1, 0])])), "netdev",
        .netlink(liar, in: "link \"x\"")
      ),
      (
        "parameters of a kind cut short",
        links(
          link(
            2, "x", [NetlinkAttribute(18, nested: .init([NetlinkAttribute(2, [9, 0, 1, 0])]))])),
        "netdev", .netlink(liar, in: "link \"x\"")
      ),
      (
        "an address of no link",
        table { $0.addresses = [Net.record(MessageType.newAddress, index: 5)] }, "ifaddr",
        .unknownLink(5, of: "an address")
      ),
      (
        "a route to no link",
        table { $0.routes = [Net.record(MessageType.newRoute, [.init(4, Int32(5))])] }, "route",
        .unknownLink(5, of: "a route")
      ),
      (
        "a route of IPv6 to no link",
        table {
          $0.routes = [Net.record(MessageType.newRoute, family: 10, [.init(4, Int32(5))])]
        }, "route6", .unknownLink(5, of: "a route")
      ),
      (
        "a path to no link",
        table {
          $0.routes = [Net.record(MessageType.newRoute, [.init(9, [8, 0, 0, 0, 5, 0, 0, 0])])]
        }, "route", .unknownLink(5, of: "a route")
      ),
      (
        "a path without length",
        table {
          $0.routes = [Net.record(MessageType.newRoute, [.init(9, [0, 0, 0, 0, 1, 0, 0, 0])])]
        }, "route", .netlink(.attributeLength(0, available: 8), in: "a path of a route")
      ),
      (
        "half a path",
        table { $0.routes = [Net.record(MessageType.newRoute, [.init(9, [8, 0, 0])])] },
        "route", .netlink(.attributeLength(8, available: 3), in: "a path of a route")
      ),
      (
        "a neighbour of no link",
        table { $0.neighbours = [Net.record(MessageType.newNeighbour, index: 5)] }, "netns",
        .unknownLink(5, of: "a neighbour")
      ),
      (
        "a next hop to no link",
        table { $0.nextHops = [Net.record(MessageType.newNextHop, [.init(5, Int32(5))])] },
        "netns", .unknownLink(5, of: "a next hop")
      ),
      (
        "a rule too deep",
        table { $0.rules = [Net.record(MessageType.newRule, [nested(11)])] }, "rule",
        .nestedTooDeep(in: "a rule")
      ),
      (
        "a climbing setting", table { $0.sysctls = [Net.sysctl("ipv4/../../x", "1")] }, "netns",
        bad("the path of a setting", "\"ipv4/../../x\"")
      ),
      (
        "an absolute setting", table { $0.sysctls = [Net.sysctl("/ipv4/x", "1")] }, "netns",
        bad("the path of a setting", "\"/ipv4/x\"")
      ),
      (
        "one ID for two namespaces",
        table { $0.namespaceIDs = [.init(id: 3, inode: 1), .init(id: 3, inode: 2)] }, "netns",
        .duplicate("namespaces with the ID", value: "3")
      ),
      (
        "no ID", table { $0.namespaceIDs = [.init(id: -1, inode: 1)] }, "netns",
        bad("the ID of a namespace", "-1")
      ),
    ]

  /// A set with one network, as no writer of ours would make it.
  private static func set(_ network: SavedNetwork) throws -> NetworkSet {
    let set = try NetworkSet(Net.container([Net.network()]))
    for name in try set.directory.names("images") where name.hasSuffix("-9.img") {
      set.remove(name)
    }
    let folder = open(set.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { close(folder) }
    try NetworkImages(id: 9, directory: folder).write(network, [:])
    return set
  }

  @Test(arguments: networks.indices)
  func isNeitherReadNorWritten(index: Int) throws {
    let (why, network, file, problem) = Self.networks[index]
    let error = ImageError("\(file)-9.img", problem)
    let set = try Self.set(network)
    #expect(throws: error, "\(why)") { try set.load() }
    #expect(throws: error, "\(why)") {
      try NetworkSet(Net.container([network]))
    }
  }

  @Test func oneNetworkTwice() throws {
    let network = Net.network()
    #expect(
      throws: ImageError(
        "netns-10.img", .duplicate("networks with the inode", value: "4026532001"))
    ) { try NetworkSet(Net.container([network, network])) }
  }

  @Test func anIndexBelowOne() throws {
    for index: Int32 in [0, -1, .min] {
      #expect(
        throws: ImageError(
          "netdev-0.img", .badValue(field: "the index of a link", value: "\(index)"))
      ) { try NetworkImageCheck.run([Self.links(Self.link(index))]) }
      let set = try Self.set(Self.links(Self.link(index)))
      let error = #expect(throws: ImageError.self) { try set.load() }
      #expect(error?.problem == .badValue(field: "ifindex", value: "\(index)"))
    }
  }

  @Test func linksBelowMayBeOutside() throws {
    let network = Self.links(
      Self.link(2, "x", [Net.attribute(.link, Int32(77))]),
      Self.link(
        3, "y", [Net.attribute(.link, Int32(77)), Net.attribute(.linkNamespaceID, Int32(-1))]))
    let container = Net.container([network])
    #expect(try NetworkSet(container).load() == container)
  }

  // MARK: Bytes

  private static let full: SavedNetwork = {
    var dice = Dice(7)
    var network = Net.random(&dice, inode: 4_026_532_001, others: [4_026_532_001])
    network.table.addresses = [
      Net.record(MessageType.newAddress, index: 1, [.init(1, UInt32(1))])
    ]
    network.table.routes = [
      Net.record(MessageType.newRoute, [.init(4, Int32(1))]),
      Net.record(MessageType.newRoute, [.init(9, [8, 0, 0, 0, 1, 0, 0, 0])]),
      Net.record(MessageType.newRoute, family: 10, [.init(4, Int32(1))]),
    ]
    network.table.rules = [Net.record(MessageType.newRule, [.init(15, UInt32(254))])]
    return network
  }()

  private static let files = ["netns", "netdev", "ifaddr", "route", "route6", "rule"]

  @Test(arguments: files)
  func everyChangedByteIsRefusedOrRead(file: String) throws {
    let set = try NetworkSet(Net.container([Self.full]))
    let bytes = try set.bytes("\(file)-9.img")
    try mutate(bytes, in: set, "\(file)-9.img") { _ = try set.load() }
  }

  @Test(arguments: files)
  func everyChangedByteOfCRIUIsRefusedOrRead(file: String) throws {
    let set = try NetworkSet(Net.container([Net.network()]))
    for name in try set.directory.names("images") { set.remove(name) }
    let names = Self.files.map { "\($0)-10.img" } + ["ids-1.img", "inventory.img", "pstree.img"]
    for name in names { try set.replace(name, try fixture("net/\(name)")) }
    _ = try set.load()
    try mutate(try fixture("net/\(file)-10.img"), in: set, "\(file)-10.img") {
      _ = try set.load()
    }
  }

  private func mutate(
    _ bytes: [UInt8], in set: NetworkSet, _ file: String, _ load: () throws -> Void
  ) throws {
    for index in bytes.indices {
      // One change each, and all of them in turn: a set is read for every one.
      var changed = bytes
      changed[index] = [bytes[index] ^ 0x01, bytes[index] ^ 0x80, 0xFF][index % 3]
      try set.replace(file, changed)
      do { try load() } catch is ImageError {}
      guard index % 3 == 0 else { continue }
      try set.replace(file, Array(bytes[..<index]))
      do { try load() } catch is ImageError {}
    }
  }

  private static let message = Net.record(
    MessageType.newAddress, index: 1, [.init(1, UInt32(1))]
  ).message()

  /// What follows the magic number of `ifaddr-9.img`, and what is wrong, where.
  static let streams: [(why: String, bytes: [UInt8], problem: ImageError.Problem, at: Int)] = [
    (
      "a route", Net.record(MessageType.newRoute).message(),
      .netlink(.unknownType(24), in: "an address"), 4
    ),
    (
      "an error", Array(message[..<4]) + [2, 0] + message[6...],
      .netlink(.unknownType(2), in: "an address"), 4
    ),
    (
      "half a header", message + [1, 2, 3],
      .netlink(.messageLength(16, available: 3), in: "an address"), 4 + message.count
    ),
    (
      "no length", [0, 0, 0, 0] + message[4...],
      .netlink(.messageLength(0, available: message.count), in: "an address"), 4
    ),
    (
      "a length beyond the end", [0xFF, 0xFF, 0xFF, 0xFF] + message[4...],
      .netlink(.messageLength(0xFFFF_FFFF, available: message.count), in: "an address"), 4
    ),
    (
      "no fixed part", [18, 0, 0, 0] + message[4..<18],
      .netlink(.shortHeader(type: 20, count: 2), in: "an address"), 4
    ),
    (
      "an attribute beyond the end", Array(message[..<24]) + [99] + message[25...],
      .netlink(.attributeLength(99, available: 8), in: "an address"), 4
    ),
  ]

  @Test(arguments: streams.indices)
  func messagesThatLie(index: Int) throws {
    let (why, bytes, problem, offset) = Self.streams[index]
    let set = try NetworkSet(Net.container([Net.network()]))
    try set.replace("ifaddr-9.img", NetlinkImage.addresses.nativeBytes + bytes)
    #expect(throws: ImageError("ifaddr-9.img", problem, at: offset), "\(why)") {
      try set.load()
    }
  }

  @Test func otherFilesInTheirPlace() throws {
    let set = try NetworkSet(Net.container([Net.network()]))
    try set.replace("ifaddr-9.img", try set.bytes("route-9.img"))
    #expect(
      throws: ImageError(
        "ifaddr-9.img", .wrongMagic(found: NetlinkImage.routes, expected: NetlinkImage.addresses),
        at: 0)
    ) { try set.load() }
    try set.replace("ifaddr-9.img", [0x22])
    #expect(throws: ImageError("ifaddr-9.img", .noHeader, at: 0)) { try set.load() }
    set.remove("ifaddr-9.img")
    #expect(throws: ImageError("ifaddr-9.img", .missing)) { try set.load() }
    set.remove("netns-9.img")
    #expect(throws: ImageError("netns-9.img", .missing)) { try set.load() }
  }

  /// It says 2 GB and has no content: nobody may read it to find out.
  @Test func aFileOfTwoGigabytes() throws {
    let set = try NetworkSet(Net.container([Net.network()]))
    let file = openat(set.directory.descriptor, "images/ifaddr-9.img", O_WRONLY | O_CLOEXEC)
    defer { close(file) }
    try expectZero(ftruncate(file, 2 << 30), "ftruncate")
    #expect(throws: ImageError("ifaddr-9.img", .tooLarge(2 << 30))) { try set.load() }
  }

  @Test func twoEntriesOfOneNetwork() throws {
    let set = try NetworkSet(Net.container([Net.network()]))
    let bytes = try set.bytes("netns-9.img")
    try set.replace("netns-9.img", bytes + bytes[8...])
    #expect(throws: ImageError("netns-9.img", .entryCount(2))) { try set.load() }
  }

  @Test func partsThatNobodyKnows() throws {
    let set = try NetworkSet(Net.container([Net.network()]))
    var entry = try ImageFraming.onlyEntry(
      of: ImageInventoryEntry.self, kind: .inventory, file: "",
      bytes: try set.bytes("inventory.img"))
    entry.parts.append(Data("memory".utf8))
    try set.replace(
      "inventory.img", try ImageFraming.bytes(of: [entry], kind: .inventory, file: ""))
    #expect(
      throws: ImageError(
        "inventory.img", .badValue(field: "a part of the set", value: "\"memory\""))
    ) { try set.load() }
  }

  @Test func entriesThatSayTwoThings() throws {
    let set = try NetworkSet(Net.container([Net.network()]))
    func replace(_ change: (inout ImageNetworkDeviceEntry) -> Void) throws {
      var entry = NetworkDeviceEntry.entry(of: Net.loopback, .madeByKernel, .init(own: 9))
      change(&entry)
      try set.replace(
        "netdev-9.img", try ImageFraming.bytes(of: [entry], kind: .networkDevices, file: ""))
    }
    func problem() -> ImageError.Problem? {
      #expect(throws: ImageError.self) { try set.load() }?.problem
    }
    try replace { $0.ifindex = 2 }
    #expect(problem() == Self.bad("ifindex", "2 where the kernel said 1"))
    try replace { $0.name = Data("x".utf8) }
    #expect(problem() == Self.bad("the name of a link", "\"x\" where the kernel said \"lo\""))
    try replace { $0.linkClass = 9 }
    #expect(problem() == Self.bad("the class of a link", "9"))
    try replace {
      $0.linkClass = 4
      $0.key = Data()
    }
    #expect(problem() == Self.bad("the key of a link", "\"\""))
    try replace {
      $0.clearLink()
      $0.type = 99
    }
    #expect(problem() == Self.bad("the type of a link", "99"))
    try replace {
      $0.clearLink()
      $0.type = 3
    }
    #expect(problem() == .missingField)
    try replace { $0.link = Data([1, 2, 3]) }
    #expect(
      problem() == .netlink(.shortHeader(type: 16, count: 3), in: "link \"lo\""))
  }
}
