import Glibc
import KernelModel
import Testing

/// The trees of `fixtures/trees`, which `Tests/Whole/model.sh` builds on the kernel too.
@Suite("Named trees")
struct NamedTreeTests {
  @Test(arguments: [
    "chain-of-masters", "complex-sharing", "deleted-roots", "moves", "non-uniform-shares",
    "peers-without-common-root", "shared-parent", "shared-root", "tucked-under", "unbindable",
  ])
  func comesBack(name: String) throws {
    for newUser in [false, true] {
      var container = try ModelContainer(newUser: newUser)
      for command in try commands(name) { container.perform(command) }
      let outcome = RestoreTrial(container, newUser: newUser).outcome()
      guard case .equal = outcome else {
        Issue.record("\(outcome)\n\(mountInfoText(try container.table()))")
        continue
      }
    }
  }

  private func commands(_ name: String) throws -> [TreeCommand] {
    let here = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let file = try #require(fopen("/\(here)/fixtures/trees/\(name).commands", "r"))
    defer { fclose(file) }
    var text: [UInt8] = []
    while case let byte = getc(file), byte != EOF { text.append(UInt8(truncatingIfNeeded: byte)) }
    return String(decoding: text, as: UTF8.self).split(separator: "\n")
      .map { TreeCommand(line: String($0)) }
  }
}
