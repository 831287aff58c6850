import LinkTable
import Testing

@Suite("Netlink records")
struct NetlinkRecordTests {
  private let link = Link(
    index: 7, type: 1, flags: 0x1043,
    [
      NetlinkAttribute(LinkAttribute.name.rawValue, text: Array("br0".utf8)),
      NetlinkAttribute(LinkAttribute.mtu.rawValue, UInt32(1400)),
      NetlinkAttribute(
        LinkAttribute.linkInfo.rawValue,
        nested: NetlinkAttributes([
          NetlinkAttribute(1, text: Array("bridge".utf8)),
          NetlinkAttribute(2, nested: NetlinkAttributes([NetlinkAttribute(5, UInt32(1))])),
        ])),
    ])

  private func stream(_ bytes: ArraySlice<UInt8>) throws -> [NetlinkRecord] {
    var position = bytes.startIndex
    return try NetlinkRecord.stream(bytes, position: &position)
  }

  @Test("what is written is read")
  func roundTrip() throws {
    let bytes = link.record.message() + link.record.message(flags: 2, sequence: 9)
    let read = try stream(bytes[...])
    #expect(read == [link.record, link.record])
    let again = Link(read[0])
    #expect(again.displayName == "br0")
    #expect(again.mtu == 1400)
    #expect(again.kind == "bridge")
    #expect(again.kindData[5]?.u32 == 1)
    #expect(again.isUp)
    #expect(again.index == 7)
  }

  @Test("every cut of a message is refused or has no more than it says")
  func cuts() throws {
    let bytes = link.record.message()
    for count in 1..<bytes.count {
      #expect(throws: NetlinkFormatError.self) { try stream(bytes.prefix(count)) }
    }
  }

  @Test("an attribute whose length lies", arguments: [0, 3, 200] as [UInt16])
  func lyingAttribute(length: UInt16) throws {
    var bytes = link.record.message()
    bytes.replaceSubrange(32..<34, with: length.nativeBytes)
    #expect(throws: NetlinkFormatError.self) { try stream(bytes[...]) }
  }

  @Test("every byte changed to every extreme: never a trap")
  func mutations() {
    let bytes = link.record.message()
    for index in bytes.indices {
      for value: UInt8 in [0, 1, 4, 0x7F, 0x80, 0xFF] {
        var changed = bytes
        changed[index] = value
        for record in (try? stream(changed[...])) ?? [] {
          let link = Link(record)
          _ = (link.displayName, link.kind, link.kindData, link.alternativeNames, link.mtu)
        }
      }
    }
  }
}
