import CMooring
import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// The content of a memory file system as an archive: `tmpfs-dev-DEV.tar.gz.img`.
///
/// A gzip-compressed tar archive as GNU tar and CRIU write and read it. Sockets, which tar cannot
/// hold, stand behind the mark of the archive's end in a second archive of empty files, where
/// tar does not look.
///
/// No other process takes part, and nothing is forced to disk. A process that is going to enter a
/// container opens or stages its images first (`ImageDirectory.open`, `ImageWriter.stage`): they
/// have the C library load what it loads for names of files, while the files are the host's.
public enum ContentArchive {
  /// Writes an archive of everything that can be reached.
  ///
  /// - Parameters:
  ///   - roots: parts of one file system; what lies in another of them is written once.
  ///   - archive: a regular file, written from its beginning.
  /// - Throws: `ContentError` naming the file that cannot be read or was changed meanwhile.
  public static func write(
    roots: [ContentRoot], to archive: CInt
  ) throws(ContentError) -> ContentSummary {
    try inCLocale { () throws(ContentError) in
      do throws(ContentError) {
        return try ContentSaving.run(roots, to: archive, keepsOddNames: false)
      } catch {
        guard error == ContentSaving.oddName else { throw error }
        return try ContentSaving.run(roots, to: archive, keepsOddNames: true)
      }
    }
  }
}

/// One archive in the making.
struct ContentSaving: ~Copyable {
  /// An attribute's name that GNU tar's form cannot hold: begin again with the other one.
  static let oddName = ContentError([], .unsupported("a name of an extended attribute"))

  private let writer: ArchiveWriter
  private let keepsOddNames: Bool
  private let buffer: UnsafeMutableRawBufferPointer
  private var firstNames: [FileIdentity: [UInt8]] = [:]
  private var sockets: [(path: [UInt8], facts: FileFacts, id: FileIdentity?)] = []
  private var summary = ContentSummary()

  static func run(
    _ roots: [ContentRoot], to archive: CInt, keepsOddNames: Bool
  ) throws(ContentError) -> ContentSummary {
    // Only where there is something: ext4 takes a truncation for a file that is being replaced, and
    // writes it to disk when it is closed.
    let length = lseek(archive, 0, SEEK_END)
    if lseek(archive, 0, SEEK_SET) < 0 || length > 0 && ftruncate(archive, 0) < 0 {
      let failure = SystemCallFailure("ftruncate", on: "it", Errno(rawValue: errno))
      throw ContentError([], .system(failure))
    }
    var saving = ContentSaving(
      writer: try ArchiveWriter.open(archive, keepsOddNames: keepsOddNames),
      keepsOddNames: keepsOddNames)
    do throws(ContentError) {
      for root in outermost(roots) { try saving.add(root) }
      try saving.writer.finish()
    } catch {
      saving.writer.abandon()
      throw error
    }
    try saving.addSockets(to: archive)
    return saving.summary
  }

  private init(writer: consuming ArchiveWriter, keepsOddNames: Bool) {
    self.writer = writer
    self.keepsOddNames = keepsOddNames
    buffer = .allocate(byteCount: 1 << 17, alignment: 4096)
  }

  deinit { buffer.deallocate() }

  private static func outermost(_ roots: [ContentRoot]) -> [ContentRoot] {
    var kept: [ContentRoot] = []
    for root in roots.sorted(by: { $0.path.bytes.count < $1.path.bytes.count })
    where !kept.contains(where: { $0.path.contains(root.path) }) {
      kept.append(root)
    }
    return kept
  }

  private mutating func add(_ root: ContentRoot) throws(ContentError) {
    try ContentWalk.run(root) { (visit) throws(ContentError) in
      try add(visit)
      return true
    }
  }

  private mutating func add(_ visit: ContentWalk.Visit) throws(ContentError) {
    let facts = try visit.facts()
    if !keepsOddNames, !facts.attributes.keys.allSatisfy(ArchiveWriter.isPlain) {
      throw Self.oddName
    }
    summary.members += 1
    let id =
      facts.type != S_IFDIR && visit.status.st_nlink > 1
      ? FileIdentity(visit.status) : nil
    if facts.type == S_IFSOCK {
      sockets.append((visit.path, facts, id))
      return
    }
    if let id {
      if let first = firstNames[id] {
        try writer.begin(visit.path, facts, firstName: first)
        return
      }
      firstNames[id] = visit.path
    }
    if facts.type == S_IFREG && facts.size > 0 {
      try addFile(visit, facts)
    } else {
      try writer.begin(visit.path, facts)
    }
  }

  private mutating func addFile(
    _ visit: ContentWalk.Visit, _ facts: FileFacts
  ) throws(ContentError) {
    let file = try visit.openData()
    let now = try attempt(visit.path) { () throws(SystemCallFailure) in
      try FileCalls.status(of: file.number)
    }
    guard now.st_ino == visit.status.st_ino, now.st_size == visit.status.st_size else {
      throw ContentError(visit.path, .changed)
    }
    let isSparse = Int64(visit.status.st_blocks) * 512 < facts.size
    let map = isSparse ? try DataMap.ranges(of: file.number, size: facts.size, visit.path) : nil
    try writer.begin(visit.path, facts, data: map)
    var position: Int64 = 0
    for range in map ?? [0..<facts.size] {
      try writer.skip(range.lowerBound - position, visit.path)
      position = range.lowerBound
      while position < range.upperBound {
        let wanted = min(Int(range.upperBound - position), buffer.count)
        let got = pread(file.number, buffer.baseAddress!, wanted, off_t(position))
        if got < 0 && errno == EINTR { continue }
        try attempt(visit.path) { () throws(SystemCallFailure) in
          _ = try checked(got < 0 ? -Int(errno) : got, "read", "it")
        }
        guard got > 0 else { throw ContentError(visit.path, .changed) }
        try writer.write(UnsafeRawBufferPointer(rebasing: buffer[..<got]), visit.path)
        position += Int64(got)
        summary.bytes += UInt64(got)
      }
    }
    try writer.skip(facts.size - position, visit.path)
  }

  private mutating func addSockets(to archive: CInt) throws(ContentError) {
    if sockets.isEmpty { return }
    let writer = try ArchiveWriter.open(archive, keepsOddNames: keepsOddNames)
    do throws(ContentError) {
      for socket in sockets {
        let first = socket.id.flatMap { firstNames[$0] }
        if let id = socket.id, first == nil { firstNames[id] = socket.path }
        try writer.begin(socket.path, socket.facts, firstName: first)
      }
      try writer.finish()
    } catch {
      writer.abandon()
      throw error
    }
  }
}

/// Where a file has data rather than holes.
enum DataMap {
  static func ranges(
    of file: CInt, size: Int64, _ path: [UInt8]
  ) throws(ContentError) -> [Range<Int64>]? {
    var ranges: [Range<Int64>] = []
    var position: Int64 = 0
    while position < size {
      let start = mooring_seek_data(file, Int(position))
      if start == -Int(ENXIO) { break }
      if start == -Int(EINVAL) || start == -Int(EOPNOTSUPP) { return nil }
      try attempt(path) { () throws(SystemCallFailure) in
        _ = try checked(start, "lseek", "SEEK_DATA")
      }
      let end = mooring_seek_hole(file, start)
      try attempt(path) { () throws(SystemCallFailure) in
        _ = try checked(end, "lseek", "SEEK_HOLE")
      }
      guard end > start else { throw ContentError(path, .changed) }
      if Int64(start) >= size { break }
      ranges.append(Int64(start)..<min(Int64(end), size))
      position = Int64(end)
    }
    return ranges == [0..<size] ? nil : ranges
  }
}
