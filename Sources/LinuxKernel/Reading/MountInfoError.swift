import MountTable

/// A line of a mountinfo file that cannot be understood.
public struct MountInfoError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Why a line is no mount.
  public enum Reason: Hashable, Sendable {
    case badMountID
    case badParentID
    case badDevice
    case missingRoot
    case missingMountPoint
    case mountPointNotAbsolute
    case missingMountOptions
    /// Optional fields end with ` - `, which is not there.
    case missingSeparator
    case missingFileSystem
    case missingSource
    case missingSuperblockOptions
    /// The options of a mount begin with `ro` or `rw`.
    case notReadOnlyNorWritable
    case unknownMountOption(KernelString)
    case badPeerGroup(KernelString)
    case holdsNUL
    /// libmount refuses a line in which nothing wrong was found here.
    case refusedByLibmount
    case outOfMemory
  }

  /// The line, counted from 1.
  public var line: Int
  public var reason: Reason

  public init(line: Int, _ reason: Reason) {
    self.line = line
    self.reason = reason
  }

  public var description: String { "mountinfo line \(line): \(reason.description)" }
}

extension MountInfoError.Reason: CustomStringConvertible {
  public var description: String {
    switch self {
    case .badMountID: "the mount ID (field 1) is not a number of 31 bits"
    case .badParentID: "the parent's ID (field 2) is not a number of 31 bits"
    case .badDevice: "the device (field 3) is not major:minor"
    case .missingRoot: "the root within the file system (field 4) is missing"
    case .missingMountPoint: "the mount point (field 5) is missing"
    case .mountPointNotAbsolute: "the mount point (field 5) does not begin with a slash"
    case .missingMountOptions: "the mount options (field 6) are missing"
    case .missingSeparator: "\" - \" after the optional fields is missing"
    case .missingFileSystem: "the file system type (after \" - \") is missing"
    case .missingSource: "the source (second after \" - \") is missing"
    case .missingSuperblockOptions: "the superblock options (third after \" - \") are missing"
    case .notReadOnlyNorWritable: "the options begin with neither \"ro\" nor \"rw\""
    case .unknownMountOption(let option): "the mount option \"\(option)\" is not known"
    case .badPeerGroup(let field): "the optional field \"\(field)\" holds no number"
    case .holdsNUL: "it holds a NUL byte"
    case .refusedByLibmount: "libmount does not understand it"
    case .outOfMemory: "there is no memory left to read it"
    }
  }
}
