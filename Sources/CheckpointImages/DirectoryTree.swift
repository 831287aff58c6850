import CMooring
import Glibc
import LinuxKernel
import SystemPackage

/// What staging does with names in directories.
enum DirectoryTree {
  static func rename(
    _ old: [UInt8], in from: CInt, to new: [UInt8], in to: CInt
  ) throws(SystemCallFailure) {
    let renamed = withPath(old) { old in
      withPath(new) { mooring_renameat2(from, old, to, $0, 0) }
    }
    try checked(renamed, "rename", "\(quoted(old)) to \(quoted(new))")
  }

  /// Exchanges two names; where the file system cannot do so in one step, in three.
  static func exchange(
    _ one: [UInt8], _ other: [UInt8], in directory: CInt
  ) throws(SystemCallFailure) {
    let exchanged = withPath(one) { one in
      withPath(other) {
        mooring_renameat2(directory, one, directory, $0, UInt32(MOORING_RENAME_EXCHANGE))
      }
    }
    if exchanged != -Int(EINVAL) && exchanged != -Int(ENOSYS) {
      try checked(exchanged, "rename", "\(quoted(one)) to \(quoted(other))")
      return
    }
    let between = one + [0x2B]
    try rename(other, in: directory, to: between, in: directory)
    do throws(SystemCallFailure) {
      try rename(one, in: directory, to: other, in: directory)
    } catch {
      try rename(between, in: directory, to: other, in: directory)
      throw error
    }
    try rename(between, in: directory, to: one, in: directory)
  }

  static func exists(_ name: [UInt8], in directory: CInt) -> Bool {
    kind(name, in: directory) != nil
  }

  static func isDirectory(_ name: [UInt8], in directory: CInt) -> Bool {
    kind(name, in: directory) == S_IFDIR
  }

  /// Whether the file belongs to an image set, by its name and by being a file.
  static func isImage(_ name: [UInt8], in directory: CInt) -> Bool {
    guard let name = String(validating: name, as: UTF8.self), ImageName.isPartOfSet(name) else {
      return false
    }
    return isRegular(Array(name.utf8), in: directory)
  }

  static func isRegular(_ name: [UInt8], in directory: CInt) -> Bool {
    kind(name, in: directory) == S_IFREG
  }

  /// Removes a file or a directory with all that is in it, as far as that is possible.
  ///
  /// What a mount covers, or cannot be removed, stays.
  static func remove(_ name: [UInt8], in directory: CInt) {
    if withPath(name, { unlinkat(directory, $0, 0) }) == 0 { return }
    guard
      let opened = try? Descriptor.open(
        name, below: directory, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    else { return }
    for child in (try? ImageFiles.names(in: opened.number)) ?? [] {
      remove(child, in: opened.number)
    }
    _ = withPath(name) { unlinkat(directory, $0, AT_REMOVEDIR) }
  }

  private static func kind(_ name: [UInt8], in directory: CInt) -> mode_t? {
    var about = stat()
    guard withPath(name, { fstatat(directory, $0, &about, AT_SYMLINK_NOFOLLOW) }) == 0 else {
      return nil
    }
    return about.st_mode & S_IFMT
  }
}

/// Removes a name and, where it is a directory, all that is in it; what cannot be removed stays.
public func removeTree(_ name: [UInt8], in directory: CInt) {
  DirectoryTree.remove(name, in: directory)
}
