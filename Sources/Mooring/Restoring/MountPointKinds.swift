import CheckpointImages
import Glibc
import LinuxKernel
import MountTable

/// Whether mounts of something unlinked show a file or a directory, where the images do not say it: the
/// mount point is of the same kind, and that is there (on the root's disk, or in an archive).
enum MountPointKinds {
  /// - Throws: `SystemCallFailure` where the root cannot be opened, `ImageError`, `ContentError`.
  static func complete(
    _ table: inout MountTable, _ images: borrowing ImageDirectory,
    _ archived: Set<DeviceNumber>, root: MountPath?
  ) throws {
    var found: [Int: Bool] = [:]
    for index in table.mounts.indices {
      let mount = table.mounts[index]
      guard mount.isRootDeleted, mount.isFile == nil, let parent = table.parentIndex(of: index)
      else { continue }
      let above = table.mounts[parent]
      guard let rest = mount.mountPoint.relative(to: above.mountPoint), !rest.isEmpty else {
        continue
      }
      let place = above.root.appending(rest)
      if archived.contains(above.device) {
        guard let archive = try images.openContents(of: above.device) else { continue }
        found[index] = try ContentArchive.isFile(place, in: archive.number)
      } else if let root, above.device == table.root.device,
        let path = place.relative(to: table.root.root)
      {
        let directory = try Descriptor.open(root.bytes, flags: openPath | O_DIRECTORY)
        found[index] = isFile(path, below: directory)
      }
    }
    for (index, isFile) in found { table.annotate([index]) { $0.isFile = isFile } }
  }

  /// `nil` where there is nothing, or nothing that can be reached without leaving the root.
  private static func isFile(_ path: [UInt8], below directory: borrowing Descriptor) -> Bool? {
    var status = stat()
    guard
      let place = try? MountCalls.openBeneath(
        path, directory.number, flags: openPath | O_NOFOLLOW),
      fstat(place.number, &status) == 0
    else { return nil }
    return status.st_mode & S_IFMT != S_IFDIR
  }
}
