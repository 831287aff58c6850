import CMooring
import Glibc
import LinkTable
import LinuxKernel
import MountTable
import RestorePlan
import SystemPackage

/// Files that keep namespaces alive without a process, as `nsenter`, `ip netns` and runtimes take them.
///
/// In the directory: `mnt`, `net`, `uts`, …, a file for each namespace; `net-1`, … for network namespaces
/// nested in the tree; and `netns-name`, a link to the name under which `ip netns` finds the first. The
/// directory is a private mount of its own: the kernel takes a mount namespace's file nowhere else.
public struct NamespacePins: Sendable {
  public var directory: String
  /// The name for `ip netns`.
  public var networkName: String?

  public init(directory: String, networkName: String? = nil) {
    self.directory = directory
    self.networkName = networkName
  }

  private static let nameLink = "netns-name"
  private static let networks = "/run/netns"
  /// `NS_GET_NSTYPE`.
  private static let getNamespaceType: UInt = 0xB703

  // MARK: Making

  /// What would stand in the way; nothing is changed.
  func findings() -> [Finding] {
    var findings: [Finding] = []
    var status = stat()
    if lstat(directory, &status) == 0 {
      if status.st_mode & S_IFMT != S_IFDIR {
        findings.append(
          Finding("--pin \(directory): it is there and no directory", cures: ["name another one"]))
      } else if let names = try? Self.names(in: directory), !names.isEmpty {
        findings.append(
          Finding(
            "--pin \(directory): it is not empty",
            cures: ["name another one", "mooring unpin \(directory), if these are pins"]))
      }
    }
    guard let networkName else { return findings }
    if !isLinkName(Array(networkName.utf8.prefix(15))) || networkName.utf8.count > 255 {
      findings.append(
        Finding(
          "--netns-name \(networkName): it is no name of a file", cures: ["name another one"]))
    } else if lstat("\(Self.networks)/\(networkName)", &status) == 0 {
      findings.append(
        Finding(
          "--netns-name \(networkName): there is a network namespace of that name",
          cures: ["name another one", "ip netns delete \(networkName)"]))
    }
    return findings
  }

  /// Pins the namespaces of a process.
  ///
  /// - Parameters:
  ///   - kinds: those it has of its own.
  ///   - nested: descriptors of the network namespaces nested in the tree.
  func pin(_ pid: pid_t, _ kinds: [NamespaceKind], nested: [CInt]) throws {
    if mkdir(directory, 0o755) < 0 && errno != EEXIST {
      throw SystemCallFailure("mkdir", on: directory, Errno(rawValue: errno))
    }
    try bind(directory, onto: directory)
    try checked(
      mooring_mount(nil, directory, nil, UInt(MS_PRIVATE), nil), "mount", "\(directory), private")
    for kind in kinds { try pin("/proc/\(pid)/ns/\(kind.rawValue)", as: kind.rawValue) }
    for (number, descriptor) in nested.enumerated() {
      try pin("/proc/self/fd/\(descriptor)", as: "net-\(number + 1)")
    }
    guard let networkName else { return }
    try makeNetworkFolder()
    let path = "\(Self.networks)/\(networkName)"
    if symlink(path, "\(directory)/\(Self.nameLink)") < 0 {
      throw SystemCallFailure(
        "symlink", on: "\(directory)/\(Self.nameLink)", Errno(rawValue: errno))
    }
    try makeFile(path)
    try bind("/proc/\(pid)/ns/net", onto: path)
  }

  /// As `ip netns add` does: a mount of its own, shared, so that names come and go in all mount namespaces.
  private func makeNetworkFolder() throws {
    if mkdir(Self.networks, 0o755) < 0 && errno != EEXIST {
      throw SystemCallFailure("mkdir", on: Self.networks, Errno(rawValue: errno))
    }
    let shared = UInt(MS_SHARED | MS_REC)
    if mooring_mount(nil, Self.networks, nil, shared, nil) >= 0 { return }
    try checked(
      mooring_mount(Self.networks, Self.networks, nil, UInt(MS_BIND | MS_REC), nil), "mount",
      Self.networks)
    try checked(
      mooring_mount(nil, Self.networks, nil, shared, nil), "mount", "\(Self.networks), shared")
  }

  private func pin(_ source: String, as name: String) throws {
    let path = "\(directory)/\(name)"
    try makeFile(path)
    try bind(source, onto: path)
  }

  private func makeFile(_ path: String) throws(SystemCallFailure) {
    _ = try Descriptor.open(path, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o444)
  }

  private func bind(_ source: String, onto target: String) throws(SystemCallFailure) {
    try checked(
      mooring_mount(source, target, nil, UInt(MS_BIND), nil), "mount", "\(source) onto \(target)")
  }

  // MARK: Taking away

  /// Takes pins away, the directory too; with the last one of a namespace that has no process, the namespace
  /// goes.
  ///
  /// - Throws: `EngineFailure` where the directory holds something else; then nothing was taken away.
  public static func remove(_ directory: String) throws {
    guard let names = try? names(in: directory) else {
      throw EngineFailure(
        .failed,
        "unpin: \(directory): \(Errno(rawValue: errno).text); name a folder that restore --pin made"
      )
    }
    for name in names where !isPin(name, in: directory) {
      throw EngineFailure(
        .refused,
        "unpin: \(directory)/\(name) is no pin; name a folder that restore --pin made, and nothing was added to"
      )
    }
    guard !names.isEmpty || isMountPoint(directory) else {
      throw EngineFailure(.refused, "unpin: \(directory) holds no pins")
    }
    let failures = takeAway(directory)
    if !failures.isEmpty { throw EngineFailure(.failed, failures.joined(separator: "\n")) }
  }

  /// Takes away what there is of pins that may be half made.
  ///
  /// - Parameter keepsDirectory: it was there before, empty.
  static func takeAway(_ directory: String, keepsDirectory: Bool = false) -> [String] {
    var failures: [String] = []
    func attempt(_ what: String, _ result: Int) {
      let code = CInt(-result)
      if result < 0 && code != ENOENT && code != EINVAL {
        let errno = Errno(rawValue: code)
        failures.append("unpin: \(what): \(errno.symbol) (\(errno.text)); take it away by hand")
      }
    }
    func unlinked(_ path: String) -> Int { unlink(path) < 0 ? -Int(errno) : 0 }
    let detach = CInt(MNT_DETACH) | 8  // UMOUNT_NOFOLLOW
    let link = "\(directory)/\(nameLink)"
    if let path = target(of: link) {
      // Another one of that name, made since, is not ours.
      if isNamespace(path) ? isSame(path, "\(directory)/net") : isEmptyPin(path) {
        attempt("umount \(path)", mooring_umount2(path, detach))
        attempt("unlink \(path)", unlinked(path))
      }
    }
    for name in (try? names(in: directory)) ?? [] {
      let path = "\(directory)/\(name)"
      if name != nameLink { attempt("umount \(path)", mooring_umount2(path, detach)) }
      attempt("unlink \(path)", unlinked(path))
    }
    if isMountPoint(directory) {
      attempt("umount \(directory)", mooring_umount2(directory, detach))
    }
    if keepsDirectory { return failures }
    attempt("rmdir \(directory)", rmdir(directory) < 0 ? -Int(errno) : 0)
    return failures
  }

  private static func isPin(_ name: String, in directory: String) -> Bool {
    let path = "\(directory)/\(name)"
    if name == nameLink { return target(of: path) != nil }
    let isKnown =
      NamespaceKind(rawValue: name) != nil
      || name.hasPrefix("net-") && Int(name.dropFirst(4)) != nil
    return isKnown && (isNamespace(path) || isEmptyPin(path))
  }

  /// The file that a namespace is bound to, where none is.
  private static func isEmptyPin(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode == S_IFREG | 0o444 && status.st_size == 0
  }

  /// Whether the directory is there already.
  var isThere: Bool { access(directory, F_OK) == 0 }

  /// Where the link to the name of `ip netns` leads; `nil` where it leads elsewhere.
  private static func target(of link: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = readlink(link, &buffer, buffer.count)
    guard count > 0 else { return nil }
    let path = String(decoding: buffer[..<count], as: UTF8.self)
    guard path.hasPrefix("\(networks)/"), !path.dropFirst(networks.count + 1).contains("/"),
      !path.hasSuffix("/.."), !path.hasSuffix("/.")
    else { return nil }
    return path
  }

  private static func isNamespace(_ path: String) -> Bool {
    guard let file = try? Descriptor.open(path, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK) else {
      return false
    }
    return mooring_ioctl(file.number, getNamespaceType) >= 0
  }

  private static func isSame(_ one: String, _ other: String) -> Bool {
    var first = stat()
    var second = stat()
    return stat(one, &first) == 0 && stat(other, &second) == 0 && first.st_ino == second.st_ino
  }

  private static func isMountPoint(_ directory: String) -> Bool {
    func mount(_ path: String) -> Int {
      guard let opened = try? Descriptor.open(path, flags: CInt(MOORING_O_PATH) | O_DIRECTORY)
      else { return -1 }
      return mooring_mount_id(opened.number)
    }
    let own = mount(directory)
    return own >= 0 && own != mount("\(directory)/..")
  }

  private static func names(in directory: String) throws -> [String] {
    guard let stream = opendir(directory) else {
      throw SystemCallFailure("opendir", on: directory, Errno(rawValue: errno))
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}
