import FileTable
import Glibc
import Synchronization

/// Descriptors that the caller gives to a restore, by their numbers, set apart before the engine opens any
/// of its own: a number that nobody opened must not become one of the engine's.
public final class InheritedFiles: Sendable {
  private let copies: Mutex<[Int32: CInt]>

  /// To be called before anything else is opened.
  ///
  /// - Parameter closesOriginals: whether the numbers above the standard streams are closed, so that
  ///   COMMAND alone has the files; for a process that does nothing but the restore.
  public init(_ numbers: [Int32], closesOriginals: Bool = false) {
    var found: [Int32: CInt] = [:]
    for number in Set(numbers) {
      let copy = fcntl(number, F_DUPFD_CLOEXEC, 3)
      if copy >= 0 { found[number] = copy }
    }
    for number in found.keys where closesOriginals && number > 2 { Glibc.close(number) }
    copies = Mutex(found)
  }

  deinit { close() }

  /// The engine's descriptor of the file; `nil` where the caller gave none.
  func copy(of number: Int32) -> CInt? { copies.withLock { $0[number] } }

  /// A path that leads to the file in this process and its children.
  func path(of number: Int32) -> String? { copy(of: number).map { "/proc/self/fd/\($0)" } }

  /// What was given is given: the end of a pipe must not stay open here.
  func close() {
    copies.withLock { copies in
      for copy in copies.values { Glibc.close(copy) }
      copies = [:]
    }
  }
}
