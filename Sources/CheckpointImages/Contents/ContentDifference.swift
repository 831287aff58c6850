import Glibc
import MountTable

/// One thing in which a file system differs from its archive.
public struct ContentDifference: Hashable, Sendable, CustomStringConvertible {
  /// What can differ.
  public enum Property: Hashable, Sendable {
    /// One of them has the file, the other has not.
    case presence
    case type, permissions, owner, group, size, data, modificationTime, linkTarget, device
    /// Which names are names of one file.
    case hardLink
    /// The extended attribute of this name.
    case attribute(KernelString)
  }

  /// From the root of the file system, which is `/`.
  public var path: MountPath
  public var property: Property
  /// What the archive says.
  public var saved: String
  /// What is there.
  public var live: String

  public var description: String { "\(path): \(words): \(saved) saved, \(live) there" }

  private var words: String {
    switch property {
    case .presence: "file"
    case .type: "type"
    case .permissions: "permissions"
    case .owner: "owner"
    case .group: "group"
    case .size: "size"
    case .data: "data"
    case .modificationTime: "modification time"
    case .linkTarget: "target"
    case .device: "device number"
    case .hardLink: "hard link"
    case .attribute(let name): "extended attribute \(name)"
    }
  }
}

extension FileFacts {
  /// How this file, found in a file system, differs from the one in an archive.
  func differences(from saved: FileFacts, ignoringTime: Bool) -> [(
    property: ContentDifference.Property, saved: String, live: String
  )] {
    guard type == saved.type else {
      return [(.type, Self.typeName(saved.type), Self.typeName(type))]
    }
    var found: [(property: ContentDifference.Property, saved: String, live: String)] = []
    func compare<Value: Equatable>(
      _ property: ContentDifference.Property, _ before: Value, _ now: Value,
      _ words: (Value) -> String
    ) {
      if before != now { found.append((property, words(before), words(now))) }
    }
    if type != S_IFLNK {
      compare(.permissions, saved.permissions, permissions) { String($0, radix: 8) }
    }
    compare(.owner, saved.owner, owner) { String($0) }
    compare(.group, saved.group, group) { String($0) }
    compare(.size, saved.size, size) { "\($0) bytes" }
    compare(.linkTarget, saved.target, target) { "\"\(KernelString($0))\"" }
    compare(.device, saved.device, device) { $0.map { "\($0)" } ?? "none" }
    if !ignoringTime {
      compare(.modificationTime, saved.modified, modified) { time in
        let digits = String(time.nanoseconds)
        return "\(time.seconds)." + String(repeating: "0", count: max(0, 9 - digits.count)) + digits
      }
    }
    for name in Set(saved.attributes.keys).union(attributes.keys).sorted(by: precedes) {
      compare(.attribute(KernelString(name)), saved.attributes[name], attributes[name]) {
        $0.map { "\"\(KernelString($0))\"" } ?? "none"
      }
    }
    return found
  }
}

private func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  left.lexicographicallyPrecedes(right)
}
