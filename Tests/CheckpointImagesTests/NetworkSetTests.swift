import FoundationEssentials
import Glibc
import LinkTable
import MountTable
import RestorePlan
import Testing

@testable import CheckpointImages

/// Networks to images and back.
@Suite struct NetworkSetTests {
  @Test(arguments: 0..<40)
  func whatIsWrittenIsRead(seed: Int) throws {
    var dice = Dice(seed)
    let inodes: [UInt64] = [4_026_532_001, 4_026_532_002, 4_026_532_003]
    let count = Int.random(in: 1...3, using: &dice)
    var networks: [SavedNetwork] = []
    for index in 0..<count {
      networks.append(TestNetwork.random(&dice, inode: inodes[index], others: inodes))
    }
    if seed % 4 == 0 {
      networks.append(
        SavedNetwork(
          id: 0, inode: 4_026_532_009, table: NetworkTable(), classes: [], externalKey: "outer"))
    }
    let container = TestNetwork.container(networks)
    #expect(Set(container.networks.map(\.id)).count == networks.count)
    let set = try NetworkSet(container)
    #expect(try set.load() == container)
  }

  @Test func numbersAreNoOthers() throws {
    var container = try ImageSetTests.container()
    container.namespaces.own[.network] = 11
    let whole = SavedContainer(
      mounts: container.mounts, namespaces: container.namespaces,
      networks: [
        TestNetwork.network(inode: 11), TestNetwork.network(inode: 12),
        TestNetwork.network(inode: 13),
      ])
    #expect(whole.parts == [.mounts, .links])
    let ids = whole.networks.map(\.id)
    #expect(whole.namespaceIDs[.network] == ids[0])
    #expect(Set(ids + whole.namespaceIDs.filter { $0.key != .network }.values).count == 10)
    let set = try NetworkSet(whole)
    let read = try ImageDirectory.open(set.path).load()
    #expect(read.networks == whole.networks)
    #expect(read.mounts == whole.mounts && read.namespaceIDs == whole.namespaceIDs)
    let entry = try ImageFraming.onlyEntry(
      of: ImageTaskIDs.self, kind: .ids, file: "ids-1.img", bytes: try set.bytes("ids-1.img"))
    #expect(entry.netNsID == ids[0])
  }

  @Test func partsCanBeReadAlone() throws {
    let links = try NetworkSet(TestNetwork.container([TestNetwork.network()]))
    let directory = try ImageDirectory.open(links.path)
    #expect(try directory.parts() == .links)
    let container = try directory.load(only: .links)
    #expect(container.mountTable == nil && container.networks.count == 1)
    #expect(throws: ImageError(links.path, .lacks(.mounts))) { try directory.load() }
    #expect(
      ImageError("d", .lacks(.mounts)).description
        == "d: the set has no mounts; it was saved without")

    let net = try ImageDirectory.open("\(fixtures)/net")
    #expect(try net.parts() == [.mounts, .links])
    #expect(try net.load(only: .mounts).networks.isEmpty)
    #expect(try net.load(only: .links).mountTable == nil)
    #expect(try net.load().networks.count == 1)

    let mounts = try NetworkSet(try ImageSetTests.container())
    let other = try ImageDirectory.open(mounts.path)
    #expect(try other.parts() == .mounts)
    #expect(throws: ImageError(mounts.path, .lacks(.links))) { try other.load(only: .links) }
  }

  /// A namespace that was dumped by its name, without a process: nothing else is the container's own.
  @Test func aNetworkAloneHasANumberOfItsOwn() throws {
    let container = SavedContainer(
      mounts: nil, namespaces: ContainerNamespaces(), networks: [TestNetwork.network()])
    let set = try NetworkSet(container)
    let read = try set.load()
    #expect(read.networks == container.networks)
    #expect(read.networks[0].id == 9)
    #expect(read.namespaces.own.isEmpty)
  }

  @Test func aContainerWithoutANetworkHasNone() throws {
    let container = SavedContainer(
      mounts: nil, namespaces: ContainerNamespaces(own: [.uts: 5]), parts: .links)
    let set = try NetworkSet(container)
    #expect(try set.load().networks.isEmpty)
  }

  @Test func tenThousandLinks() throws {
    let count: Int32 = 10_000
    let links =
      [TestNetwork.loopback]
      + (2...count).map { index in
        Link(
          index: index, type: 1, flags: 0x1003,
          [
            TestNetwork.name("veth\(index)"), TestNetwork.attribute(.mtu, UInt32(1500)),
            TestNetwork.attribute(.link, index == count ? 2 : index + 1),
            TestNetwork.attribute(.master, Int32(2)), TestNetwork.kind("veth"),
          ])
      }
    let network = TestNetwork.network(links) { table in
      table.addresses = links.map {
        TestNetwork.record(
          MessageType.newAddress, index: $0.index, [NetlinkAttribute(1, UInt32($0.index))])
      }
      table.routes = links.map {
        TestNetwork.record(MessageType.newRoute, [NetlinkAttribute(4, $0.index)])
      }
      table.queueing = links.map {
        TestNetwork.record(
          MessageType.newQueueing, index: $0.index,
          [
            NetlinkAttribute(7, [UInt8](repeating: 1, count: 200))
          ])
      }
    }
    let container = TestNetwork.container([network])
    let set = try NetworkSet(container)
    #expect(try set.load().networks == container.networks)
  }

  @Test func unknownFieldsAreKept() throws {
    // Field 900, a varint, and field 2000, bytes.
    let unknown: [UInt8] = [0xA0, 0x38, 0x05, 0x82, 0x7D, 0x02, 0x61, 0x62]
    let link = NetworkDeviceEntry.entry(of: TestNetwork.loopback, .native, .init(own: 3))
    let bytes: [UInt8] = try link.serializedBytes()
    let entry = try ImageNetworkDeviceEntry(serializedBytes: bytes + unknown)
    let again: [UInt8] = try entry.serializedBytes()
    #expect(again.suffix(unknown.count) == unknown[...] && again.count == bytes.count + 8)
    let network = try ImageNetworkEntry(serializedBytes: unknown)
    let rewritten: [UInt8] = try network.serializedBytes()
    #expect(rewritten == unknown)
  }
}
