/// A path in a mount table, as bytes: where a mount is attached, or what part of its file system
/// it shows.
///
/// A mount point is always absolute and normal (`isNormal`). A root need not be: cgroup roots may
/// climb (`/../../user.slice`), and the root of an nsfs mount is a name (`net:[4026531840]`).
public struct MountPath: Hashable, Sendable, Comparable {
  public var bytes: [UInt8]

  public static let root = MountPath([0x2F])

  public init(_ bytes: [UInt8]) { self.bytes = bytes }
  public init(_ text: String) { self.bytes = Array(text.utf8) }

  public var isRoot: Bool { bytes == [0x2F] }
  public var isAbsolute: Bool { bytes.first == 0x2F }

  /// Absolute, without empty components, `.`, `..`, NUL or a slash at the end (but for `/` itself).
  public var isNormal: Bool {
    guard isAbsolute else { return false }
    if isRoot { return true }
    return hasNormalNames(from: 1)
  }

  /// Whether what leads from `ancestor`, which contains this path, to it has nothing that `isNormal` forbids.
  public func isNormal(below ancestor: MountPath) -> Bool {
    if bytes.count == ancestor.bytes.count { return true }
    return hasNormalNames(from: ancestor.isRoot ? 1 : ancestor.bytes.count + 1)
  }

  private func hasNormalNames(from start: Int) -> Bool {
    bytes.withUnsafeBufferPointer { bytes in
      // The length of the name being read, and whether it has dots only.
      var length = 0
      var isDots = true
      for byte in bytes[start...] {
        if byte == 0 { return false }
        if byte == 0x2F {
          if length == 0 || isDots && length < 3 { return false }
          length = 0
          isDots = true
        } else {
          length += 1
          if byte != 0x2E { isDots = false }
        }
      }
      return length > 0 && !(isDots && length < 3)
    }
  }

  /// The names between the slashes; none for `/`.
  public var components: [ArraySlice<UInt8>] { bytes.split(separator: 0x2F) }

  /// The number of names between the slashes of a normal path.
  public var depth: Int {
    isRoot ? 0 : bytes.reduce(into: 0) { if $1 == 0x2F { $0 += 1 } }
  }

  /// Whether `other` is this path or lies below it.
  public func contains(_ other: MountPath) -> Bool {
    if isRoot { return other.isAbsolute }
    let count = bytes.count
    guard other.bytes.count >= count else { return false }
    let isPrefix = bytes.withUnsafeBufferPointer { own in
      other.bytes.withUnsafeBufferPointer { own.elementsEqual($0[..<count]) }
    }
    return isPrefix && (other.bytes.count == count || other.bytes[count] == 0x2F)
  }

  /// What leads from `ancestor` to this path, without a slash at the front; empty where they are
  /// equal, `nil` where `ancestor` does not contain this path.
  public func relative(to ancestor: MountPath) -> [UInt8]? {
    guard ancestor.contains(self) else { return nil }
    if ancestor.isRoot { return Array(bytes.dropFirst()) }
    return Array(bytes.dropFirst(ancestor.bytes.count + 1))
  }

  /// This path followed by a relative one; the path itself where `relative` is empty.
  public func appending(_ relative: [UInt8]) -> MountPath {
    if relative.isEmpty { return self }
    return MountPath(isRoot ? bytes + relative : bytes + [0x2F] + relative)
  }

  /// The path without its last name; `nil` for `/`.
  public var parent: MountPath? {
    guard !isRoot, let slash = bytes.lastIndex(of: 0x2F) else { return nil }
    return slash == 0 ? .root : MountPath(Array(bytes[..<slash]))
  }

  public static func < (left: MountPath, right: MountPath) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }
}

extension MountPath: ExpressibleByStringLiteral {
  public init(stringLiteral value: String) { self.init(value) }
}

extension MountPath: CustomStringConvertible {
  public var description: String { escapedText(bytes) }
}

extension MountPath: Codable {
  public init(from decoder: any Decoder) throws {
    bytes = try KernelString(from: decoder).bytes
  }

  public func encode(to encoder: any Encoder) throws {
    try KernelString(bytes).encode(to: encoder)
  }
}
