import CMooring
import Glibc
import MountTable

/// What text cannot say, from `listmount` and `statmount` (Linux 6.8; IDs of a namespace 6.11,
/// idmaps 6.15): 64-bit IDs, superblock flags, idmaps.
///
/// Optional by nature: a kernel without these calls, or a namespace that may not be looked into,
/// leaves the mounts as the text has them.
struct MountCompletion {
  private let namespace: UInt64

  /// `nil` where the kernel does not name mount namespaces.
  init?(of pid: Int32) {
    guard let file = try? Descriptor.open("/proc/\(pid)/ns/mnt", flags: O_RDONLY) else {
      return nil
    }
    var id: UInt64 = 0
    // NS_GET_MNTNS_ID: _IOR(0xb7, 0x5, __u64)
    guard mooring_ioctl_u64(file.number, 0x8008_B705, &id) >= 0 else { return nil }
    namespace = id
  }

  private static let pageSize = 4096
  private static let wantedMask: UInt64 = 0x1 | 0x2 | 0x2000 | 0x4000  // SB_BASIC MNT_BASIC *IDMAP

  func complete(_ mounts: inout [Mount]) {
    guard let ids = listAll() else { return }
    var indexOfID = [UInt32: Int](minimumCapacity: mounts.count)
    for (index, mount) in mounts.enumerated() { indexOfID[mount.id.rawValue] = index }
    var buffer = [UInt64](repeating: 0, count: 512)
    for id in ids {
      var request = mooring_mnt_id_req(
        size: 32, spare: 0, mnt_id: id, param: Self.wantedMask, mnt_ns_id: namespace)
      var result = -Int(EOVERFLOW)
      while result == -Int(EOVERFLOW) && buffer.count < 1 << 20 {
        let size = buffer.count * 8
        result = buffer.withUnsafeMutableBytes { mooring_statmount(&request, $0.baseAddress, size) }
        if result == -Int(EOVERFLOW) { buffer = [UInt64](repeating: 0, count: buffer.count * 4) }
      }
      guard result >= 0 else { continue }
      buffer.withUnsafeBytes { read($0, id, indexOfID, &mounts) }
    }
  }

  /// Offsets of `struct statmount`: mask 8, sb_flags 32, mnt_id 40, mnt_id_old 56; idmaps 152…164.
  private func read(
    _ bytes: UnsafeRawBufferPointer, _ id: UInt64, _ indexOfID: [UInt32: Int],
    _ mounts: inout [Mount]
  ) {
    let mask = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    let old = bytes.loadUnaligned(fromByteOffset: 56, as: UInt32.self)
    guard mask & 0x2 != 0, let index = indexOfID[old] else { return }
    mounts[index].uniqueID = id
    if mask & 0x6000 == 0x6000 {
      let users = ranges(bytes, countAt: 152, offsetAt: 156)
      let groups = ranges(bytes, countAt: 160, offsetAt: 164)
      if !users.isEmpty || !groups.isEmpty {
        mounts[index].idMapping = IDMapping(users: users, groups: groups)
      }
    }
  }

  /// Lines "inside outside count", each ended by NUL, from `offset` of the strings at 512 on.
  private func ranges(
    _ bytes: UnsafeRawBufferPointer, countAt: Int, offsetAt: Int
  ) -> [IDMapping.Range] {
    let count = Int(bytes.loadUnaligned(fromByteOffset: countAt, as: UInt32.self))
    var position = 512 + Int(bytes.loadUnaligned(fromByteOffset: offsetAt, as: UInt32.self))
    var found: [IDMapping.Range] = []
    for _ in 0..<min(count, 340) {
      var end = position
      while end < bytes.count && bytes[end] != 0 { end += 1 }
      guard end < bytes.count else { break }
      let numbers = String(decoding: bytes[position..<end], as: UTF8.self).split(separator: " ")
        .compactMap { UInt32($0) }
      if numbers.count == 3 {
        found.append(.init(inside: numbers[0], outside: numbers[1], count: numbers[2]))
      }
      position = end + 1
    }
    return found
  }

  private func listAll() -> [UInt64]? {
    var all: [UInt64] = []
    var page = [UInt64](repeating: 0, count: Self.pageSize)
    while true {
      // LSMT_ROOT, and the last ID seen so far.
      var request = mooring_mnt_id_req(
        size: 32, spare: 0, mnt_id: UInt64.max, param: all.last ?? 0, mnt_ns_id: namespace)
      let count = mooring_listmount(&request, &page, page.count)
      if count < 0 { return nil }
      all.append(contentsOf: page[..<count])
      if count < page.count { return all }
    }
  }
}
