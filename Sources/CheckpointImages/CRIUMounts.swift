import MountTable
import RestorePlan

/// What CRIU writes about mounts in other words than the kernel's, put into the kernel's.
enum CRIUMounts {
  /// - Parameter mapping: of the container's user namespace, where it has one.
  static func adapt(_ table: inout MountTable, _ mapping: IDMapping?) {
    // It mounts a devpts by these options; each is an instance of its own since Linux 4.7.
    let terminals = table.mounts.indices.filter { table.mounts[$0].fileSystem == "devpts" }
    table.annotate(terminals) { mount in
      mount.superblockOptions = mapWords(of: mount.superblockOptions) {
        $0 == "newinstance" ? nil : $0
      }
    }
    guard let mapping else { return }
    // As the container sees them; the kernel shows them, and we keep them, as the engine does.
    let owned = table.mounts.indices.filter { table.mounts[$0].fileSystem == "tmpfs" }
    table.annotate(owned) { mount in
      mount.superblockOptions = mapWords(of: mount.superblockOptions) {
        outsideOwner($0, mapping)
      }
    }
  }

  private static func mapWords(
    of options: KernelString, _ body: (KernelString) -> KernelString?
  ) -> KernelString {
    let words = options.bytes.split(separator: 0x2C).compactMap { body(KernelString(Array($0))) }
    return KernelString(Array(words.map(\.bytes).joined(separator: [0x2C])))
  }

  private static func outsideOwner(_ word: KernelString, _ mapping: IDMapping) -> KernelString {
    let text = word.description
    for (prefix, ranges) in [("uid=", mapping.users), ("gid=", mapping.groups)]
    where text.hasPrefix(prefix) {
      guard let id = UInt32(text.dropFirst(prefix.count)) else { continue }
      for range in ranges where id >= range.inside && id - range.inside < range.count {
        let (outside, isTooLarge) = range.outside.addingReportingOverflow(id - range.inside)
        if !isTooLarge { return KernelString(prefix + String(outside)) }
      }
    }
    return word
  }
}
