import Glibc
import LinuxKernel
import MountTable
import RestorePlan
import SystemPackage

// What has been unlinked while it was mounted: a file of any type or an (empty) directory. Its archive has
// one member, which is called "unlinked"; where the file has another name still, the member is a hard
// link to that name.
extension ContentArchive {
  private static let memberName = Array("unlinked".utf8)

  /// Writes the archive of something that has been unlinked.
  ///
  /// - Parameters:
  ///   - file: a descriptor of it; `O_PATH` will do.
  ///   - otherName: a name that it still has, relative to the root of what the restore makes of its
  ///     file system.
  /// - Throws: `ContentError` where it cannot be read.
  public static func writeUnlinked(
    _ file: CInt, otherName: [UInt8]?, to archive: CInt
  ) throws(ContentError) {
    guard let otherName else {
      let path = MountPath.root.appending(memberName)
      _ = try write(roots: [ContentRoot(path: path, descriptor: file)], to: archive)
      return
    }
    try inCLocale { () throws(ContentError) in
      let status = try attempt(otherName) { () throws(SystemCallFailure) in
        try FileCalls.status(of: file)
      }
      let writer = try ArchiveWriter.open(archive, keepsOddNames: false)
      do throws(ContentError) {
        try writer.begin(memberName, FileFacts(status), firstName: otherName)
        try writer.finish()
      } catch {
        writer.abandon()
        throw error
      }
    }
  }

  /// Makes it again.
  ///
  /// - Parameters:
  ///   - directory: the root of its file system.
  ///   - name: what it is called there for now; nothing may have this name.
  ///   - isFile: whether it is to be a file, of any type, rather than a directory.
  /// - Throws: `ContentError`, also where the archive is not of this form.
  public static func extractUnlinked(
    from archive: CInt, into directory: CInt, as name: [UInt8], isFile: Bool,
    leavingOut leftOut: LeaveOut = .init()
  ) throws(ContentError) {
    try inCLocale { () throws(ContentError) in
      let reader = try ArchiveReader.open(archive, leavingOut: leftOut)
      var extraction = ContentExtraction(root: directory)
      var isMade = false
      while var member = try reader.next() {
        guard !isMade, member.path == memberName else {
          throw ContentError(member.path, .unsupported("the archive is to have one other member"))
        }
        guard isFile == (member.firstName != nil || member.facts.type != S_IFDIR) else {
          throw ContentError(
            memberName, .unsupported("the mount shows a \(isFile ? "file" : "directory"), not this")
          )
        }
        isMade = true
        member.path = name
        try extraction.add(member) { (body) throws(ContentError) in
          try reader.data(of: member, body)
        }
      }
      guard isMade else { throw ContentError(memberName, .archive("the archive is empty")) }
      try extraction.finishDirectories()
    }
  }

  /// How it differs from its archive; where it has another name, only whether it has.
  ///
  /// - Throws: `ContentError` where one of them cannot be read.
  public static func unlinkedDifferences(
    between archive: CInt, and file: CInt, leavingOut leftOut: LeaveOut = .init()
  ) throws(ContentError) -> [ContentDifference] {
    let isLink = try inCLocale { () throws(ContentError) in
      try ArchiveReader.open(archive).next()?.firstName != nil
    }
    let status = try attempt(memberName) { () throws(SystemCallFailure) in
      try FileCalls.status(of: file)
    }
    let isLinked = status.st_mode & S_IFMT != S_IFDIR && status.st_nlink > 0
    guard isLink == isLinked else {
      let names = ["no other name", "another name"]
      return [
        ContentDifference(
          path: .root, property: .hardLink, saved: names[isLink ? 1 : 0],
          live: names[isLinked ? 1 : 0])
      ]
    }
    if isLink { return [] }
    let path = MountPath.root.appending(memberName)
    return try differences(
      between: archive, and: [ContentRoot(path: path, descriptor: file)], leavingOut: leftOut
    ).map { difference in
      var difference = difference
      difference.path = .root
      return difference
    }
  }

  /// The first member with an attribute of a family, such as `user`; `nil` where none has one.
  public static func path(
    withAttributeOf family: String, in archive: CInt
  ) throws(ContentError) -> MountPath? {
    try inCLocale { () throws(ContentError) in
      let reader = try ArchiveReader.open(archive)
      while let member = try reader.next() {
        if member.facts.attributes.keys.contains(where: {
          ExtendedAttributes.family(of: $0) == family
        }) {
          return MountPath.root.appending(member.path)
        }
      }
      return nil
    }
  }

  /// Whether what has a path in an archive of content is something else than a directory; `nil` where
  /// nothing has it.
  ///
  /// - Throws: `ContentError` where the archive cannot be read.
  public static func isFile(
    _ path: MountPath, in archive: CInt
  ) throws(ContentError) -> Bool? {
    guard let name = path.relative(to: .root) else { return nil }
    return try inCLocale { () throws(ContentError) in
      let reader = try ArchiveReader.open(archive)
      while let member = try reader.next() {
        if member.path == name { return member.facts.type != S_IFDIR || member.firstName != nil }
      }
      return nil
    }
  }

  /// Looks for other names of files.
  ///
  /// - Parameter wanted: the files.
  /// - Returns: a name below the root of the file system for each that has one there.
  /// - Throws: `ContentError` where a directory cannot be read.
  public static func names(
    of wanted: Set<FileIdentity>, below roots: [ContentRoot]
  ) throws(ContentError) -> [FileIdentity: [UInt8]] {
    var names: [FileIdentity: [UInt8]] = [:]
    for root in roots {
      try ContentWalk.run(root) { visit in
        let identity = FileIdentity(visit.status)
        if visit.status.st_mode & S_IFMT != S_IFDIR, wanted.contains(identity) {
          names[identity] = visit.path
        }
        return names.count < wanted.count
      }
    }
    return names
  }
}

/// Which file it is, on a running kernel.
public struct FileIdentity: Hashable, Sendable {
  public var device: UInt64
  public var inode: UInt64

  public init(device: UInt64, inode: UInt64) {
    self.device = device
    self.inode = inode
  }

  public init(_ status: stat) {
    self.init(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }
}
