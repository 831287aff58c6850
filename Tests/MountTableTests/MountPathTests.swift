import MountTable
import Testing

/// Paths as the kernel has them.
@Suite struct MountPathTests {
  @Test(arguments: ["/", "/a", "/a/b", "/...", "/a/..b", "/.a", "/a /b"])
  func normal(path: MountPath) { #expect(path.isNormal) }

  @Test(arguments: ["", "a", "//", "//a", "/a/", "/a//b", "/.", "/..", "/a/./b", "/a/..", "/a\0b"])
  func notNormal(path: MountPath) { #expect(!path.isNormal) }

  /// Only what lies below the ancestor is looked at: a cgroup root may climb.
  @Test func normalBelow() {
    let climbing: MountPath = "/../../a"
    #expect(climbing.isNormal(below: climbing))
    #expect(MountPath("/../../a/b/c").isNormal(below: climbing))
    #expect(!MountPath("/../../a/../c").isNormal(below: climbing))
    #expect(!MountPath("/../../a/").isNormal(below: climbing))
    #expect(MountPath("/a").isNormal(below: .root))
    #expect(MountPath.root.isNormal(below: .root))
    #expect(!MountPath("/../a").isNormal(below: .root))
    #expect(!MountPath("//a").isNormal(below: .root))
  }
}
