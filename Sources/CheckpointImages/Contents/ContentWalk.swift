import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// A part of a file system that can be reached, for saving and comparing its content.
public struct ContentRoot: Sendable {
  /// Where in the file system it is: `/` for all of it.
  public var path: MountPath
  /// A descriptor of that directory or file (`O_PATH` will do), with nothing mounted below it;
  /// it stays the caller's.
  public var descriptor: CInt

  public init(path: MountPath = .root, descriptor: CInt) {
    self.path = path
    self.descriptor = descriptor
  }
}

/// Goes through all files of a directory tree, each directory before what is in it, names in order.
///
/// At most two directories are open at a time, however deep the tree.
enum ContentWalk {
  /// A file that was come to.
  struct Visit {
    /// Relative to the root of the file system.
    var path: [UInt8]
    /// The directory that holds it, or the file itself where `name` is `nil`.
    var descriptor: CInt
    var name: [UInt8]?
    var status: stat
  }

  /// - Parameter visit: called for each file; for a directory, whether to go into it.
  static func run(
    _ root: ContentRoot, _ visit: (Visit) throws(ContentError) -> Bool
  ) throws(ContentError) {
    let prefix = root.path.relative(to: .root) ?? []
    let status = try attempt(prefix) { () throws(SystemCallFailure) in
      try FileCalls.status(of: root.descriptor)
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      try file(root.descriptor, status, prefix, visit)
      return
    }
    var pending: [[UInt8]] = [[]]
    while let relative = pending.popLast() {
      let path = join(prefix, relative)
      let directory = try attempt(path) { () throws(SystemCallFailure) in
        try FileCalls.openDirectory(relative, below: root.descriptor)
      }
      let status = try attempt(path) { () throws(SystemCallFailure) in
        try FileCalls.status(of: directory.number)
      }
      let isWanted = try visit(
        Visit(path: path, descriptor: directory.number, name: nil, status: status))
      if !isWanted { continue }
      let found = try children(of: directory.number, path)
      var below: [[UInt8]] = []
      for name in found {
        let status = try attempt(join(path, name)) { () throws(SystemCallFailure) in
          try FileCalls.status(name, in: directory.number)
        }
        if status.st_mode & S_IFMT == S_IFDIR {
          below.append(join(relative, name))
        } else {
          _ = try visit(
            Visit(
              path: join(path, name), descriptor: directory.number, name: name, status: status))
        }
      }
      pending += below.reversed()
    }
  }

  static func join(_ path: [UInt8], _ name: [UInt8]) -> [UInt8] {
    if path.isEmpty { return name }
    return name.isEmpty ? path : path + [0x2F] + name
  }

  private static func children(
    of directory: CInt, _ path: [UInt8]
  ) throws(ContentError) -> [[UInt8]] {
    try attempt(path) { () throws(SystemCallFailure) in try ImageFiles.names(in: directory) }
      .sorted { $0.lexicographicallyPrecedes($1) }
  }

  /// A root that is a file: opened anew, as the descriptor may be one that cannot be read.
  private static func file(
    _ descriptor: CInt, _ status: stat, _ path: [UInt8],
    _ visit: (Visit) throws(ContentError) -> Bool
  ) throws(ContentError) {
    guard status.st_mode & S_IFMT == S_IFREG else {
      _ = try visit(Visit(path: path, descriptor: descriptor, name: nil, status: status))
      return
    }
    let readable = try attempt(path) { () throws(SystemCallFailure) in
      try HeldProc.reopen(descriptor, flags: O_RDONLY | O_NONBLOCK)
    }
    _ = try visit(Visit(path: path, descriptor: readable.number, name: nil, status: status))
  }
}

/// What `body` gives; a system call that fails is an error about the member `path`.
func attempt<Result: ~Copyable>(
  _ path: @autoclosure () -> [UInt8], _ body: () throws(SystemCallFailure) -> Result
) throws(ContentError) -> Result {
  do throws(SystemCallFailure) {
    return try body()
  } catch {
    throw ContentError(path(), .system(error))
  }
}

extension ContentWalk.Visit {
  /// The facts of this file, its attributes and the target of a link included.
  func facts() throws(ContentError) -> FileFacts {
    var facts = FileFacts(status)
    facts.attributes = try attempt(path) { () throws(SystemCallFailure) in
      if name == nil && facts.type != S_IFDIR && facts.type != S_IFREG { return [:] }
      return try ExtendedAttributes.read(name, in: descriptor)
    }
    if facts.type == S_IFLNK {
      facts.target = try attempt(path) { () throws(SystemCallFailure) in
        try FileCalls.linkTarget(name ?? [], in: descriptor)
      }
    }
    return facts
  }

  /// A descriptor to read a regular file's data from.
  ///
  /// - Throws: `ContentError`, with `.changed` where something else has the name by now; it is not opened.
  func openData() throws(ContentError) -> Descriptor {
    guard let name else {
      return try attempt(path) { () throws(SystemCallFailure) in
        try HeldProc.reopen(descriptor, flags: O_RDONLY | O_NONBLOCK)
      }
    }
    let opened = try attempt(path) { () throws(SystemCallFailure) in
      try FileCalls.openForReading(name, in: descriptor)
    }
    guard let opened else { throw ContentError(path, .changed) }
    return opened
  }
}
