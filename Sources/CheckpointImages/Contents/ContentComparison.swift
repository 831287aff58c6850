import CMooring
import Glibc
import LinuxKernel
import MountTable
import RestorePlan
import SystemPackage

extension ContentArchive {
  /// How a file system differs from its archive, in the archive's order, what is too many last.
  ///
  /// Type, permissions, owner, group, size, data, modification time, extended attributes, targets
  /// of links, device numbers, which names are one file, and missing and additional names.
  /// Access and change times do not count.
  ///
  /// - Parameters:
  ///   - directory: the root of the file system, with nothing mounted below it.
  ///   - limit: after so many differences the search ends.
  ///   - ignoringTimesOf: files whose modification time does not count.
  ///   - inWholeSeconds: fractions of times do not count.
  ///   - leftOut: families of extended attributes that do not count.
  /// - Throws: `ContentError` where the archive or the file system cannot be read.
  public static func differences(
    between archive: CInt, and directory: CInt, limit: Int = 100,
    ignoringTimesOf: Set<MountPath> = [], inWholeSeconds: Bool = false,
    leavingOut leftOut: LeaveOut = .init()
  ) throws(ContentError) -> [ContentDifference] {
    try differences(
      between: archive, and: [ContentRoot(descriptor: directory)], limit: limit,
      ignoringTimesOf: ignoringTimesOf, inWholeSeconds: inWholeSeconds, leavingOut: leftOut)
  }

  /// The same for parts of a file system; what the archive says of other parts does not count.
  public static func differences(
    between archive: CInt, and roots: [ContentRoot], limit: Int = 100,
    ignoringTimesOf: Set<MountPath> = [], inWholeSeconds: Bool = false,
    leavingOut leftOut: LeaveOut = .init()
  ) throws(ContentError) -> [ContentDifference] {
    try inCLocale { () throws(ContentError) in
      let reader = try ArchiveReader.open(archive, leavingOut: leftOut)
      var comparison = ContentComparison(
        roots: roots, limit: limit, ignoringTimesOf: ignoringTimesOf,
        inWholeSeconds: inWholeSeconds, leftOut: leftOut)
      while !comparison.isFull, let member = try reader.next() {
        try comparison.compare(member) { (body) throws(ContentError) in
          try reader.data(of: member, body)
        }
      }
      try comparison.findAdditional()
      return comparison.found
    }
  }
}

/// One archive being compared.
struct ContentComparison: ~Copyable {
  private let roots: [ContentRoot]
  private let limit: Int
  private let ignoringTimesOf: Set<MountPath>
  private let inWholeSeconds: Bool
  private let leftOut: LeaveOut
  private(set) var found: [ContentDifference] = []
  private var seen: Set<[UInt8]> = []
  /// The file that each archived name has here, and the first archived name of each file.
  private var inodes: [[UInt8]: ino_t] = [:]
  private var firstNames: [ino_t: [UInt8]] = [:]
  /// The directory that the last member was looked for in.
  private var parent: Descriptor?
  private var parentNumber: CInt = -1
  private var parentKey: [[UInt8]] = []

  var isFull: Bool { found.count >= limit }

  init(
    roots: [ContentRoot], limit: Int, ignoringTimesOf: Set<MountPath>, inWholeSeconds: Bool,
    leftOut: LeaveOut
  ) {
    self.leftOut = leftOut
    self.inWholeSeconds = inWholeSeconds
    self.roots = roots
    self.limit = limit
    self.ignoringTimesOf = ignoringTimesOf
  }

  mutating func compare(
    _ member: ArchiveMember, data: (ContentExtraction.Block) throws(ContentError) -> Void
  ) throws(ContentError) {
    let path = MountPath.root.appending(member.path)
    guard let root = roots.first(where: { $0.path.contains(path) }) else { return }
    seen.insert(member.path)
    guard let visit = try find(member.path, in: root, at: path) else {
      let type = member.firstName == nil ? FileFacts.typeName(member.facts.type) : "hard link"
      note(path, .presence, type, "missing")
      return
    }
    var live = try visit.facts()
    live.attributes = ExtendedAttributes.leavingOut(leftOut, of: live.attributes)
    if inWholeSeconds, member.facts.modified.nanoseconds == 0 { live.modified.nanoseconds = 0 }
    if live.type != S_IFDIR { compareNames(member, visit.status.st_ino, path) }
    if member.firstName != nil { return }
    let ignoringTime = ignoringTimesOf.contains(path)
    for difference in live.differences(from: member.facts, ignoringTime: ignoringTime) {
      note(path, difference.property, difference.saved, difference.live)
    }
    if live.type == S_IFREG, live.type == member.facts.type, live.size == member.facts.size {
      let file = try visit.openData()
      var content = DataComparison(file: file.number, path: member.path)
      try data { (offset, bytes) throws(ContentError) in try content.compare(offset, bytes) }
      try content.compareHole(upTo: live.size)
      if let place = content.difference {
        note(path, .data, "byte \(place.saved) at \(place.offset)", "byte \(place.live)")
      }
    }
  }

  /// Notes what is here and not in the archive; of a directory's content, only the directory.
  mutating func findAdditional() throws(ContentError) {
    var additional: [(MountPath, mode_t)] = []
    let seen = seen
    let room = limit - found.count
    for root in roots where additional.count < room {
      try ContentWalk.run(root) { visit in
        if seen.contains(visit.path) { return additional.count < room }
        if additional.count < room {
          additional.append(
            (MountPath.root.appending(visit.path), visit.status.st_mode & S_IFMT))
        }
        return false
      }
    }
    for (path, type) in additional {
      note(path, .presence, "missing", FileFacts.typeName(type))
    }
  }

  private mutating func note(
    _ path: MountPath, _ property: ContentDifference.Property, _ saved: String, _ live: String
  ) {
    if isFull { return }
    found.append(ContentDifference(path: path, property: property, saved: saved, live: live))
  }

  private mutating func find(
    _ name: [UInt8], in root: ContentRoot, at path: MountPath
  ) throws(ContentError) -> ContentWalk.Visit? {
    let relative = path.relative(to: root.path) ?? []
    do throws(SystemCallFailure) {
      if relative.isEmpty {
        // Opened anew: the attributes of an O_PATH descriptor cannot be read.
        let status = try FileCalls.status(of: root.descriptor)
        let isDirectory = status.st_mode & S_IFMT == S_IFDIR
        let isFile = status.st_mode & S_IFMT == S_IFREG
        if isDirectory {
          try enter(root, [])
        } else if isFile {
          parent = try HeldProc.reopen(root.descriptor, flags: O_RDONLY | O_NONBLOCK)
          parentKey = []
          if let number = parent?.number { parentNumber = number }
        }
        return ContentWalk.Visit(
          path: name, descriptor: isDirectory || isFile ? parentNumber : root.descriptor,
          name: nil, status: status)
      }
      let slash = relative.lastIndex(of: 0x2F)
      try enter(root, slash.map { Array(relative[..<$0]) } ?? [])
      let last = slash.map { Array(relative[($0 + 1)...]) } ?? relative
      let status = try FileCalls.status(last, in: parentNumber)
      if status.st_mode & S_IFMT == S_IFDIR {
        try enter(root, relative)
        return ContentWalk.Visit(
          path: name, descriptor: parentNumber, name: nil, status: status)
      }
      return ContentWalk.Visit(path: name, descriptor: parentNumber, name: last, status: status)
    } catch {
      switch error.errno {
      case .noSuchFileOrDirectory, .notDirectory, .tooManySymbolicLinkLevels: return nil
      default: throw ContentError(name, .system(error))
      }
    }
  }

  private mutating func enter(_ root: ContentRoot, _ path: [UInt8]) throws(SystemCallFailure) {
    let key = [root.path.bytes, path]
    if parentKey == key { return }
    parentKey = []
    let directory = try FileCalls.openDirectory(path, below: root.descriptor)
    parentNumber = directory.number
    parent = consume directory
    parentKey = key
  }

  /// Whether the same names are names of one file.
  private mutating func compareNames(_ member: ArchiveMember, _ inode: ino_t, _ path: MountPath) {
    let first = member.firstName ?? member.path
    inodes[member.path] = inode
    if let wanted = member.firstName, inodes[wanted] != inode {
      note(path, .hardLink, "another name of \(MountPath.root.appending(wanted))", "another file")
    }
    if let other = firstNames[inode] {
      if other != first && member.firstName == nil {
        note(
          path, .hardLink, "a file of its own", "another name of \(MountPath.root.appending(other))"
        )
      }
    } else {
      firstNames[inode] = first
    }
  }
}

/// Compares the data of one file with what comes out of an archive, in order.
struct DataComparison {
  let file: CInt
  let path: [UInt8]
  private var position: Int64 = 0
  private(set) var difference: (offset: Int64, saved: UInt8, live: UInt8)?

  init(file: CInt, path: [UInt8]) {
    self.file = file
    self.path = path
  }

  mutating func compare(
    _ offset: Int64, _ saved: UnsafeRawBufferPointer
  ) throws(ContentError) {
    try compareHole(upTo: offset)
    if difference == nil {
      try read(offset, saved.count) { (start, live) in
        let part = UnsafeRawBufferPointer(rebasing: saved[start..<(start + live.count)])
        if memcmp(part.baseAddress!, live.baseAddress!, live.count) == 0 { return nil }
        let index = zip(part, live).enumerated().first { $0.element.0 != $0.element.1 }!.offset
        return (offset + Int64(start + index), part[index], live[index])
      }
    }
    position = offset + Int64(saved.count)
  }

  /// Compares with zeros from the last position on; holes of the file are not read.
  mutating func compareHole(upTo end: Int64) throws(ContentError) {
    while difference == nil && position < end {
      let start = mooring_seek_data(file, Int(position))
      if start == -Int(ENXIO) { break }
      let from = start < 0 ? position : Int64(start)
      if from >= end { break }
      let count = Int(min(end - from, 1 << 20))
      try read(from, count) { (start, live) in
        guard let index = live.firstIndex(where: { $0 != 0 }) else { return nil }
        return (from + Int64(start + index), 0, live[index])
      }
      position = from + Int64(count)
    }
    position = max(position, end)
  }

  private mutating func read(
    _ offset: Int64, _ count: Int,
    _ body: (_ start: Int, _ live: UnsafeRawBufferPointer) -> (Int64, UInt8, UInt8)?
  ) throws(ContentError) {
    var done = 0
    var failure: CInt = 0
    withUnsafeTemporaryAllocation(byteCount: min(count, 1 << 16), alignment: 16) { buffer in
      while done < count && difference == nil {
        let got = pread(
          file, buffer.baseAddress!, min(buffer.count, count - done), off_t(offset) + done)
        if got < 0 && errno == EINTR { continue }
        if got <= 0 {
          failure = got < 0 ? errno : 0
          break
        }
        difference = body(done, UnsafeRawBufferPointer(rebasing: buffer[..<got]))
        done += got
      }
    }
    if failure != 0 {
      throw ContentError(
        path, .system(SystemCallFailure("read", on: "it", Errno(rawValue: failure))))
    }
    if done < count && difference == nil { throw ContentError(path, .changed) }
  }
}
