import FoundationEssentials
import Glibc
import MountTable
import RestorePlan

/// The images that say what namespaces hold besides objects: names, mappings, clocks.
enum NamespaceImages {
  static func userNamespace(_ mapping: IDMapping) -> ImageUserNamespaceEntry {
    func extent(_ range: IDMapping.Range) -> ImageUserNamespaceEntry.Extent {
      var extent = ImageUserNamespaceEntry.Extent()
      extent.first = range.inside
      extent.lowerFirst = range.outside
      extent.count = range.count
      return extent
    }
    var entry = ImageUserNamespaceEntry()
    entry.uidMap = mapping.users.map(extent)
    entry.gidMap = mapping.groups.map(extent)
    return entry
  }

  /// - Throws: `ImageError` for ranges that the kernel would refuse.
  static func mapping(
    _ entry: ImageUserNamespaceEntry, file: String
  ) throws(ImageError) -> IDMapping {
    func range(_ extent: ImageUserNamespaceEntry.Extent) -> IDMapping.Range {
      IDMapping.Range(inside: extent.first, outside: extent.lowerFirst, count: extent.count)
    }
    let mapping = IDMapping(users: entry.uidMap.map(range), groups: entry.gidMap.map(range))
    if let problem = mapping.problem {
      throw ImageError(file, .badValue(field: "a map of IDs", value: problem))
    }
    return mapping
  }

  static func hostNames(_ namespaces: ContainerNamespaces) -> ImageHostNamesEntry {
    var entry = ImageHostNamesEntry()
    entry.nodename = Data(namespaces.hostName?.bytes ?? [])
    entry.domainname = Data(namespaces.domainName?.bytes ?? [])
    if namespaces.hostName == nil { entry.unknownNodename = true }
    if namespaces.domainName == nil { entry.unknownDomainname = true }
    return entry
  }

  /// The kernel's limit for both names, in bytes (`__NEW_UTS_LEN`).
  private static let longestName = 64

  static func setHostNames(
    of namespaces: inout ContainerNamespaces, from entry: ImageHostNamesEntry, file: String
  ) throws(ImageError) {
    let host = KernelString(Array(entry.nodename))
    let domain = KernelString(Array(entry.domainname))
    for (field, name) in [("nodename", host), ("domainname", domain)] {
      guard name.bytes.count <= longestName, !name.bytes.contains(0) else {
        throw ImageError(file, .badValue(field: field, value: "\"\(name)\""))
      }
    }
    if !entry.unknownNodename { namespaces.hostName = host }
    if !entry.unknownDomainname { namespaces.domainName = domain }
  }

  // CRIU keeps what the clocks showed inside; the offsets are the difference to the clocks outside.

  static func clocks(_ namespaces: ContainerNamespaces) -> ImageTimeNamespaceEntry {
    var entry = ImageTimeNamespaceEntry()
    entry.monotonic = time(reading(CLOCK_MONOTONIC, ahead: namespaces.monotonicOffset))
    entry.boottime = time(reading(CLOCK_BOOTTIME, ahead: namespaces.bootTimeOffset))
    return entry
  }

  static func setOffsets(
    of namespaces: inout ContainerNamespaces, from entry: ImageTimeNamespaceEntry, file: String
  ) throws(ImageError) {
    namespaces.monotonicOffset =
      try nanoseconds(entry.monotonic, "monotonic", file) - reading(CLOCK_MONOTONIC, ahead: 0)
    namespaces.bootTimeOffset =
      try nanoseconds(entry.boottime, "boottime", file) - reading(CLOCK_BOOTTIME, ahead: 0)
  }

  /// An offset as the inventory has it, in nanoseconds: within what the kernel takes
  /// (`KTIME_SEC_MAX / 2` in seconds).
  static func checked(_ offset: Int64, _ field: String) throws(ImageError) -> Int64 {
    guard offset.magnitude <= Int64.max.magnitude / 2 else {
      throw ImageError(ImageName.inventory, .badValue(field: field, value: "\(offset) ns"))
    }
    return offset
  }

  private static func reading(_ clock: clockid_t, ahead: Int64?) -> Int64 {
    var now = timespec()
    clock_gettime(clock, &now)
    let outside = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    let (inside, overflows) = outside.addingReportingOverflow(ahead ?? 0)
    return overflows ? outside : max(0, inside)
  }

  private static func time(_ nanoseconds: Int64) -> ImageTimeNamespaceEntry.Time {
    var time = ImageTimeNamespaceEntry.Time()
    time.tvSec = UInt64(nanoseconds / 1_000_000_000)
    time.tvNsec = UInt64(nanoseconds % 1_000_000_000)
    return time
  }

  private static func nanoseconds(
    _ time: ImageTimeNamespaceEntry.Time, _ field: String, _ file: String
  ) throws(ImageError) -> Int64 {
    guard time.tvSec < UInt64(Int64.max) / 1_000_000_000, time.tvNsec < 1_000_000_000 else {
      throw ImageError(
        file, .badValue(field: field, value: "\(time.tvSec) s and \(time.tvNsec) ns"))
    }
    return Int64(time.tvSec) * 1_000_000_000 + Int64(time.tvNsec)
  }
}
