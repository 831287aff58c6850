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

  /// - Parameter networks: they may be given by descriptors too.
  static func plan(
    _ saved: ClassifiedFiles, _ options: FileOptions, networks: [SavedNetwork], forCommand: Bool
  ) -> FilePlan {
    guard forCommand else {
      var plan = FilePlan()
      if !saved.table.files.isEmpty {
        plan.findings = [
          Finding(
            "open files are for a COMMAND: they are left out", severity: .note)
        ]
      }
      return plan
    }
    var plan = FilePlan(saved, options, limit: Int(clamping: DescriptorLimit().current))
    plan.findings += plan.steps.compactMap(finding)
    for step in plan.steps {
      for (number, stream) in ["input", "output", "error"].enumerated()
      where step.numbers.contains(Int32(number)) {
        plan.findings.append(
          Finding(
            "COMMAND's standard \(stream) is \(step.name), not mooring's own", severity: .note,
            cures: ["to keep mooring's: --skip-file \(number)"]))
      }
    }
    if plan.environment.utf8.count >= longestVariable {
      plan.findings.append(
        Finding(
          "\(FilePlan.variable) would be longer than the \(longestVariable) bytes that Linux takes",
          cures: ["leave files out: --skip-file KIND"]))
    }
    var keys = Set(networks.compactMap { $0.externalKey.map { KernelString($0) } })
    for (file, fileClass) in zip(saved.table.files, saved.classes) {
      keys.insert(file.key)
      if case .externalByKey(let key) = fileClass { keys.insert(key) }
    }
    plan.findings += options.inherited.filter { !keys.contains($0.key) }.map {
      Finding("--inherit-fd '\($0)': the images have nothing of that name")
    }
    return plan
  }

  /// `MAX_ARG_STRLEN`, less the name of the variable.
  private static let longestVariable = (1 << 17) - 16

  /// What can be known to fail before anything is changed.
  private static func finding(_ step: FileStep) -> Finding? {
    var about = stat()
    switch step.source {
    case .inherited(let number):
      if fcntl(number, F_GETFD) >= 0 { return nil }
      return Finding(
        "\(step.name): mooring was started without a descriptor \(number)",
        cures: ["open it for mooring: \(number)<FILE in a shell"])
    case .opened(let path):
      if withPath(path.bytes, { stat($0, &about) }) == 0 { return nil }
      return Finding(
        "\(step.name): look at \(path): \(Errno(rawValue: errno).symbol) "
          + "(\(Errno(rawValue: errno).text))", cures: ["name a file that is there"])
    case .connected(let address):
      guard address.bytes.count <= longestAddress else {
        return Finding(
          "\(step.name): \(socketAddress(address.bytes)) is longer than the \(longestAddress) bytes "
            + "that an address of a socket may have")
      }
      guard address.bytes.first != 0 else { return nil }
      if withPath(address.bytes, { stat($0, &about) }) == 0, about.st_mode & S_IFMT == S_IFSOCK {
        return nil
      }
      return Finding(
        "\(step.name): there is no socket at \(address)",
        cures: ["start who listens there", "name another: --external '\(step.file.key):/path'"])
    case .pluginForFile, .pluginForSocket: return nil
    }
  }

  /// `sun_path`, less its NUL.
  private static let longestAddress = 107

  // MARK: Restoring

  /// Brings the files, and gives each away with its numbers.
  ///
  /// - Throws: `PluginFailure`, `EngineFailure`.
  static func restore(
    _ plan: FilePlan, _ chain: PluginChain?, _ log: Logger,
    give: (borrowing Descriptor, [Int32]) throws -> Void
  ) throws {
    var waiting = plan.steps
    var fruitless = 0
    // Each may have to prepare its part before others can go on: one round for each is enough.
    while !waiting.isEmpty {
      var again: [FileStep] = []
      var names: [String] = []
      for step in waiting {
        let answer = try bring(step, chain)
        let plugin = answer.plugin
        switch answer.takeFile() {
        case .opened(let file):
          if case .inherited = step.source {} else { try setFlags(of: file, step, log) }
          try give(file, step.numbers)
        case .notYet:
          again.append(step)
          names.append(plugin)
        }
      }
      fruitless = again.count < waiting.count ? 0 : fruitless + 1
      guard fruitless <= again.count + 1 else { throw stuck(again, names) }
      if fruitless > 0 { usleep(10_000) }
      waiting = again
    }
  }

  private static func bring(_ step: FileStep, _ chain: PluginChain?) throws -> FileAnswer {
    switch step.source {
    case .pluginForFile(let id):
      guard let chain else { throw noPlugins(step) }
      return try chain.restoreFile(id)
    case .pluginForSocket(let inode):
      guard let chain else { throw noPlugins(step) }
      return given(try chain.restoreUnixSocket(inode: inode))
    case .inherited(let number):
      let copy = fcntl(number, F_DUPFD_CLOEXEC, 3)
      return given(
        Descriptor(
          owning: CInt(
            try checked(copy < 0 ? -Int(errno) : Int(copy), "fcntl(F_DUPFD)", "\(number)"))))
    case .opened(let path):
      // A fifo would wait for its other end.
      let flags = CInt(step.file.flags?.rawValue ?? 0) & ~(O_CREAT | O_EXCL | O_TRUNC)
      let waits = step.file.isPathOnly ? 0 : O_NONBLOCK
      let file = try Descriptor.open(path.bytes, flags: flags | O_NOCTTY | waits)
      // What cannot be positioned stays where it is.
      _ = lseek(file.number, off_t(clamping: step.file.position), SEEK_SET)
      return given(file)
    case .connected(let address):
      return given(try connected(address.bytes, type: step.file.socket?.type ?? 1))
    }
  }

  private static func given(_ file: consuming Descriptor) -> FileAnswer {
    FileAnswer(plugin: "", file: .opened(file))
  }

  private static func noPlugins(_ step: FileStep) -> EngineFailure {
    EngineFailure(
      .refused,
      "restore: \(step.name): a plugin answered for it, and there is none; name its folder: -L DIR")
  }

  private static func connected(_ name: [UInt8], type: Int32) throws -> Descriptor {
    let kind = type | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
    let made = Glibc.socket(AF_UNIX, kind, 0)
    let socket = Descriptor(
      owning: CInt(try checked(made < 0 ? -Int(errno) : Int(made), "socket", "AF_UNIX")))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name.prefix(108)) }
    // Of an abstract name every byte counts, of a path the NUL too.
    let length = MemoryLayout<sa_family_t>.size + name.count + (name.first == 0 ? 0 : 1)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(socket.number, $0, socklen_t(length))
      }
    }
    try checked(result < 0 ? -Int(errno) : 0, "connect", socketAddress(name))
    return socket
  }

  /// The status flags that it was saved with. A descriptor that was inherited is left as its owner has it.
  private static func setFlags(
    of file: borrowing Descriptor, _ step: FileStep, _ log: Logger
  ) throws {
    guard let saved = step.file.flags, !step.file.isPathOnly else { return }
    let found = fcntl(file.number, F_GETFL)
    try checked(found < 0 ? -Int(errno) : 0, "fcntl(F_GETFL)", step.name)
    let flags = OpenFlags(rawValue: UInt32(found))
    if flags.access != saved.access {
      log.warning(
        "\(step.name) is open for \(flags.words[0]), and was saved as \(saved.words[0])")
    }
    let wanted = flags.subtracting(.settable).union(saved.intersection(.settable))
    guard wanted != flags else { return }
    let result = fcntl(file.number, F_SETFL, CInt(wanted.rawValue))
    try checked(
      result < 0 ? -Int(errno) : 0, "fcntl(F_SETFL)",
      "\(step.name) (\(wanted.words.joined(separator: ",")))")
  }

  private static func stuck(_ steps: [FileStep], _ names: [String]) -> PluginFailure {
    var failure = PluginFailure(
      operation: "restore", plugin: names[0], hook: "\(PluginHook.restoreFile)",
      subject: "for file \(steps[0].file.id)",
      reason: "it asks to be asked again, and no other file makes progress")
    if steps.count > 1 {
      let others = zip(steps, names).dropFirst()
        .map { "file \($0.file.id) (plugin \($1))" }
      failure.reason += "; neither do " + others.joined(separator: ", ")
    }
    return failure
  }
}
