import CMooring
import Glibc
import LinuxKernel
import MountTable
import RestorePlan
import SystemPackage

/// What lies at the paths of the engine's namespace from which a restore takes mounts: facts for the plan.
enum OutsidePaths {
  /// The options with paths resolved, and what was found at each path.
  static func look(
    at options: MountOptions, _ table: MountTable
  ) -> (options: MountOptions, found: [MountPath: OutsidePath]) {
    var found: [MountPath: OutsidePath] = [:]
    func look(_ path: MountPath) -> MountPath {
      switch resolve(path) {
      case .success(let real):
        if found[real] == nil { found[real] = self.look(at: real) }
        return real
      case .failure(let failure):
        found[path] = .unreachable("\(failure)")
        return path
      }
    }
    var resolved = options
    resolved.external = options.external.map {
      switch $0 {
      case .mountForKey(let key, let path): .mountForKey(key, path: look(path))
      case .sourceAtPath(let place, let path): .sourceAtPath(place, path: look(path))
      default: $0
      }
    }
    // A path that was detected is that of a mount: it has no symbolic links.
    for index in table.mounts.indices {
      guard case .detected(let path) = table.mounts[index].mooring, found[path] == nil else {
        continue
      }
      found[path] = self.look(at: path)
    }
    return (resolved, found)
  }

  static func look(at path: MountPath) -> OutsidePath {
    Waiting.on("\(quoted(path.bytes)) on the host", atMost: Waiting.patience) {
      var facts = mooring_file_facts()
      let result = withPath(path.bytes) {
        mooring_file_facts_at($0, &facts)
      }
      if result < 0 {
        let failure = Errno(rawValue: CInt(-result))
        return .unreachable("\(failure.symbol) (\(failure.text))")
      }
      return mode_t(facts.mode) & S_IFMT == S_IFDIR ? .directory : .file
    }
  }

  /// The path without symbolic links (`realpath(3)`).
  static func resolve(_ path: MountPath) -> Result<MountPath, SystemCallFailure> {
    let found = Waiting.on("\(quoted(path.bytes)) on the host", atMost: Waiting.patience) {
      withPath(path.bytes) { realpath($0, nil) }
    }
    guard let real = found else {
      return .failure(
        SystemCallFailure("realpath", on: quoted(path.bytes), Errno(rawValue: errno)))
    }
    defer { free(real) }
    return .success(
      MountPath(UnsafeBufferPointer(start: real, count: strlen(real)).map(UInt8.init(bitPattern:))))
  }
}
