import MountTable
import TestSupport
import Testing

@Suite("Drawing mount trees")
struct RenderingTests {
  @Test func theTreeHasBranches() throws {
    let tree = try table(
      "1 0 8:1 / /\n2 1 0:2 / /a\n3 2 0:3 / /a/b\n4 2 0:4 / /a/c\n5 4 0:5 / /a/c/d\n6 1 0:6 / /z")
    #expect(
      renderTree(tree) { "\($0.mountPoint)" } == [
        "/", "├─/a", "│ ├─/a/b", "│ └─/a/c", "│   └─/a/c/d", "└─/z",
      ])
  }

  @Test func twoColumns() {
    #expect(sideBySide(["/", "└─/abc"], ["/"]) == ["/      │ /", "└─/abc │ "])
    #expect(sideBySide(["12345678"], ["x"], width: 4) == ["123… │ x"])
  }

  @Test(
    "options that mean the same",
    arguments: [
      ("size=64k,mode=755", "mode=755,size=65536", "tmpfs", true),
      ("size=1m,nr_inodes=1k", "nr_inodes=1024,size=1048576", "tmpfs", true),
      ("inode64,uid=0,gid=0,mode=1777", "", "tmpfs", true),
      ("uid=0", "", "fuse", false),
      ("a,b", "b,a", "ext4", true),
      ("a,a", "a", "ext4", false),
      ("context=\"u:s0:c1,c2\",x", "x,context=\"u:s0:c1,c2\"", "ext4", true),
      ("context=\"u:s0:c1,c2\"", "c2\",context=\"u:s0:c1", "ext4", false),
      ("size=99999999999999999999g", "size=1", "tmpfs", false),
    ])
  func normalising(one: String, other: String, type: String, areEqual: Bool) {
    let type = KernelString(type)
    #expect(
      (normalisedOptions(KernelString(one), of: type)
        == normalisedOptions(KernelString(other), of: type)) == areEqual)
  }
}
