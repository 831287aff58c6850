import CMooring
import Glibc
import MountTable

/// `listmount` and `statmount` for one mount namespace, with one buffer for all answers.
///
/// | feature | kernel | where it is missing |
/// |---|---|---|
/// | both calls | 6.8 | the text of mountinfo is all there is |
/// | another namespace, by its ID (`NS_GET_MNTNS_ID`) | 6.11 | the same |
/// | mappings of idmapped mounts | 6.15 | an `IDMapping` without ranges |
///
/// For a namespace of a foreign user namespace both calls want `CAP_SYS_ADMIN` there.
struct Statmount: ~Copyable {
  /// `STATMOUNT_*`: what is asked for. Each bit costs the kernel time.
  struct Mask: OptionSet {
    var rawValue: UInt64
    static let superblock = Mask(rawValue: 1)
    static let mount = Mask(rawValue: 2)
    static let propagateFrom = Mask(rawValue: 4)
    static let root = Mask(rawValue: 8)
    static let mountPoint = Mask(rawValue: 0x10)
    static let fileSystem = Mask(rawValue: 0x20)
    static let options = Mask(rawValue: 0x80)
    static let subtype = Mask(rawValue: 0x100)
    static let source = Mask(rawValue: 0x200)
    /// What the kernel can tell (Linux 6.15).
    static let supported = Mask(rawValue: 0x1000)
    static let users = Mask(rawValue: 0x2000)
    static let groups = Mask(rawValue: 0x4000)
    static let everything: Mask = [
      .superblock, .mount, .propagateFrom, .root, .mountPoint, .fileSystem, .options, .subtype,
      .source, .users, .groups,
    ]
  }

  /// Where the fields of `struct statmount` stand.
  enum Field: Int {
    case options = 4
    case mask = 8
    case deviceMajor = 16
    case deviceMinor = 20
    case superblockFlags = 32
    case fileSystem = 36
    case uniqueID = 40
    case id = 56
    case parentID = 60
    case attributes = 64
    case propagation = 72
    case peerGroup = 80
    case master = 88
    case propagateFrom = 96
    case root = 104
    case mountPoint = 108
    case subtype = 120
    case source = 124
    case supported = 144
    case userCount = 152
    case users = 156
    case groupCount = 160
    case groups = 164
  }

  private static let strings = 512
  private let namespace: UInt64
  private var buffer: UnsafeMutableRawBufferPointer

  init(namespace: UInt64) {
    self.namespace = namespace
    buffer = .allocate(byteCount: 4096, alignment: 8)
  }

  deinit { buffer.deallocate() }

  /// The unique IDs of a mount and of all that can be reached from its root, in ascending order.
  ///
  /// Not what the kernel takes for the namespace's root (`LSMT_ROOT`): to a caller in another namespace
  /// that is the oldest mount on the very first one, which need not be the one that processes see.
  func list(from root: UInt64) -> Result<[UInt64], SystemCallFailure> {
    let page = 4096
    var ids: [UInt64] = []
    var request = mooring_mnt_id_req(
      size: 32, spare: 0, mnt_id: root, param: 0, mnt_ns_id: namespace)
    while true {
      var got = 0
      let part = [UInt64](unsafeUninitializedCapacity: page) { room, count in
        got = mooring_listmount(&request, room.baseAddress, page)
        count = max(got, 0)
      }
      do throws(SystemCallFailure) {
        try checked(got, "listmount", "namespace \(namespace)")
      } catch {
        return .failure(error)
      }
      if ids.isEmpty { ids = part } else { ids += part }
      guard got == page, let last = part.last else { break }
      request.param = last
    }
    // The kernel leaves out the one asked about; it is among the oldest.
    ids.insert(root, at: ids.firstIndex { $0 > root } ?? ids.endIndex)
    return .success(ids)
  }

  /// Asks about one mount; 0 or `-errno`.
  mutating func read(_ id: UInt64, _ mask: Mask) -> Int {
    var request = mooring_mnt_id_req(
      size: 32, spare: 0, mnt_id: id, param: mask.rawValue, mnt_ns_id: namespace)
    while true {
      let result = mooring_statmount(&request, buffer.baseAddress, buffer.count)
      guard result == -Int(EOVERFLOW), buffer.count < 1 << 26 else { return result }
      let larger = buffer.count * 4
      buffer.deallocate()
      buffer = .allocate(byteCount: larger, alignment: 8)
    }
  }

  func has(_ mask: Mask) -> Bool { Mask(rawValue: wide(.mask)).contains(mask) }

  /// Whether the kernel can tell this, of some mount; where `supported` was asked for.
  func knows(_ mask: Mask) -> Bool { Mask(rawValue: wide(.supported)).contains(mask) }

  func number(_ field: Field) -> UInt32 {
    buffer.loadUnaligned(fromByteOffset: field.rawValue, as: UInt32.self)
  }

  func wide(_ field: Field) -> UInt64 {
    buffer.loadUnaligned(fromByteOffset: field.rawValue, as: UInt64.self)
  }

  /// A string of the answer; empty where the kernel gave none.
  func text(_ field: Field, _ mask: Mask) -> UnsafeRawBufferPointer {
    guard has(mask) else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return string(at: Int(number(field)))
  }

  /// The mapping, where the mount is idmapped.
  var idMapping: IDMapping? {
    guard has(.users), has(.groups), number(.userCount) > 0 || number(.groupCount) > 0 else {
      return nil
    }
    return IDMapping(
      users: ranges(.users, number(.userCount)), groups: ranges(.groups, number(.groupCount)))
  }

  private func ranges(_ field: Field, _ count: UInt32) -> [IDMapping.Range] {
    var offset = Int(number(field))
    return (0..<count).compactMap { _ in
      let line = string(at: offset)
      offset += line.count + 1
      return IDMapping.Range(line: line)
    }
  }

  private func string(at offset: Int) -> UnsafeRawBufferPointer {
    let start = Self.strings + offset
    guard start < buffer.count else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    let bytes = buffer.baseAddress! + start
    return UnsafeRawBufferPointer(
      start: bytes, count: strnlen(bytes.assumingMemoryBound(to: CChar.self), buffer.count - start))
  }
}

extension IDMapping.Range {
  /// Reads `inside outside count`, a line of `/proc/PID/uid_map`; `nil` where it is none.
  init?(line: some Collection<UInt8>) {
    let numbers = line.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 }).map {
      UInt32(String(decoding: $0, as: UTF8.self))
    }
    guard numbers.count == 3, let inside = numbers[0], let outside = numbers[1],
      let count = numbers[2]
    else { return nil }
    self.init(inside: inside, outside: outside, count: count)
  }
}
