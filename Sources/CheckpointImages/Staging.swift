import CMooring
import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// The directory in which a set of images is made, and how it takes its place.
final class Staging {
  private enum Method { case create, exchange, fileByFile }

  private let method: Method
  /// Where the staging directory is: the destination's parent, or the destination.
  private let place: Descriptor
  /// The staging directory's name in `place`.
  let name: [UInt8]
  /// The destination's name in `place`, but for `fileByFile`.
  private let target: [UInt8]
  private let staged: Descriptor
  private var isFinished = false

  var descriptor: CInt { staged.number }
  var placeDescriptor: CInt { place.number }

  /// Whether a former set goes through the staging directory when this one takes its place.
  var replacesFormer: Bool { method != .create }

  /// - Parameter willMake: told before a name is made in a directory.
  init(
    for path: [UInt8], willMake: (_ directory: CInt, _ name: [UInt8]) -> Void = { _, _ in }
  ) throws(SystemCallFailure) {
    let (parentPath, target) = Self.split(path)
    let parent = try Descriptor.open(parentPath, flags: O_RDONLY | O_DIRECTORY)
    guard let destination = try Self.openExisting(path) else {
      name = try Self.make(in: parent.number, named: target, willMake)
      staged = try Descriptor.open(
        name, below: parent.number, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      method = .create
      place = parent
      self.target = target
      return
    }
    var about = stat()
    fstat(destination.number, &about)
    if Self.canBeMoved(destination.number, about, named: target, in: parent.number),
      let made = try? Self.make(in: parent.number, named: target, willMake)
    {
      name = made
      staged = try Descriptor.open(
        name, below: parent.number, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      if about.st_uid != geteuid() || about.st_gid != getegid() {
        fchown(staged.number, about.st_uid, about.st_gid)
      }
      fchmod(staged.number, about.st_mode & 0o7777)
      method = .exchange
      place = parent
      self.target = target
    } else {
      name = try Self.make(in: destination.number, named: Array("images".utf8), willMake)
      staged = try Descriptor.open(
        name, below: destination.number, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      method = .fileByFile
      place = destination
      self.target = []
    }
  }

  /// Removes what was staged, unless it has been committed.
  func discard() {
    if isFinished { return }
    isFinished = true
    DirectoryTree.remove(name, in: place.number)
  }

  func commit() throws(SystemCallFailure) {
    switch method {
    case .create: try DirectoryTree.rename(name, in: place.number, to: target, in: place.number)
    case .exchange: try exchange()
    case .fileByFile: try moveFiles()
    }
    isFinished = true
  }

  /// The new directory for the old one, and back into the new one what was others' in the old one.
  private func exchange() throws(SystemCallFailure) {
    try DirectoryTree.exchange(name, target, in: place.number)
    var moved: [[UInt8]] = []
    do throws(SystemCallFailure) {
      let old = try Descriptor.open(
        name, below: place.number, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      do throws(SystemCallFailure) {
        let former = SetMembers(of: old.number)
        for file in try ImageFiles.names(in: old.number)
        where !former.contain(file, in: old.number) {
          if !DirectoryTree.isDirectory(file, in: old.number),
            DirectoryTree.exists(file, in: staged.number)
          {
            continue
          }
          try DirectoryTree.rename(file, in: old.number, to: file, in: staged.number)
          moved.append(file)
        }
      } catch {
        for file in moved.reversed() {
          try? DirectoryTree.rename(file, in: staged.number, to: file, in: old.number)
        }
        throw error
      }
    } catch {
      try? DirectoryTree.exchange(name, target, in: place.number)
      throw error
    }
    DirectoryTree.remove(name, in: place.number)
  }

  /// The old files into a directory of their own, then the new files into their places.
  private func moveFiles() throws(SystemCallFailure) {
    let new = Self.inventoryLast(try ImageFiles.names(in: staged.number))
    let names = Set(new)
    let former = SetMembers(of: place.number)
    let old = try ImageFiles.names(in: place.number).filter { file in
      file != name && (names.contains(file) || former.contain(file, in: place.number))
    }
    let backupName = try Self.make(in: staged.number, named: Array("old".utf8))
    let backup = try Descriptor.open(
      backupName, below: staged.number, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    var away: [[UInt8]] = []
    var into: [[UInt8]] = []
    do throws(SystemCallFailure) {
      for file in Self.inventoryLast(old).reversed() {
        if DirectoryTree.isDirectory(file, in: place.number) {
          throw SystemCallFailure("rename", on: quoted(file), .fileExists)
        }
        try DirectoryTree.rename(file, in: place.number, to: file, in: backup.number)
        away.append(file)
      }
      for file in new {
        try DirectoryTree.rename(file, in: staged.number, to: file, in: place.number)
        into.append(file)
      }
    } catch {
      for file in into.reversed() {
        try? DirectoryTree.rename(file, in: place.number, to: file, in: staged.number)
      }
      var isWhole = true
      for file in away.reversed() {
        do throws(SystemCallFailure) {
          try DirectoryTree.rename(file, in: backup.number, to: file, in: place.number)
        } catch {
          isWhole = false
        }
      }
      isFinished = !isWhole  // what could not go back is not thrown away
      throw error
    }
    DirectoryTree.remove(name, in: place.number)
  }

  private static func inventoryLast(_ names: [[UInt8]]) -> [[UInt8]] {
    let inventory = Array(ImageName.inventory.utf8)
    return names.filter { $0 != inventory } + names.filter { $0 == inventory }
  }

  private static func split(_ path: [UInt8]) -> (parent: [UInt8], name: [UInt8]) {
    var path = path
    while path.count > 1 && path.last == 0x2F { path.removeLast() }
    guard let slash = path.lastIndex(of: 0x2F) else { return ([0x2E], path) }
    return (slash == 0 ? [0x2F] : Array(path[..<slash]), Array(path[(slash + 1)...]))
  }

  private static func openExisting(_ path: [UInt8]) throws(SystemCallFailure) -> Descriptor? {
    do throws(SystemCallFailure) {
      return try Descriptor.open(path, flags: O_RDONLY | O_DIRECTORY)
    } catch {
      if error.errno == .noSuchFileOrDirectory { return nil }
      throw error
    }
  }

  /// Whether the destination is a plain directory that another can take the place of.
  private static func canBeMoved(
    _ destination: CInt, _ about: stat, named name: [UInt8], in parent: CInt
  ) -> Bool {
    if name.isEmpty || name == [0x2E] || name == [0x2E, 0x2E] { return false }
    var entry = stat()
    let isThere = withPath(name) { fstatat(parent, $0, &entry, AT_SYMLINK_NOFOLLOW) == 0 }
    guard isThere, entry.st_dev == about.st_dev, entry.st_ino == about.st_ino,
      mooring_is_mount_root(destination) == 0
    else { return false }
    var working = stat()
    guard stat(".", &working) == 0 else { return false }
    return working.st_dev != about.st_dev || working.st_ino != about.st_ino
  }

  /// Makes a directory with a name that nobody has, for its owner only.
  private static func make(
    in directory: CInt, named name: [UInt8], _ willMake: (CInt, [UInt8]) -> Void = { _, _ in }
  ) throws(SystemCallFailure) -> [UInt8] {
    while true {
      let suffix = String(UInt64.random(in: .min ... .max), radix: 36)
      let made = [0x2E] + name.prefix(200) + Array(".\(suffix)".utf8)
      willMake(directory, made)
      if withPath(made, { mkdirat(directory, $0, 0o700) }) == 0 { return made }
      if errno != EEXIST { try checked(-Int(errno), "mkdir", quoted(made)) }
    }
  }
}
