import Glibc

/// Gives the same array again while the bytes stay the same: neighbours in a mount table are mostly
/// alike, and an array shared costs no allocation.
public struct SharedBytes {
  private var last: [UInt8] = []

  public init() {}

  mutating func array(_ text: UnsafePointer<CChar>) -> [UInt8] {
    array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
  }

  /// An array of these bytes, the last one where it has them.
  public mutating func array(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    let same = last.withUnsafeBytes {
      $0.count == bytes.count
        && (bytes.isEmpty || memcmp($0.baseAddress!, bytes.baseAddress!, bytes.count) == 0)
    }
    if !same { last = Array(bytes) }
    return last
  }
}
