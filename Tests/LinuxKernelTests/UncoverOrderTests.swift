import MountTable
import Testing

@testable import LinuxKernel

@Suite("The order of taking covers off")
struct UncoverOrderTests {
  private func table(_ places: [(parent: Int, path: MountPath)]) throws -> MountTable {
    try MountTable(
      places.enumerated().map { index, place in
        Mount(
          id: MountID(UInt32(index + 1)), parent: MountID(UInt32(place.parent)),
          device: DeviceNumber(major: 0, minor: UInt32(index)), root: "/", mountPoint: place.path,
          fileSystem: "tmpfs")
      })
  }

  @Test func coversComeFirst() throws {
    let table = try table([(0, "/"), (1, "/a/b"), (1, "/a"), (1, "/a-"), (3, "/a"), (3, "/a/x")])
    #expect(
      UncoverOrder.steps(of: table, wanted: [0, 1, 2, 3, 4, 5]) == [
        .visit(4), .takeOff(4), .visit(5), .visit(2), .takeOff(2), .visit(1), .visit(3), .visit(0),
      ])
  }

  @Test func onlyWhatHidesSomethingWantedIsTakenOff() throws {
    let table = try table([(0, "/"), (1, "/a/b"), (1, "/a"), (1, "/a-"), (3, "/a"), (3, "/a/x")])
    #expect(UncoverOrder.steps(of: table, wanted: [4]) == [.visit(4)])
    #expect(UncoverOrder.steps(of: table, wanted: [3]) == [.visit(3)])
    #expect(UncoverOrder.steps(of: table, wanted: [1]) == [.takeOff(4), .takeOff(2), .visit(1)])
    #expect(UncoverOrder.steps(of: table, wanted: [5, 1]).count == 4)
    #expect(UncoverOrder.steps(of: table, wanted: []) == [])
  }

  @Test func aMountOverTheRoot() throws {
    let table = try table([(0, "/"), (1, "/"), (1, "/x"), (2, "/x")])
    #expect(
      UncoverOrder.steps(of: table, wanted: [0, 2, 3])
        == [.visit(3), .takeOff(1), .visit(2), .visit(0)])
  }

  @Test func tenThousandInAChain() throws {
    let chain = try table((0..<10_000).map { ($0, "/") })
    #expect(UncoverOrder.steps(of: chain, wanted: [0]).count == 10_000)
    let wide = try table([(0, "/")] + (1..<10_000).map { (1, MountPath("/m\($0)")) })
    #expect(UncoverOrder.steps(of: wide, wanted: Set(0..<10_000)).count == 10_000)
  }
}
