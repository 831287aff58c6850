/// The ID of a mount in the first column of `/proc/PID/mountinfo`. Reused after an unmount.
public struct MountID: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
  public var rawValue: UInt32
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }
  public init(from decoder: any Decoder) throws { rawValue = try UInt32(from: decoder) }
  public func encode(to encoder: any Encoder) throws { try rawValue.encode(to: encoder) }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
  public var description: String { String(rawValue) }
}

/// The number of a peer group: `shared:N` and `master:N` of mountinfo.
public struct PeerGroupID: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
  public var rawValue: UInt32
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }
  public init(from decoder: any Decoder) throws { rawValue = try UInt32(from: decoder) }
  public func encode(to encoder: any Encoder) throws { try rawValue.encode(to: encoder) }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
  public var description: String { String(rawValue) }
}

/// Major and minor of a superblock's device, the kernel's name for a superblock.
public struct DeviceNumber: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
  public var major: UInt32
  public var minor: UInt32

  public init(major: UInt32, minor: UInt32) {
    self.major = major
    self.minor = minor
  }

  /// CRIU's packing in `root_dev` and in the names of tmpfs archives: `major << 20 | minor`.
  public init(packed: UInt32) { self.init(major: packed >> 20, minor: packed & 0xFFFFF) }
  public var packed: UInt32 { major << 20 | minor & 0xFFFFF }

  public static func < (left: Self, right: Self) -> Bool {
    (left.major, left.minor) < (right.major, right.minor)
  }
  public var description: String { "\(major):\(minor)" }
}
