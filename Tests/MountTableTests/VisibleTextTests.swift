import MountTable
import Testing

@Suite("Text from elsewhere")
struct VisibleTextTests {
  @Test(arguments: [
    ("plain", "plain"), ("a\u{1B}[2Jb", "a\\033[2Jb"), ("a\u{9B}b", "a\\302\\233b"),
    ("a\u{202E}b", "a\\342\\200\\256b"), ("a\u{200B}b", "a\\342\\200\\213b"),
    ("a\u{FEFF}", "a\\357\\273\\277"), ("a\rb", "a\\015b"), ("a\u{7F}", "a\\177"),
    ("größe", "größe"),
  ])
  func nothingInvisibleComesOut(text: String, visible: String) {
    #expect(visibleText(text, keeping: []) == visible)
    #expect(visibleText(visible, keeping: []) == visible)
  }

  @Test func jsonStaysTheSameValue() {
    #expect(visibleJSON("\"a\u{202E}\u{1F3FB}\"") == "\"a\\u202e\u{1F3FB}\"")
    #expect(visibleJSON("\"\u{E0001}\"") == "\"\\udb40\\udc01\"")
  }

  @Test func whatIsPrintedCanBePasted() {
    #expect(MountPath("/]:b").inOption == "/\\135:b")
    #expect(KernelString("it's").inOption == "it\\047s")
    #expect(KernelString(escaped: "/\\135:b")?.description == "/]:b")
  }

  @Test(arguments: [
    (0, 4_294_967_295, 1), (4_294_967_295, 0, 1), (0, 5, 0), (0, 4_294_967_000, 1000),
  ])
  func mapsThatNoKernelTakes(inside: UInt32, outside: UInt32, count: UInt32) {
    let range = IDMapping.Range(inside: inside, outside: outside, count: count)
    #expect(IDMapping(users: [range], groups: []).problem != nil)
  }

  @Test func rangesThatMeetEachOther() {
    let one = IDMapping.Range(inside: 0, outside: 1000, count: 10)
    let next = IDMapping.Range(inside: 10, outside: 1010, count: 10)
    let other = IDMapping.Range(inside: 5, outside: 2000, count: 10)
    #expect(IDMapping(users: [one, next], groups: []).problem == nil)
    #expect(IDMapping(users: [one, other], groups: []).problem != nil)
  }
}
