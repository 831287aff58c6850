import Glibc
import MountTable

/// Which files of a directory go with the set of images in it: the images, and what their inventory says
/// that plugins have put beside them. All others are somebody else's.
struct SetMembers {
  private let others: Set<[UInt8]>

  /// A set whose inventory cannot be read has no others.
  init(of directory: CInt) {
    let inventory = try? Self.inventory(in: directory)
    others = Set((inventory?.otherFiles ?? []).map { Array($0) })
  }

  /// Whether a name is one of them, and a regular file.
  func contain(_ name: [UInt8], in directory: CInt) -> Bool {
    DirectoryTree.isImage(name, in: directory)
      || others.contains(name) && DirectoryTree.isRegular(name, in: directory)
  }

  /// `nil` where there is none.
  static func inventory(in directory: CInt) throws(ImageError) -> ImageInventoryEntry? {
    guard let bytes = try ImageFiles.read(ImageName.inventory, in: directory) else { return nil }
    return try ImageFraming.onlyEntry(
      of: ImageInventoryEntry.self, kind: .inventory, file: ImageName.inventory, bytes: bytes)
  }
}
