import MountTable

/// The fields of a line of mountinfo where they stand, for what libmount gets wrong or does not say.
///
/// ```
/// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue
/// (1)(2)(3)  (4)   (5)   (6)        (7) none or more    (8)  (9)       (10)
/// ```
///
/// libmount 2.38 is right about names: every escape is undone, bytes that are not UTF-8 and an empty
/// source survive. It is wrong, or silent, about these, all put right here:
/// - the source `/dev/root` becomes the path of the device that the host's root has *now*;
/// - IDs that do not fit are cut off, a device such as `0:1x` is taken;
/// - a line it does not understand is skipped.
struct MountInfoLine {
  private var rest: UnsafeRawBufferPointer

  init(_ line: UnsafeRawBufferPointer) {
    rest = line
    skip { $0 == 0x20 || $0 == 0x09 }
  }

  /// Whether the line says nothing: blank, or a remark (which files written by people have).
  var isRemark: Bool { rest.first.map { $0 == 0x23 } ?? true }

  /// What is wrong with fields 1 to 3, the numbers; the values where nothing is.
  mutating func numbers() -> Result<(id: UInt32, parent: UInt32), MountInfoError.Reason> {
    guard let id = number(upTo: 0x7FFF_FFFF), blank() else { return .failure(.badMountID) }
    guard let parent = number(upTo: 0x7FFF_FFFF), blank() else { return .failure(.badParentID) }
    guard number(upTo: 0xFFFF_FFFF) != nil, rest.first == 0x3A else { return .failure(.badDevice) }
    rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst())
    guard number(upTo: 0xFFFF_FFFF) != nil, blank() else { return .failure(.badDevice) }
    return .success((id, parent))
  }

  /// What is wrong with a line that libmount refused.
  mutating func diagnose() -> MountInfoError.Reason {
    if case .failure(let reason) = numbers() { return reason }
    guard field() != nil else { return .missingRoot }
    guard let mountPoint = field() else { return .missingMountPoint }
    guard mountPoint.first == 0x2F else { return .mountPointNotAbsolute }
    guard field() != nil else { return .missingMountOptions }
    while let optional = field() {
      guard optional.elementsEqual([0x2D]) else { continue }
      guard field() != nil else { return .missingFileSystem }
      guard !rest.isEmpty else { return .missingSource }
      _ = field()
      return field() == nil ? .missingSuperblockOptions : .refusedByLibmount
    }
    return .missingSeparator
  }

  /// Field 9 as it stands in the text, escapes and all.
  mutating func rawSource() -> UnsafeRawBufferPointer? {
    while let optional = field() {
      guard optional.elementsEqual([0x2D]) else { continue }
      return field() == nil ? nil : field()
    }
    return nil
  }

  private mutating func skip(while condition: (UInt8) -> Bool) {
    var index = 0
    while index < rest.count, condition(rest[index]) { index += 1 }
    rest = UnsafeRawBufferPointer(rebasing: rest[index...])
  }

  private mutating func blank() -> Bool {
    guard rest.first == 0x20 else { return false }
    rest = UnsafeRawBufferPointer(rebasing: rest[1...])
    return true
  }

  private mutating func number(upTo most: UInt64) -> UInt32? {
    var value: UInt64 = 0
    var index = 0
    while index < rest.count {
      let digit = rest[index] &- 0x30
      guard digit < 10 else { break }
      value = value &* 10 &+ UInt64(digit)
      guard value <= most else { return nil }
      index += 1
    }
    guard index > 0 else { return nil }
    rest = UnsafeRawBufferPointer(rebasing: rest[index...])
    return UInt32(value)
  }

  /// The next field, `nil` where the line has ended or the field is empty.
  private mutating func field() -> UnsafeRawBufferPointer? {
    let end = rest.firstIndex(of: 0x20) ?? rest.count
    let found = UnsafeRawBufferPointer(rebasing: rest[..<end])
    rest = UnsafeRawBufferPointer(rebasing: rest[min(end + 1, rest.count)...])
    return found.isEmpty ? nil : found
  }
}

extension MountInfoError.Reason: Error {}
