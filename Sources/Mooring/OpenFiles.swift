import CMooring
import FileTable
import Glibc
import LinkTable
import LinuxKernel
import Logging
import MountTable
import PluginHost
import RestorePlan
import SystemPackage

/// Open files of a container: read and classified at dump, brought back at restore.
enum OpenFiles {
  /// - Parameters:
  ///   - mounts: those that `pid` sees.
  ///   - skipped: mount points that are left out, with what is mounted below them.
  static func classify(
    _ pid: Int32, _ mounts: MountTable, skipped: [MountPath], _ options: FileOptions,
    _ chain: PluginChain?
  ) throws -> ClassifiedFiles {
    DescriptorLimit().raise()
    let restored = mounts.mounts.filter { mount in
      !skipped.contains { $0.contains(mount.mountPoint) }
    }
    let reader = try OpenFileReader(pid, mounts: Set(restored.map(\.id)))
    let classifier = FileClassifier(options: options) { file in
      // Linux lets nobody send an io_uring over a socket.
      guard let chain, file.kind != .anonymous("io_uring") else { return nil }
      let copy = try reader.duplicate(file)
      return file.kind == .unixSocket
        ? try chain.dumpUnixSocket(copy.number, inode: UInt32(truncatingIfNeeded: file.inode))
        : try chain.dumpFile(copy.number, id: file.id)
    }
    return try classifier.classify(reader.table)
  }

  // MARK: Planning

  /// - Parameters:
  ///   - networks: they may be given by descriptors too.
  ///   - forCommand: whether there is a COMMAND that takes them.
  static func plan(
    _ saved: ClassifiedFiles, _ options: FileOptions, _ inherited: InheritedFiles,
    networks: [SavedNetwork], forCommand: Bool
  ) -> FilePlan {
    var plan =
      forCommand
      ? FilePlan(saved, options, limit: Int(clamping: DescriptorLimit().current))
      : FilePlan(leavingOut: saved, options)
    plan.findings += plan.steps.compactMap(finding) + streams(plan.steps)
    var keys = Set(networks.compactMap { $0.externalKey.map { KernelString($0) } })
    for (file, fileClass) in zip(saved.table.files, saved.classes) {
      keys.insert(file.key)
      if case .externalByKey(let key) = fileClass { keys.insert(key) }
    }
    for option in options.inherited {
      if !keys.contains(option.key) {
        plan.findings.append(
          Finding(
            "--inherit-fd '\(option)': the images have nothing of that name",
            cures: ["'mooring files -D' and 'mooring links -D' show what they have"]))
      } else if inherited.copy(of: option.number) == nil {
        plan.findings.append(
          Finding(
            "--inherit-fd '\(option)': mooring was started without a descriptor \(option.number)",
            cures: ["open it for mooring: \(option.number)<FILE in a shell"]))
      }
    }
    return plan
  }

  private static func streams(_ steps: [FileStep]) -> [Finding] {
    steps.flatMap { step in
      zip(0..., ["input", "output", "error"]).filter { step.numbers.contains(Int32($0.0)) }
        .map { number, stream in
          Finding(
            "COMMAND's standard \(stream) is \(step.name), not mooring's own", severity: .note,
            cures: ["to keep mooring's: --skip-file \(number)"])
        }
    }
  }

  private static func look(_ path: [UInt8], _ about: inout stat) -> Bool {
    Waiting.on("\(quoted(path)) on the host", atMost: Waiting.patience) {
      withPath(path) { stat($0, &about) } == 0
    }
  }

  /// What can be known to fail before anything is changed.
  private static func finding(_ step: FileStep) -> Finding? {
    var about = stat()
    switch step.source {
    case .opened(let path):
      if look(path.bytes, &about) { return nil }
      let reason = Errno(rawValue: errno)
      return Finding(
        "\(step.name): look at \(path): \(reason.symbol) (\(reason.text))",
        cures: ["name a file that is there"])
    case .connected(let address):
      guard address.bytes.count <= UnixSocket.longestName else {
        return Finding(
          "\(step.name): \(socketAddress(address.bytes)) is longer than the \(UnixSocket.longestName) bytes "
            + "that an address of a socket may have")
      }
      guard address.bytes.first != 0 else { return nil }
      if look(address.bytes, &about), about.st_mode & S_IFMT == S_IFSOCK {
        return nil
      }
      return Finding(
        "\(step.name): there is no socket at \(address)",
        cures: ["start who listens there", "name another: --external '\(step.file.key):/path'"])
    case .inherited, .pluginForFile, .pluginForSocket: return nil
    }
  }
}
