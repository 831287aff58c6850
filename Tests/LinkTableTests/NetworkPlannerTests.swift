import LinkTable
import RestorePlan
import Testing

@Suite("Planning and comparing networks")
struct NetworkPlannerTests {
  private func link(
    _ name: String, _ index: Int32, kind: String, lower: Int32? = nil, namespace: Int32? = nil,
    flags: UInt32 = 0x1002
  ) -> Link {
    var list = [
      NetlinkAttribute(LinkAttribute.name.rawValue, text: Array(name.utf8)),
      NetlinkAttribute(LinkAttribute.mtu.rawValue, UInt32(1500)),
      NetlinkAttribute(
        LinkAttribute.linkInfo.rawValue,
        nested: NetlinkAttributes([NetlinkAttribute(1, text: Array(kind.utf8))])),
    ]
    if let lower { list.append(NetlinkAttribute(LinkAttribute.link.rawValue, lower)) }
    if let namespace {
      list.append(NetlinkAttribute(LinkAttribute.linkNamespaceID.rawValue, namespace))
    }
    return Link(index: index, type: 1, flags: flags, list)
  }

  private func subjects(_ plan: LinkPlan) -> [String] {
    plan.steps.map(\.subject).filter { $0.hasPrefix("create ") }
  }

  @Test("links below come before links above, whatever their indices")
  func order() {
    let plan = FabricatedKindTests.request([
      FabricatedKindTests.loopback, link("top", 2, kind: "vlan", lower: 3),
      link("middle", 3, kind: "macvlan", lower: 4), link("bottom", 4, kind: "dummy"),
    ]).plan()
    #expect(plan.findings.isEmpty)
    #expect(subjects(plan).map { $0.split(separator: " ")[2] } == ["bottom", "middle", "top"])
  }

  @Test("a loop of links, which only a lying image has, ends")
  func loop() {
    let plan = FabricatedKindTests.request([
      FabricatedKindTests.loopback, link("one", 2, kind: "vlan", lower: 3),
      link("two", 3, kind: "vlan", lower: 2),
    ]).plan()
    #expect(subjects(plan).count == 2)
  }

  @Test("a pair is made once")
  func pair() {
    let plan = FabricatedKindTests.request([
      FabricatedKindTests.loopback, link("a", 2, kind: "veth", lower: 3),
      link("b", 3, kind: "veth", lower: 2),
    ]).plan()
    #expect(subjects(plan) == ["create link a (veth, index 2) and link b (veth, index 3)"])
  }

  @Test("what is outside is settled by a mapping, or is a problem with its cure")
  func outside() throws {
    let links = [
      FabricatedKindTests.loopback, link("v", 2, kind: "veth", lower: 9, namespace: 0),
      link("m", 3, kind: "macvlan", lower: 8, namespace: 0),
    ]
    var request = FabricatedKindTests.request(links, host: [link("eth0", 4, kind: "dummy")])
    let cures = request.plan().problems.flatMap(\.cures)
    #expect(cures.contains { $0.hasPrefix("--external 'veth[v]:OUT'") })
    #expect(cures.contains { $0.hasPrefix("--external 'macvlan[m]:LOWER'") })
    request.awaitsScript = true
    #expect(request.plan().problems.isEmpty)
    request.options.external = [
      try #require(try LinkOption(parsing: "veth[v]:eth0")),
      try #require(try LinkOption(parsing: "macvlan[m]:none")),
    ]
    #expect(request.plan().problems.count == 2)
    request.options.external = [
      try #require(try LinkOption(parsing: "veth[v]:out@br0")),
      try #require(try LinkOption(parsing: "macvlan[m]:eth0")),
    ]
    #expect(request.plan().problems.count == 1)
    request.host.append(link("br0", 5, kind: "bridge"))
    let plan = request.plan()
    #expect(plan.problems.isEmpty)
    #expect(plan.steps.contains { $0.slot == .host && $0.subject.contains("port of br0") })
  }

  @Test("clashes are found: names, alternative names, indices")
  func clashes() {
    var request = FabricatedKindTests.request([
      FabricatedKindTests.loopback, link("a", 2, kind: "dummy"), link("b", 3, kind: "dummy"),
    ])
    request.existing = [[FabricatedKindTests.loopback, link("other", 3, kind: "dummy")]]
    let plan = request.plan()
    #expect(plan.problems.isEmpty)
    #expect(plan.findings.contains { "\($0)".contains("link b (3) becomes 4") })
    request.existing[0].append(link("a", 7, kind: "dummy"))
    #expect(request.plan().problems.count == 1)
    #expect(request.plan().steps.isEmpty)
  }

  @Test("options that cannot be")
  func options() {
    for text in [
      "veth[a-name-of-16-byt]:x", "veth[a]", "veth[a]:b/c", "macvlan[]:x", "net[]:x", "net[key]:x",
      "veth[a", "veth[a]x",
    ] {
      #expect(throws: OptionError.self) { _ = try LinkOption(parsing: text) }
    }
    #expect((try? LinkOption(parsing: "mnt[/a]:b")) == .some(nil))
  }

  @Test("lists are brought from what is there to what was saved, and no further")
  func changes() {
    func route(_ last: UInt8, link: Int32, gateway: Bool = false) -> NetlinkRecord {
      NetlinkRecord(
        type: MessageType.newRoute, header: [2, 32, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0],
        attributes: .init(
          [NetlinkAttribute(1, [10, 0, 0, last]), NetlinkAttribute(4, link)]
            + (gateway ? [NetlinkAttribute(5, [10, 0, 0, 1])] : [])))
    }
    let changes = RecordChanges(
      .routes, from: [route(1, link: 2), route(2, link: 2), route(3, link: 7)],
      to: [route(9, link: 2, gateway: true), route(1, link: 2), route(8, link: 2)], links: [2])
    #expect(changes.removals.map { $0.attributes[1]?.payload.last } == [2])
    #expect(changes.additions.map { $0.attributes[1]?.payload.last } == [8, 9])
  }

  @Test("a comparison goes by names, not by indices, and names what differs")
  func comparison() {
    func table(_ index: Int32, _ mtu: UInt32) -> NetworkTable {
      var table = NetworkTable()
      var changed = link("a", index, kind: "dummy")
      changed.record.attributes.set(NetlinkAttribute(LinkAttribute.mtu.rawValue, mtu))
      table.links = [changed]
      table.addresses = [
        NetlinkRecord(
          type: MessageType.newAddress, header: [2, 24, 0x80, 0] + index.nativeBytes,
          attributes: .init([
            NetlinkAttribute(2, [10, 0, 0, 1]), NetlinkAttribute(8, UInt32(0x80)),
          ]))
      ]
      table.sysctls = [Sysctl(path: Array("ipv4/ip_forward".utf8), value: Array("\(mtu)".utf8))]
      return table
    }
    let saved = SavedNetwork(id: 9, inode: 1, table: table(2, 1500), classes: [.native])
    var same = table(7, 1500)
    #expect(NetworkComparison(expected: saved, found: same).isEqual)
    same = table(7, 1400)
    #expect(
      NetworkComparison(expected: saved, found: same).differences == [
        "link a: mtu is 1400, expected 1500",
        "setting net/ipv4/ip_forward is \"1400\", expected \"1500\"",
      ])
    same.addresses = []
    #expect(
      NetworkComparison(expected: saved, found: same).differences
        .contains("address 10.0.0.1/24 link a is not there"))
  }

  @Test("a link-local address that came with the carrier is no difference; any other is")
  func lateCarriers() {
    func table(_ flags: UInt32, _ addresses: [[UInt8]]) -> NetworkTable {
      var table = NetworkTable()
      var changed = link("a", 2, kind: "bond")
      changed.flags = flags
      changed.record.attributes.set(
        NetlinkAttribute(LinkAttribute.queueing.rawValue, Array("noqueue\0".utf8)))
      table.links = [changed]
      table.addresses = addresses.map { address in
        NetlinkRecord(
          type: MessageType.newAddress, header: [10, 64, 0x80, 253] + Int32(2).nativeBytes,
          attributes: .init([
            NetlinkAttribute(1, address), NetlinkAttribute(8, UInt32(0x80)),
            NetlinkAttribute(11, [2]),
          ]))
      }
      return table
    }
    let (own, other) = (
      [0xFE, 0x80] + [UInt8](repeating: 1, count: 14), [UInt8](repeating: 0x20, count: 16)
    )
    let (waiting, ready) = (UInt32(0x1), UInt32(0x1_0041))
    func differences(_ flags: UInt32, _ address: [UInt8]) -> Int {
      let saved = SavedNetwork(id: 9, inode: 1, table: table(flags, []), classes: [.native])
      return NetworkComparison(expected: saved, found: table(ready, [address])).differences.count
    }
    #expect(differences(waiting, own) == 0)
    #expect(differences(waiting, other) == 1)
    #expect(differences(ready, own) == 1)
  }
}
