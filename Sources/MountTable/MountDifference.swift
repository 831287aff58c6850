/// One way in which a mount tree is not as expected.
public enum MountDifference: Hashable, Sendable, Codable {
  /// A mount that is expected is not there.
  case missing(path: MountPath, fileSystem: KernelString)
  /// A mount is there that is not expected.
  case extra(path: MountPath, fileSystem: KernelString)
  /// A mount is there, but not as expected.
  case changed(path: MountPath, property: Property, expected: String, found: String)

  /// What of a mount can differ.
  public enum Property: String, Hashable, Sendable, Codable, CaseIterable {
    /// The part of the file system that is shown, relative to where its superblock is mapped.
    case root
    case deletedRoot = "deleted root"
    case attributes
    case kind
    case fileSystem = "file system"
    case source
    /// Which mounts share a superblock.
    case superblock
    case superblockFlags = "superblock flags"
    case superblockOptions = "superblock options"
    case peerGroup = "peer group"
    case master
    case unbindable
    case idMapping = "ID mapping"
  }

  public var path: MountPath {
    switch self {
    case .missing(let path, _), .extra(let path, _), .changed(let path, _, _, _): path
    }
  }
}

extension MountDifference: CustomStringConvertible {
  public var description: String {
    switch self {
    case .missing(let path, let type): "\(path) (\(type)) is missing"
    case .extra(let path, let type): "\(path) (\(type)) is not expected"
    case .changed(let path, let property, let expected, let found):
      "\(path): \(property.rawValue) is \(found), expected \(expected)"
    }
  }
}

/// What is not held against a restored tree, because it stands for something outside.
public struct ComparisonRules: Sendable {
  /// Says of an expected mount whether it is external: its type, device, source, options and root are
  /// not compared; the roots of other binds of the same file system are compared relative to its root.
  ///
  /// The namespace root is always treated like that.
  public var isExternal: @Sendable (Mount) -> Bool
  /// Flags that an external mount as it was found, or a bind of one, may have beyond what is expected.
  public var permittedFlags: @Sendable (Mount) -> MountAttributes.Flags = { _ in [] }

  public init(isExternal: @escaping @Sendable (Mount) -> Bool = { _ in false }) {
    self.isExternal = isExternal
  }
}
