import CMooring
import Glibc

/// What the visiting child tells its parent, through a pipe.
///
/// ```
/// kind u8 | index u32 | length u32 | bytes        (numbers as the machine has them)
/// ```
///
/// Kept back until there is enough to be worth waking the parent.
final class VisitReport {
  private enum Kind: UInt8 { case result, finished, stale, failed }

  private let descriptor: CInt
  private var pending: [UInt8] = []

  init(descriptor: CInt) { self.descriptor = descriptor }

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
    pending.append(kind.rawValue)
    withUnsafeBytes(of: UInt32(index)) { pending += $0 }
    withUnsafeBytes(of: UInt32(bytes.count)) { pending += $0 }
    pending += bytes
    if kind != .result || pending.count > 1 << 15 { flush() }
  }

  private func flush() {
    pending.withUnsafeBytes { bytes in
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
    pending.removeAll(keepingCapacity: true)
  }

  /// Reads until the child is done.
  static func collect(from descriptor: CInt) -> Outcome {
    let bytes = everything(from: descriptor)
    var results: [Int: [UInt8]] = [:]
    var position = 0
    func number() -> Int {
      defer { position += 4 }
      return bytes.withUnsafeBytes {
        Int($0.loadUnaligned(fromByteOffset: position, as: UInt32.self))
      }
    }
    while position + 9 <= bytes.count, let kind = Kind(rawValue: bytes[position]) {
      position += 1
      let index = number()
      let length = number()
      guard position + length <= bytes.count else { return .brokeOff }
      let body = Array(bytes[position..<(position + length)])
      position += length
      switch kind {
      case .result: results[index] = body
      case .finished: return .finished(results)
      case .stale: return .stale(String(decoding: body, as: UTF8.self))
      case .failed: return .failed(String(decoding: body, as: UTF8.self))
      }
    }
    return .brokeOff
  }

  private static func everything(from descriptor: CInt) -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let part = read(descriptor, &buffer, buffer.count)
      if part > 0 {
        bytes += buffer[..<part]
      } else if part == 0 || errno != EINTR {
        return bytes
      }
    }
  }
}
