import CMooring
import Glibc
import LinuxKernel
import MountTable
import PluginHost

extension Driver {
  /// Performs one action, its words separated by commas, and says what came of it.
  ///
  /// ```
  /// dump-mount,PATH,ID  restore-mount,ID,PATH[,file|directory]  restore-many,COUNT  dump-link,I,T,KIND
  /// dump-file,ID  restore-file,ID  try-file,ID  dump-socket,ID  restore-socket,ID  inventory
  /// sleep-mount,ID,PATH (and then ends without a word)  finish,yes|no
  /// ```
  func perform(_ action: [String], _ chain: PluginChain) throws -> String {
    func word(_ index: Int) -> String { index < action.count ? action[index] : "" }
    func number(_ index: Int) -> UInt32 { UInt32(word(index)) ?? 0 }
    switch action[0] {
    case "dump-mount":
      return try chain.dumpExternalMount(MountPath(word(1)), id: MountID(number(2))) ?? "nobody"
    case "dump-long-mount":
      let path = "/" + String(repeating: "x", count: Int(number(1)) - 1)
      return try chain.dumpExternalMount(MountPath(path), id: MountID(1)) ?? "nobody"
    case "restore-mount":
      let mount = try chain.restoreExternalMount(
        MountID(number(1)), path: MountPath(word(2)),
        expectsFile: word(3).isEmpty ? nil : word(3) == "file")
      return describe(mount)
    case "restore-many": return try restoreMany(Int(number(1)), chain)
    case "dump-link":
      return try chain.dumpExternalLink(
        index: Int32(number(1)), type: Int32(number(2)), kind: word(3)) ?? "nobody"
    case "dump-file":
      let file = try Descriptor.open("/etc/passwd", flags: O_RDONLY)
      return try chain.dumpFile(file.number, id: number(1)) ?? "nobody"
    case "dump-socket":
      let file = try Descriptor.open("/etc/group", flags: O_RDONLY)
      return try chain.dumpUnixSocket(file.number, inode: number(1)) ?? "nobody"
    case "restore-file":
      while true {
        if case .opened(let file) = try chain.restoreFile(number(1)).takeFile() {
          return text(of: file)
        }
      }
    case "try-file":
      switch try chain.restoreFile(number(1)).takeFile() {
      case .notYet: return "again"
      case .opened(let file): return text(of: file)
      }
    case "restore-socket": return text(of: try chain.restoreUnixSocket(inode: number(1)))
    case "inventory": return chain.inventoryPlugins.joined(separator: " ")
    case "finish":
      if word(1) == "yes" { try chain.finish() } else { chain.abandon() }
      return "done"
    case "mounts":
      return String(contents("/proc/self/mountinfo").count { $0 == 0x0A })
    default: return "no such action"
    }
  }

  private func text(of file: consuming Descriptor) -> String {
    String(decoding: contents(of: file.number), as: UTF8.self)
  }

  /// Who mounted it, and the first words of the file, or of the file `marker` in the directory.
  private func describe(_ mount: consuming RestoredMount) -> String {
    let path = "/proc/self/fd/\(mount.mount.number)"
    let words = contents(mount.isFile ? path : path + "/marker").prefix { $0 != 0x0A }
    return "\(mount.plugin) \(mount.isFile ? "file" : "directory") "
      + String(decoding: words, as: UTF8.self)
  }

  /// Milliseconds for the first and the second half.
  private func restoreMany(_ count: Int, _ chain: PluginChain) throws -> String {
    func half() throws -> Int {
      let start = milliseconds()
      for _ in 0..<count / 2 {
        _ = try chain.restoreExternalMount(MountID(1), path: "/data", expectsFile: false)
      }
      return milliseconds() - start
    }
    return "\(count) \(try half()) \(try half())"
  }

  private func milliseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
  }
}

/// A plugin in Swift. Its name says what it does.
struct DriverPlugin: MooringPlugin {
  struct Refusal: Error, CustomStringConvertible { let description = "it does not want to" }

  let name: String

  func initialise(_ stage: PluginStage) throws {
    print("\(name) initialise \(stage)")
    if name == "refuses" { throw Refusal() }
  }

  func finish(_ stage: PluginStage, succeeded: Bool) {
    print("\(name) finish \(stage) \(succeeded)")
  }

  func dumpExternalMount(_ mountPoint: MountPath, id: MountID) throws -> PluginAnswer {
    if name == "fails" { throw Refusal() }
    return name == "answers" ? .mine : .notMine
  }

  func dumpFile(_ descriptor: CInt, id: UInt32) throws -> PluginAnswer {
    name == "answers" ? .mine : .notMine
  }

  func restoreFile(_ id: UInt32) throws -> RestoredFile? {
    switch name {
    case "answers": .opened(try Descriptor.open("/etc/passwd", flags: O_RDONLY))
    case "waits": .notYet
    case "fails": throw Refusal()
    default: nil
    }
  }

  func restoreExternalMount(
    _ id: MountID, at mountPoint: MountPath
  ) throws -> ExternalMountSource? {
    switch name {
    case "answers": return .path("/etc")
    case "file": return .path("/etc/passwd")
    case "new":
      let root = try Descriptor.open("/", flags: openPath)
      return .mount(try MountCalls.cloneTree(Array("etc".utf8), below: root.number))
    case "fails": throw Refusal()
    default: return nil
    }
  }
}
