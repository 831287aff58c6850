import CMooring
import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// A folder of plugins that may be trusted: a plugin runs with all rights of the engine.
struct PluginFolder {
  /// The folder, without symbolic links.
  let path: String
  /// The files `*.so` in it, by name.
  let files: [String]

  /// Folder and files must belong to root, or to the caller where that is not root, and nobody else may
  /// write to them.
  ///
  /// - Throws: `PluginFailure` for a folder that is not there or not to be trusted, and for each such file.
  init(_ folder: String) throws(PluginFailure) {
    guard let real = realpath(folder, nil) else {
      throw PluginFailure("the plugin folder \"\(folder)\": \(Self.reason())")
    }
    path = String(cString: real)
    free(real)
    try Self.check(path, is: S_IFDIR, "the plugin folder")
    guard let directory = opendir(path) else {
      throw PluginFailure("the plugin folder \"\(folder)\": \(Self.reason())")
    }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasSuffix(".so") { names.append(name) }
    }
    files = names.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
    for name in files { try Self.check("\(path)/\(name)", is: S_IFREG, "the plugin") }
  }

  private static func reason() -> String {
    let failure = Errno(rawValue: errno)
    return "\(failure.symbol) (\(failure.text))"
  }

  private static func check(
    _ path: String, is type: mode_t, _ what: String
  ) throws(PluginFailure) {
    var status = stat()
    guard stat(path, &status) == 0 else { throw PluginFailure("\(what) \"\(path)\": \(reason())") }
    guard status.st_mode & S_IFMT == type else {
      throw PluginFailure(
        "\(what) \"\(path)\" is not a \(type == S_IFDIR ? "folder" : "regular file")")
    }
    guard status.st_uid == 0 || status.st_uid == geteuid() else {
      throw PluginFailure(
        "\(what) \"\(path)\" belongs to user \(status.st_uid), and would run with all rights of the "
          + "engine; give it to root: chown root '\(path)'")
    }
    guard status.st_mode & 0o022 == 0 else {
      throw PluginFailure(
        "\(what) \"\(path)\" can be written by others, and would run with all rights of the engine; "
          + "forbid it: chmod go-w '\(path)'")
    }
  }
}
