import CMooring
import Glibc

/// What an operation waits for, in memory that its processes share, so that the one that supervises it can
/// say so where it waits in vain.
///
/// A process that asks a file system whose server does not answer cannot always be killed: it has to be
/// another than the one that the caller waits for. Without `share` nothing is noted, and nothing is limited.
public enum Waiting {
  /// Seconds that a file system outside may take for one look at a path.
  public static let patience = 20

  private struct Note {
    /// Milliseconds of `CLOCK_MONOTONIC`; 0 for none.
    var deadline: Int = 0
    var isOver = false
    var length: UInt32 = 0
  }

  private static let room = 1 << 14
  nonisolated(unsafe) private static var page: UnsafeMutableRawPointer?

  /// Gets the memory; before the processes are forked.
  public static func share() {
    guard page == nil else { return }
    let memory = mmap(nil, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else { return }
    page = memory
    memory.storeBytes(of: Note(), as: Note.self)
  }

  private static var texts: UnsafeMutableRawBufferPointer? {
    page.map {
      UnsafeMutableRawBufferPointer(
        start: $0 + MemoryLayout<Note>.stride, count: room - MemoryLayout<Note>.stride)
    }
  }

  /// Notes what is waited for while `body` runs.
  ///
  /// - Parameter seconds: how long it may take; `nil` for as long as the whole operation may.
  public static func on<Answer: ~Copyable, Failure: Error>(
    _ what: @autoclosure () -> String, atMost seconds: Int? = nil,
    _ body: () throws(Failure) -> Answer
  ) throws(Failure) -> Answer {
    guard let page, let texts else { return try body() }
    let former = page.load(as: Note.self)
    let formerText = Array(texts[..<Int(former.length)])
    defer {
      texts.copyBytes(from: formerText)
      page.storeBytes(of: former, as: Note.self)
    }
    note(what())
    if let seconds {
      var note = page.load(as: Note.self)
      note.deadline = now() + seconds * 1000
      page.storeBytes(of: note, as: Note.self)
    }
    return try body()
  }

  /// Notes what is waited for from now on.
  public static func note(_ what: @autoclosure () -> String) {
    guard let page, let texts else { return }
    let bytes = what().utf8.prefix(texts.count)
    var note = page.load(as: Note.self)
    note.deadline = 0
    note.length = UInt32(bytes.count)
    texts.copyBytes(from: bytes)
    page.storeBytes(of: note, as: Note.self)
  }

  /// The operation is done, or what comes now may take as long as it likes (a COMMAND).
  public static func end() {
    guard let page else { return }
    var note = Note()
    note.isOver = true
    page.storeBytes(of: note, as: Note.self)
  }

  /// What is waited for now; `nil` where nothing was noted.
  public static var current: String? {
    guard let page, let texts else { return nil }
    let length = min(Int(page.load(as: Note.self).length), texts.count)
    return length == 0 ? nil : String(decoding: texts[..<length], as: UTF8.self)
  }

  public static var deadline: Int? {
    guard let page else { return nil }
    let deadline = page.load(as: Note.self).deadline
    return deadline == 0 ? nil : deadline
  }

  public static var isOver: Bool { page?.load(as: Note.self).isOver ?? false }

  /// Milliseconds of `CLOCK_MONOTONIC`.
  public static func now() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
  }
}
