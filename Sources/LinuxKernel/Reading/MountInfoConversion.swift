import CMooring
import Glibc
import MountTable

/// Makes values of what libmount holds, beside the lines it read them from.
struct MountInfoConversion {
  private var lines: LineWalk
  private let hasDevRoot: Bool
  private var mounts: [Mount] = []
  private var failure: MountInfoError?
  private var lastRoot = SharedBytes()
  private var lastFileSystem = SharedBytes()
  private var lastSource = SharedBytes()
  private var lastOptions = SharedBytes()

  init(lines: UnsafeRawBufferPointer, count: Int) {
    self.lines = LineWalk(lines)
    hasDevRoot =
      lines.baseAddress.map { mooring_holds($0, lines.count, " /dev/root ") } ?? false
    mounts.reserveCapacity(max(count, 0))
  }

  consuming func convert(_ table: borrowing LibmountTable) throws(MountInfoError) -> [Mount] {
    var conversion = self
    var isMark = true
    table.walk { entry in
      if isMark {
        isMark = false
        return true
      }
      do throws(MountInfoError.Reason) {
        try conversion.add(entry)
        return true
      } catch {
        conversion.failure = MountInfoError(line: conversion.lines.number, error)
        return false
      }
    }
    if let failure = conversion.failure { throw failure }
    if conversion.nextLine() != nil {
      throw MountInfoError(line: conversion.lines.number, .refusedByLibmount)
    }
    return conversion.mounts
  }

  private mutating func nextLine() -> MountInfoLine? {
    while let bytes = lines.next() {
      let line = MountInfoLine(bytes)
      if !line.isRemark { return line }
    }
    return nil
  }

  private mutating func add(_ entry: borrowing LibmountEntry) throws(MountInfoError.Reason) {
    guard var line = nextLine() else { throw .refusedByLibmount }
    let numbers = try line.numbers().get()
    guard numbers.id == entry.id, numbers.parent == entry.parent else { throw .refusedByLibmount }
    guard let root = entry.root else { throw .missingRoot }
    guard let target = entry.target else { throw .missingMountPoint }
    guard target.pointee == 0x2F else { throw .mountPointNotAbsolute }
    guard let mountOptions = entry.mountOptions else { throw .missingMountOptions }
    guard let fileSystem = entry.fileSystem else { throw .missingFileSystem }
    guard let options = entry.superblockOptions else { throw .missingSuperblockOptions }
    let (attributes, isIDMapped) = try MountInfoOptions.attributes(mountOptions)
    let (flags, ownOptions) = try MountInfoOptions.superblock(options)
    let (rootBytes, isDeleted) = withoutMarker(root)
    var mount = Mount(
      id: MountID(numbers.id), parent: MountID(numbers.parent), device: .init(entry.device),
      root: MountPath(lastRoot.array(rootBytes)),
      mountPoint: MountPath(Array(UnsafeRawBufferPointer(start: target, count: strlen(target)))),
      attributes: attributes, fileSystem: KernelString(lastFileSystem.array(fileSystem)),
      source: KernelString(entry.source.map { lastSource.array($0) } ?? []),
      superblockFlags: flags, superblockOptions: KernelString(lastOptions.array(ownOptions)))
    mount.isRootDeleted = isDeleted
    if isIDMapped { mount.idMapping = IDMapping(users: [], groups: []) }
    if let fields = entry.optionalFields {
      try MountInfoOptions.propagation(fields, into: &mount)
    }
    if hasDevRoot, let source = line.rawSource(), source.elementsEqual("/dev/root".utf8) {
      mount.source = "/dev/root"
    }
    mounts.append(mount)
  }

  /// A root without the kernel's marker for one that is unlinked.
  private func withoutMarker(_ root: UnsafePointer<CChar>) -> (UnsafeRawBufferPointer, Bool) {
    DeletedMarker.split(UnsafeRawBufferPointer(start: root, count: strlen(root)))
  }
}

/// `//deleted`, which the kernel puts behind a root that has been unlinked.
enum DeletedMarker {
  private static let text: StaticString = "//deleted"

  static func split(_ root: UnsafeRawBufferPointer) -> (UnsafeRawBufferPointer, Bool) {
    let length = text.utf8CodeUnitCount
    guard root.count >= length,
      memcmp(root.baseAddress! + (root.count - length), text.utf8Start, length) == 0
    else { return (root, false) }
    // The root of a superblock cannot be unlinked, so that something always stands in front.
    return (UnsafeRawBufferPointer(rebasing: root[..<(root.count - length)]), true)
  }
}

extension DeviceNumber {
  /// The number as the C library packs it (`makedev`).
  init(_ device: UInt64) {
    self.init(
      major: UInt32((device >> 8) & 0xFFF | (device >> 32) & 0xFFFF_F000),
      minor: UInt32(device & 0xFF | (device >> 12) & 0xFFFF_FF00))
  }
}
