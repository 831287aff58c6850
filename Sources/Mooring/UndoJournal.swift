import Glibc
import LinuxKernel

/// Names that a restore made where they outlive it: on the root's disk, in cgroup hierarchies. Held
/// by the engine, so that it survives the worker; each entry is written before the name is made.
struct UndoJournal: ~Copyable {
  private struct Entry {
    var directory: CInt
    var name: [UInt8]
    var isFile: Bool
  }

  private var entries: [Entry] = []

  mutating func record(directory: CInt, name: [UInt8], isFile: Bool) {
    entries.append(Entry(directory: directory, name: name, isFile: isFile))
  }

  /// Takes away what was made, the last first. A name that is gone, or that somebody has put
  /// something into, stays as it is.
  mutating func undo() -> [String] {
    var failures: [String] = []
    for entry in entries.reversed() {
      let result = withPath(entry.name) {
        unlinkat(entry.directory, $0, entry.isFile ? 0 : AT_REMOVEDIR)
      }
      if result < 0 && errno != ENOENT && errno != ENOTEMPTY {
        failures.append("could not take \(quoted(entry.name)) away again: errno \(errno)")
      }
    }
    forget()
    return failures
  }

  /// The restore succeeded: what it made is to stay.
  mutating func forget() {
    for entry in entries { close(entry.directory) }
    entries = []
  }

  deinit { for entry in entries { close(entry.directory) } }
}
