import CMooring
import Glibc
import LinuxKernel
import RestorePlan
import SystemPackage

/// Extended attributes of a file: names and values as bytes, POSIX ACLs among them.
enum ExtendedAttributes {
  static let accessList = Array("system.posix_acl_access".utf8)
  static let defaultList = Array("system.posix_acl_default".utf8)

  /// All attributes but those that the system makes up; a file system without any has none.
  ///
  /// - Parameter name: below `directory`, links not followed; `nil` for the descriptor itself.
  static func read(
    _ name: [UInt8]?, in directory: CInt
  ) throws(SystemCallFailure) -> [[UInt8]: [UInt8]] {
    let list = try grow { buffer, room in
      withName(name) { mooring_list_attributes(directory, $0, buffer, room) }
    }
    guard let list, !list.isEmpty else { return [:] }
    var found: [[UInt8]: [UInt8]] = [:]
    for attribute in list.split(separator: 0).map({ Array($0) }) where isKept(attribute) {
      let value = try grow { buffer, room in
        withName(name) { path in
          withPath(attribute) { mooring_get_attribute(directory, path, $0, buffer, room) }
        }
      }
      if let value { found[attribute] = value }
    }
    return found
  }

  /// Sets one attribute; errors are the file system's.
  static func set(
    _ attribute: [UInt8], to value: [UInt8], of name: [UInt8]?, in directory: CInt
  ) throws(SystemCallFailure) {
    let set = withName(name) { path in
      withPath(attribute) { attribute in
        value.withUnsafeBytes {
          mooring_set_attribute(directory, path, attribute, $0.baseAddress, $0.count)
        }
      }
    }
    try checked(set, "setxattr", quoted(attribute))
  }

  /// Those whose family is not left out.
  static func leavingOut(
    _ leftOut: LeaveOut, of attributes: [[UInt8]: [UInt8]]
  ) -> [[UInt8]: [UInt8]] {
    if leftOut.isEmpty || attributes.isEmpty { return attributes }
    return attributes.filter { !leftOut.contains(.attribute, family(of: $0.key)) }
  }

  /// `user` of `user.mime_type`.
  static func family(of attribute: [UInt8]) -> String {
    String(decoding: attribute.prefix { $0 != 0x2E }, as: UTF8.self)
  }

  /// `system.` attributes are views of other facts, but for the lists.
  private static func isKept(_ attribute: [UInt8]) -> Bool {
    attribute == accessList || attribute == defaultList
      || !attribute.starts(with: Array("system.".utf8))
  }

  /// What a call that fills a buffer gives; `nil` where there is none or the file system knows none.
  private static func grow(
    _ call: (UnsafeMutablePointer<CChar>, Int) -> Int
  ) throws(SystemCallFailure) -> [UInt8]? {
    var room = 256
    while true {
      var result = 0
      let bytes = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
        result = buffer.withMemoryRebound(to: CChar.self) { call($0.baseAddress!, room) }
        count = max(0, result)
      }
      switch CInt(-result) {
      case ERANGE where room < 1 << 20: room *= 8
      case ENODATA, EOPNOTSUPP: return nil
      default:
        try checked(result, "getxattr", "it")
        return bytes
      }
    }
  }

  private static func withName<Result>(
    _ name: [UInt8]?, _ body: (UnsafePointer<CChar>?) -> Result
  ) -> Result {
    guard let name else { return body(nil) }
    return withPath(name) { body($0) }
  }
}
