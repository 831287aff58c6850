import CMooring
import MountTable
import RestorePlan
import SystemPackage

/// Where the executor may write, by what it has put into its slots itself.
///
/// A plan is right about that, and this is for the one that is not: content and mount points go into memory
/// that was made for this restore, or below `--root`; cgroups below a hierarchy. Each write asks first. Clones
/// of a mount stand for nothing: writes go to what they were cloned from.
///
/// The record alone tells a tmpfs that was made from the machine's devtmpfs, which says to `fstatfs` that it is
/// a tmpfs; `fstatfs` tells what the descriptor really leads to.
struct WritePlaces {
  enum Kind: Hashable {
    /// A superblock of a file system in memory, each of which `fsopen` makes anew.
    case memory
    /// The clone of `--root`.
    case root
    case controlGroup
  }

  private var kinds: [Kind?]

  init(slotCount: Int) { kinds = Array(repeating: nil, count: slotCount) }

  /// Notes what the slot holds from now on, until `forget`.
  mutating func note(_ kind: Kind, in slot: Slot) { kinds[slot.number] = kind }

  /// Notes a file system of this type that was just made.
  mutating func noteNew(_ type: KernelString, in slot: Slot) {
    switch type.description {
    case "tmpfs", "ramfs": kinds[slot.number] = .memory
    case "cgroup", "cgroup2": kinds[slot.number] = .controlGroup
    default: kinds[slot.number] = nil
    }
  }

  mutating func forget(_ slot: Slot) { kinds[slot.number] = nil }

  /// What the slot is known to hold, where that is one of `wanted`.
  ///
  /// - Throws: `SystemCallFailure` where it is not, or where the descriptor leads to something else.
  ///
  /// The corresponding system call is `fstatfs`.
  @discardableResult
  func check(
    _ slot: Slot, _ descriptor: CInt, isOneOf wanted: Set<Kind>
  ) throws(SystemCallFailure) -> Kind {
    guard let kind = kinds[slot.number], wanted.contains(kind) else {
      throw refusal(slot, "this restore has not made what is there")
    }
    var (found, flags): (UInt, UInt) = (0, 0)
    try checked(mooring_file_system(descriptor, &found, &flags), "fstatfs", "\(slot)")
    guard kind.holds(UInt32(truncatingIfNeeded: found)) else {
      let type = String(UInt32(truncatingIfNeeded: found), radix: 16)
      throw refusal(slot, "it is a file system of type 0x\(type)")
    }
    return kind
  }

  private func refusal(_ slot: Slot, _ why: String) -> SystemCallFailure {
    SystemCallFailure(
      "write", on: "\(slot)", .notPermitted,
      detail: "\(why); the images are wrong, or the plan of this restore is: report it")
  }
}

extension WritePlaces.Kind {
  /// Whether it can be a file system with this number (`linux/magic.h`).
  fileprivate func holds(_ type: UInt32) -> Bool {
    switch self {
    case .memory: type == 0x0102_1994 || type == 0x8584_58F6  // TMPFS_MAGIC, RAMFS_MAGIC
    case .controlGroup: type == 0x27_E0EB || type == 0x6367_7270  // CGROUP_SUPER_MAGIC, CGROUP2_…
    // proc, sysfs, debugfs, securityfs: nobody's root.
    case .root: ![0x9FA0, 0x6265_6572, 0x6462_6720, 0x7363_6673].contains(type)
    }
  }
}
