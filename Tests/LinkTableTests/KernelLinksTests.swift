import LinkTable
import RestorePlan
import Testing

@Suite("Links from kernel to kernel")
struct KernelLinksTests {
  private func link(
    _ name: String, _ index: Int32, _ kind: String, _ data: [NetlinkAttribute] = [],
    lower: Int32? = nil
  ) -> Link {
    var info = [NetlinkAttribute(1, text: Array(kind.utf8))]
    if !data.isEmpty { info.append(NetlinkAttribute(2, nested: NetlinkAttributes(data))) }
    var list = [
      NetlinkAttribute(LinkAttribute.name.rawValue, text: Array(name.utf8)),
      NetlinkAttribute(LinkAttribute.linkInfo.rawValue, nested: NetlinkAttributes(info)),
    ]
    if let lower { list.append(NetlinkAttribute(LinkAttribute.link.rawValue, lower)) }
    return Link(index: index, type: 1, flags: 0x1002, list)
  }

  /// `localbypass` came with Linux 6.5.
  private func bypass(_ value: UInt8) -> NetlinkAttribute { NetlinkAttribute(31, value) }
  private let number = NetlinkAttribute(1, UInt32(5))

  private func problems(
    _ links: [Link], _ kernel: KernelLinks, leavingOut text: String? = nil
  ) throws -> [String] {
    var request = FabricatedKindTests.request([FabricatedKindTests.loopback] + links)
    request.kernelLinks = kernel
    if let text {
      var leftOut = LeaveOut()
      try leftOut.add(parsing: text)
      request.networks[0] = request.networks[0].leavingOut(leftOut)
    }
    return request.plan().problems.map(\.description)
  }

  @Test("a kind that the kernel does not have is one problem, with the module and the option")
  func missing() throws {
    var kernel = KernelLinks()
    kernel.missing = ["vlan"]
    let links = [
      link("d0", 2, "dummy"), link("v1", 3, "vlan", lower: 2), link("v2", 4, "vlan", lower: 2),
      link("m0", 5, "macvlan", lower: 3),
    ]
    let found = try problems(links, kernel)
    #expect(found.count == 1)
    #expect(found[0].contains("(v1, v2)") && found[0].contains("modprobe 8021q"))
    #expect(found[0].contains("--leave-out 'link:vlan'"))
    #expect(try problems(links, kernel, leavingOut: "link:vlan").isEmpty)
  }

  @Test("what lies on a link that is left out is left out, and what is about it")
  func leavingOut() throws {
    var leftOut = LeaveOut()
    try leftOut.add(parsing: "link:vlan")
    var network = FabricatedKindTests.request([
      FabricatedKindTests.loopback, link("d0", 2, "dummy"), link("v1", 3, "vlan", lower: 2),
      link("m0", 5, "macvlan", lower: 3),
    ]).networks[0]
    network.table.addresses = [2, 5].map { index in
      NetlinkRecord(
        type: MessageType.newAddress, header: [2, 24, 0x80, 0] + Int32(index).nativeBytes,
        attributes: .init([NetlinkAttribute(2, [10, 0, 0, UInt8(index)])]))
    }
    let left = network.leavingOut(leftOut)
    #expect(left.table.links.map(\.displayName) == ["lo", "d0"])
    #expect(left.classes.count == 2)
    #expect(left.table.addresses.count == 1)
  }

  @Test("a parameter that the kernel does not have is a problem where somebody chose it")
  func parameters() throws {
    var kernel = KernelLinks()
    kernel.parameters["vxlan"] = [1, 15]
    #expect(try problems([link("x", 2, "vxlan", [number, bypass(1)])], kernel).isEmpty)
    let chosen = [link("x", 2, "vxlan", [number, bypass(0)])]
    let found = try problems(chosen, kernel)
    #expect(found.count == 1)
    #expect(found.first?.contains("--leave-out 'link-parameter:vxlan/localbypass'") ?? false)
    #expect(
      try problems(chosen, kernel, leavingOut: "link-parameter:vxlan/localbypass").isEmpty)
  }

  @Test("a comparison takes a parameter that this kernel does not tell of for its usual value")
  func comparison() {
    func differences(_ saved: [NetlinkAttribute], _ found: [NetlinkAttribute]) -> [String] {
      let network = FabricatedKindTests.request([link("x", 2, "vxlan", saved)]).networks[0]
      var table = network.table
      table.links = [link("x", 2, "vxlan", found)]
      return NetworkComparison(expected: network, found: table).differences
    }
    #expect(differences([number, bypass(1)], [number]) == [])
    #expect(differences([number, bypass(0)], [number, bypass(1)]).count == 1)
    #expect(differences([number], [NetlinkAttribute(1, UInt32(6))]).count == 1)
  }
}
