import Glibc
import LinkTable
import LinuxKernel
import RestorePlan

extension MacsecKeys {
  /// More than the keys of any host.
  private static let mostBytes = 1 << 20

  /// The file of `--macsec-keys`.
  ///
  /// - Throws: `SystemCallFailure` where it cannot be read; `OptionError` for what it says.
  public init(file path: String) throws {
    let file = try Descriptor.open(path, flags: O_RDONLY)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      errno = 0
      let count = Glibc.read(file.number, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else {
        throw SystemCallFailure("read", on: path, .init(rawValue: errno))
      }
      if count == 0 { break }
      bytes += buffer[..<count]
      guard bytes.count <= Self.mostBytes else {
        throw OptionError("--macsec-keys \(path): the file has more than \(Self.mostBytes) bytes")
      }
    }
    try self.init(parsing: String(decoding: bytes, as: UTF8.self))
  }
}
