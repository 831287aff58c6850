import LinuxKernel
import MountTable

/// Why the content of a file system cannot be saved, restored or compared: on what, and what.
public struct ContentError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong.
  public enum Problem: Hashable, Sendable {
    /// The archive cannot be read or written; libarchive's words.
    case archive(String)
    /// A name that leads out of the file system: absolute, with `..`, or too long.
    case unsafeName
    /// A hard link to a name that leads out.
    case unsafeLink(KernelString)
    /// More data than the member's size, or data before data; bytes.
    case wrongSize(UInt64)
    /// A kind of member or attribute that a memory file system cannot have.
    case unsupported(String)
    /// The file was changed while it was read.
    case changed
    /// A system call that failed.
    case system(SystemCallFailure)
  }

  /// The member, relative to the root of the file system; empty for the archive itself.
  public var member: KernelString
  public var problem: Problem

  public init(_ member: [UInt8], _ problem: Problem) {
    self.member = KernelString(member)
    self.problem = problem
  }

  public var description: String {
    (member.isEmpty ? "archive" : "archive member \"\(member)\"") + ": " + words
  }

  private var words: String {
    switch problem {
    case .archive(let words): words
    case .unsafeName: "the name leads out of the file system"
    case .unsafeLink(let target): "a hard link to \"\(target)\", which leads out of the file system"
    case .wrongSize(let size): "data beyond its size of \(size) bytes"
    case .unsupported(let what): what
    case .changed: "changed while it was read; freeze the container first"
    case .system(let failure): "\(failure)"
    }
  }
}

/// What went into an archive.
public struct ContentSummary: Hashable, Sendable {
  /// Members: files, directories (the root too), links and everything else.
  public var members = 0
  /// Bytes of file data, without holes.
  public var bytes: UInt64 = 0

  public init() {}
}
