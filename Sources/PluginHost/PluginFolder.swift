import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// A shared object of the plugin folder, opened and found trustworthy.
///
/// The descriptor stays open as long as the process lives: the loader knows objects by the name
/// `/proc/self/fd/N`, and a number used twice would be the first object again.
struct PluginFile {
  var name: String
  var descriptor: CInt
  var identity: Identity

  struct Identity: Hashable {
    var device: UInt
    var inode: UInt
  }
}

/// The plugin folder. A plugin is code that runs with the engine's rights, so folder and files must
/// be owned by root or by the caller, and writable by nobody else.
struct PluginFolder: ~Copyable {
  let path: String
  private let operation: String
  private let directory: Descriptor

  private init(_ path: String, _ operation: String, _ directory: consuming Descriptor) {
    self.path = path
    self.operation = operation
    self.directory = directory
  }

  /// - Throws: `PluginFailure` where there is no such folder, or others may write to it.
  static func open(_ path: String, operation: String) throws(PluginFailure) -> PluginFolder {
    let subject = "the plugin folder \"\(path)\""
    let directory: Descriptor
    do {
      directory = try Descriptor.open(path, flags: O_RDONLY | O_DIRECTORY)
    } catch let error {
      throw PluginFailure(
        operation: operation, subject: subject,
        reason: "\(error.errno.symbol) (\(error.errno.text)); make it, or name another with -L")
    }
    var status = stat()
    fstat(directory.number, &status)
    if let fault = PluginFolder.fault(of: status) {
      throw PluginFailure(operation: operation, subject: subject, reason: fault)
    }
    return PluginFolder(path, operation, directory)
  }

  /// The absolute path, without symbolic links.
  var realPath: MountPath { MountPath(linkTarget("/proc/self/fd/\(directory.number)")) }

  /// The objects `*.so`, in the order of their names.
  func files() throws -> [PluginFile] {
    var files: [PluginFile] = []
    for name in try names() { files.append(try open(name)) }
    return files
  }

  private func names() throws -> [[UInt8]] {
    // A descriptor of its own: reading moves the offset, and closedir closes.
    let copy = try Descriptor.open(".", below: directory.number, flags: O_RDONLY | O_DIRECTORY)
    guard let stream = fdopendir(copy.release()) else {
      throw failure(nil, "the folder cannot be read: \(Errno(rawValue: errno).symbol)")
    }
    defer { closedir(stream) }
    var names: [[UInt8]] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
      if name.count > 3, name.first != 0x2E, name.suffix(3).elementsEqual(".so".utf8) {
        names.append(name)
      }
    }
    return names.sorted { $0.lexicographicallyPrecedes($1) }
  }

  private func open(_ name: [UInt8]) throws -> PluginFile {
    let text = KernelString(name).description
    let file: Descriptor
    do {
      file = try Descriptor.open(name, below: directory.number, flags: O_RDONLY | O_NONBLOCK)
    } catch let error {
      throw failure(text, "it cannot be opened: \(error.errno.symbol) (\(error.errno.text))")
    }
    var status = stat()
    fstat(file.number, &status)
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw failure(text, "it is not a regular file; take it out of \(path)")
    }
    if let fault = PluginFolder.fault(of: status) { throw failure(text, fault) }
    let identity = PluginFile.Identity(device: status.st_dev, inode: status.st_ino)
    return PluginFile(name: text, descriptor: file.release(), identity: identity)
  }

  private func failure(_ file: String?, _ reason: String) -> PluginFailure {
    guard let file else {
      return PluginFailure(
        operation: operation, subject: "the plugin folder \"\(path)\"", reason: reason)
    }
    return PluginFailure(operation: operation, plugin: file, reason: reason)
  }

  /// Why code may not be loaded from a folder or a file with this owner and mode.
  static func fault(of status: stat, caller: uid_t = geteuid()) -> String? {
    if status.st_uid != 0 && status.st_uid != caller {
      return "it belongs to user \(status.st_uid), who could put other code there; "
        + "it must belong to root" + (caller == 0 ? "" : " or to user \(caller)")
    }
    if status.st_mode & 0o022 != 0 {
      return "its mode \(String(status.st_mode & 0o7777, radix: 8)) lets others write to it, "
        + "and with it run code as the engine; chmod go-w"
    }
    return nil
  }
}

extension Descriptor {
  static func open(
    _ path: String, below directory: CInt, flags: CInt
  ) throws(SystemCallFailure) -> Descriptor {
    try open(Array(path.utf8), below: directory, flags: flags)
  }
}

/// What a symbolic link holds; empty where it cannot be read.
func linkTarget(_ path: String) -> [UInt8] {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
    let count = readlink(path, buffer.baseAddress!, buffer.count)
    return count < 0 ? [] : buffer[..<count].map { UInt8(bitPattern: $0) }
  }
}
