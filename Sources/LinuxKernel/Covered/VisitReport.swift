import CMooring
import Glibc

/// What the visiting child tells its parent, through a pipe.
///
/// ```
/// kind u8 | index u32 | length u32 | bytes        (numbers as the machine has them)
/// ```
struct VisitReport {
  private enum Kind: UInt8 { case result, finished, stale, failed }

  let descriptor: CInt

  /// How a visit ended, as the parent sees it.
  enum Outcome {
    case finished([Int: [UInt8]])
    case stale(String)
    case failed(String)
    /// Without a word: the child was killed.
    case brokeOff
  }

  func result(_ index: Int, _ bytes: [UInt8]) { send(.result, index, bytes) }
  func finished() { send(.finished, 0, []) }
  func stale(_ what: String) { send(.stale, 0, Array(what.utf8)) }
  func failed(_ what: String) { send(.failed, 0, Array(what.utf8)) }

  private func send(_ kind: Kind, _ index: Int, _ bytes: [UInt8]) {
    var frame: [UInt8] = [kind.rawValue]
    withUnsafeBytes(of: UInt32(index)) { frame += $0 }
    withUnsafeBytes(of: UInt32(bytes.count)) { frame += $0 }
    frame += bytes
    frame.withUnsafeBytes { bytes in
      var sent = 0
      while sent < bytes.count {
        let part = write(descriptor, bytes.baseAddress! + sent, bytes.count - sent)
        if part > 0 {
          sent += part
        } else if errno != EINTR {
          mooring_exit(1)  // the parent is gone, and with it whoever would read this
        }
      }
    }
  }

  /// Reads until the child is done.
  static func collect(from descriptor: CInt) -> Outcome {
    var results: [Int: [UInt8]] = [:]
    while let head = take(9, from: descriptor) {
      let index = head.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 1, as: UInt32.self) }
      let length = head.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 5, as: UInt32.self) }
      guard let kind = Kind(rawValue: head[0]), let bytes = take(Int(length), from: descriptor)
      else { return .brokeOff }
      switch kind {
      case .result: results[Int(index)] = bytes
      case .finished: return .finished(results)
      case .stale: return .stale(String(decoding: bytes, as: UTF8.self))
      case .failed: return .failed(String(decoding: bytes, as: UTF8.self))
      }
    }
    return .brokeOff
  }

  private static func take(_ count: Int, from descriptor: CInt) -> [UInt8]? {
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { room, filled in
      while filled < count {
        let part = read(descriptor, room.baseAddress! + filled, count - filled)
        if part > 0 {
          filled += part
        } else if part == 0 || errno != EINTR {
          return
        }
      }
    }
    return bytes.count == count ? bytes : nil
  }
}
