import Glibc
import MountTable

/// Reads the text of `/proc/PID/mountinfo`, by libmount.
///
/// `MountInfoLine` says what is corrected after it. Names stay bytes; the marker `//deleted` of a root
/// becomes `Mount.isRootDeleted`. An idmapped mount has an `idMapping` without ranges, as the text does
/// not say them. Blank lines and remarks (`#` at the front) are passed over.
public enum MountInfoReader {
  /// The mounts in the order of the text.
  ///
  /// - Throws: `MountInfoError` for the first line that is not a mount.
  public static func mounts(in text: [UInt8]) throws(MountInfoError) -> [Mount] {
    var copy = MountInfoText(capacity: text.count)
    text.withUnsafeBytes { copy.append($0) }
    return try mounts(in: copy)
  }

  static func mounts(in text: borrowing MountInfoText) throws(MountInfoError) -> [Mount] {
    let lines = text.lines
    if let start = lines.baseAddress, memchr(start, 0, lines.count) != nil {
      throw MountInfoError(line: lineHolding(0, in: lines), .holdsNUL)
    }
    let table: LibmountTable
    do throws(LibmountTable.Failure) {
      table = try LibmountTable(text: text.forLibmount)
    } catch {
      throw diagnosis(error, lines)
    }
    return try MountInfoConversion(lines: lines, count: table.count - 1).convert(table)
  }

  private static func diagnosis(
    _ failure: LibmountTable.Failure, _ lines: UnsafeRawBufferPointer
  ) -> MountInfoError {
    guard case .line(let number) = failure, number > 1 else {
      return MountInfoError(line: 1, .outOfMemory)
    }
    var walk = LineWalk(lines)
    while walk.number < number - 1, walk.next() != nil {}
    var line = MountInfoLine(walk.current)
    return MountInfoError(line: number - 1, line.diagnose())
  }

  private static func lineHolding(_ byte: UInt8, in lines: UnsafeRawBufferPointer) -> Int {
    lines.prefix { $0 != byte }.reduce(1) { $1 == 0x0A ? $0 + 1 : $0 }
  }
}

/// The text of a mountinfo file, behind a line that tells libmount what it is.
struct MountInfoText: ~Copyable {
  private static let mark: StaticString = "0 0 0:0 / / rw - none none rw\n"
  private var memory: UnsafeMutableRawBufferPointer
  private var used: Int

  init(capacity: Int) {
    memory = Self.memory(of: Self.mark.utf8CodeUnitCount + capacity + 1, grown: nil)
    memcpy(memory.baseAddress!, Self.mark.utf8Start, Self.mark.utf8CodeUnitCount)
    used = Self.mark.utf8CodeUnitCount
  }

  deinit { free(memory.baseAddress) }

  /// By `realloc`, which need not copy: the text of many mounts grows many times.
  private static func memory(
    of count: Int, grown old: UnsafeMutableRawPointer?
  ) -> UnsafeMutableRawBufferPointer {
    guard let start = realloc(old, count) else { fatalError("out of memory") }
    return UnsafeMutableRawBufferPointer(start: start, count: count)
  }

  var forLibmount: UnsafeMutableRawBufferPointer { .init(rebasing: memory[..<used]) }
  var lines: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: memory[Self.mark.utf8CodeUnitCount..<used])
  }

  /// What `PlainMountInfo` makes of the text, which is used up.
  consuming func plainMounts() -> [Mount]? {
    PlainMountInfo.mounts(in: .init(rebasing: memory[Self.mark.utf8CodeUnitCount..<used]))
  }

  /// Forgets everything but the mark.
  mutating func clear() { used = Self.mark.utf8CodeUnitCount }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard !bytes.isEmpty else { return }
    memcpy(room(for: bytes.count).baseAddress!, bytes.baseAddress!, bytes.count)
    used += bytes.count
  }

  /// Reads as much as one call gives; 0 at the end of the file, or `-errno`.
  mutating func read(from descriptor: CInt) -> Int {
    while true {
      let free = room(for: 4096)
      let got = Glibc.read(descriptor, free.baseAddress!, free.count)
      if got >= 0 {
        used += got
        return got
      }
      if errno != EINTR { return -Int(errno) }
    }
  }

  private mutating func room(for count: Int) -> UnsafeMutableRawBufferPointer {
    if memory.count - used < count {
      memory = Self.memory(of: max(memory.count * 2, used + count), grown: memory.baseAddress)
    }
    return UnsafeMutableRawBufferPointer(rebasing: memory[used...])
  }
}

/// Goes through a text line by line.
struct LineWalk {
  private var rest: UnsafeRawBufferPointer
  /// The number of the line that `next` gave last, counted from 1, and the line.
  private(set) var number = 0
  private(set) var current: UnsafeRawBufferPointer

  init(_ text: UnsafeRawBufferPointer) {
    rest = text
    current = UnsafeRawBufferPointer(start: nil, count: 0)
  }

  /// The next line without its newline; `nil` at the end.
  mutating func next() -> UnsafeRawBufferPointer? {
    guard let start = rest.baseAddress, rest.count > 0 else { return nil }
    let length = memchr(start, 0x0A, rest.count).map { UnsafeRawPointer($0) - start } ?? rest.count
    current = UnsafeRawBufferPointer(start: start, count: length)
    let used = min(length + 1, rest.count)
    rest = UnsafeRawBufferPointer(start: start + used, count: rest.count - used)
    number += 1
    return current
  }
}
