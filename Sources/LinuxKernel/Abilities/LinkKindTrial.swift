import CMooring
import Glibc
import LinkTable
import SystemPackage

/// Whether links of a kind can be made: without making one, and without loading a module.
enum LinkKindTrial {
  /// A kind that can be made no links of, in words.
  struct Missing: Error, CustomStringConvertible {
    var kind: String
    var description: String {
      let module = LinkKind.module(of: kind)
      return "this kernel has no links of the kind \(kind), and no module \(module)"
    }
  }

  static func run(_ kind: String) throws {
    if try !isRegistered(kind), !isModule(kind) { throw Missing(kind: kind) }
  }

  /// Asks for the links of the kind. Of a kind that the kernel does not know it lists them all, the
  /// loopback among them, which is of no kind.
  private static func isRegistered(_ kind: String) throws(SystemCallFailure) -> Bool {
    let kindName = NetlinkAttribute(1, text: Array(kind.utf8))
    let request = NetlinkRecord(
      type: 18, header: [UInt8](repeating: 0, count: 16),
      attributes: NetlinkAttributes([
        NetlinkAttribute(18, nested: NetlinkAttributes([kindName]))
      ]))
    let links = try NetlinkSocket().dump(request, "the links of the kind \(kind)")
    return !links.contains { Link($0).type == 772 }
  }

  /// Whether `modprobe` knows a module for it: `rtnl-link-KIND` is what the kernel asks for.
  private static func isModule(_ kind: String) -> Bool {
    modules(aliases, bringLinksOf: kind)
  }

  /// Whether there is a line such as `alias rtnl-link-vlan 8021q`.
  static func modules(_ aliases: [UInt8], bringLinksOf kind: String) -> Bool {
    // A tun device is made by opening a device.
    let alias = kind == "tun" ? "devname:net/tun" : "rtnl-link-\(kind)"
    return mooring_holds(aliases, aliases.count, "alias \(alias) ")
  }

  /// `modules.alias` of this kernel; empty where it has no modules.
  private static let aliases: [UInt8] = {
    var names = utsname()
    guard uname(&names) == 0 else { return [] }
    let release = withUnsafeBytes(of: &names.release) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    guard
      let file = try? Descriptor.open("/lib/modules/\(release)/modules.alias", flags: O_RDONLY)
    else { return [] }
    return NetworkPlace.contents(file.number)
  }()
}
