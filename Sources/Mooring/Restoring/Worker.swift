import CMooring
import CheckpointImages
import Glibc
import LinuxKernel
import MountTable
import RestorePlan
import SystemPackage

/// The process that owns the new namespaces: makes them, builds the tree, and stays as their holder.
///
/// It runs after `fork` and never returns: every way out is `_exit`, and with the last process its
/// namespaces go.
struct Worker {
  var plan: RestorePlan
  /// What the contents of archives are unpacked without.
  var leftOut = LeaveOut()
  var namespaces: ContainerNamespaces
  var command: HolderCommand
  /// The network namespace from outside that the container has as its own; a path of the engine.
  var networkFile: String?
  /// How many network namespaces are nested in the tree.
  var nestedNetworks = 0
  /// Whether files are to keep the namespaces.
  var isPinned = false
  /// Whether the images say nothing of links: then the loopback is brought up.
  var bringsLoopbackUp = true
  var callersLimit: DescriptorLimit
  /// `MOORING_FDS`; empty for none.
  var fileList = ""

  func run(_ channel: borrowing Channel) -> Never {
    var nested: [CInt] = []
    var files: [Holder.File] = []
    var report: CInt = -1
    do {
      let mask = umask(0)
      defer { _ = umask(mask) }
      try dieWithEngine()
      nested = try makeNamespaces(channel)
      // Once more: a new process does not inherit it, and new credentials take it away.
      try dieWithEngine()
      try prepareNamespaces()
      for network in nested { try channel.send(Message(.network, descriptors: [network])) }
      try channel.send(Message(.ready))
      try build(channel)
      try channel.send(Message(.built))
      files = try receiveFiles(channel)
      // Before the engine may go: from here on its end is not the holder's.
      if !command.diesWithEngine { _ = mooring_prctl(CInt(MOORING_PR_SET_PDEATHSIG), 0) }
      if case .none = command {
        try channel.send(Message(.held))
      } else {
        // Closed by the kernel when COMMAND begins; until then it can say why it cannot.
        var ends: [CInt] = [-1, -1]
        try checked(mooring_pipe(&ends), "pipe", "the beginning of COMMAND")
        try channel.send(Message(.held, descriptors: [ends[0]]))
        close(ends[0])
        report = ends[1]
      }
    } catch let failure as StepFailure {
      try? channel.send(Message(.failed, text: StepSentence(plan).text(failure)))
      mooring_exit(1)
    } catch {
      try? channel.send(Message(.failed, text: "restore: \(error)"))
      mooring_exit(1)
    }
    Holder(
      command: command, held: nested, files: files, fileList: fileList, callersLimit: callersLimit,
      report: report
    ).run()
  }

  /// The open files for COMMAND, until the engine lets it begin.
  private func receiveFiles(_ channel: borrowing Channel) throws -> [Holder.File] {
    var files: [Holder.File] = []
    while true {
      guard let message = try channel.receive() else { mooring_exit(1) }
      if message.kind == .hold { return files }
      guard message.kind == .file, message.descriptors.count == 1 else {
        throw EngineFailure(
          .failed, "the worker has no descriptor left for an open file; raise ulimit -n")
      }
      files.append(
        Holder.File(
          descriptor: message.descriptors[0],
          numbers: message.text.split(separator: " ").compactMap { CInt($0) }))
    }
  }

  private func dieWithEngine() throws(SystemCallFailure) {
    try checked(
      mooring_prctl(CInt(MOORING_PR_SET_PDEATHSIG), UInt(SIGKILL)), "prctl", "PR_SET_PDEATHSIG")
  }

  /// The user namespace first, so that the others belong to it; pid and time take one more fork.
  ///
  /// - Returns: the network namespaces nested in the tree.
  private func makeNamespaces(_ channel: borrowing Channel) throws -> [CInt] {
    var kinds = Set(namespaces.own.keys)
    kinds.insert(.mount)
    let formerID = isPinned ? NamespaceCalls.ownMountNamespaceID() : nil
    // While its path is in reach, and with the rights of the engine.
    if let networkFile, kinds.remove(.network) != nil {
      let file = try Descriptor.open(networkFile, flags: O_RDONLY)
      try checked(
        mooring_setns(file.number, NamespaceCalls.flag(of: .network)), "setns", networkFile)
    }
    if kinds.remove(.user) != nil {
      try NamespaceCalls.unshare([.user])
      try channel.send(Message(.mapMe))
      try expectGo(channel)
      try becomeRoot()
    }
    try NamespaceCalls.unshare(kinds)
    if let formerID { try NamespaceCalls.unshareMounts(above: formerID) }
    if kinds.contains(.time) {
      // New credentials made the process undumpable: its files in /proc are root's outside until it is not.
      try NamespaceCalls.whileDumpable { () throws(SystemCallFailure) in
        try NamespaceCalls.setClockOffsets(
          monotonic: namespaces.monotonicOffset ?? 0, bootTime: namespaces.bootTimeOffset ?? 0)
      }
    }
    let nested = try makeNestedNetworks()
    if kinds.contains(.process) || kinds.contains(.time) {
      let child = try checked(mooring_fork(), "fork", "the process that holds the namespaces")
      if child != 0 {
        try channel.send(Message(.forked, text: String(child)))
        mooring_exit(0)
      }
      try expectGo(channel)
    }
    return nested
  }

  private func makeNestedNetworks() throws -> [CInt] {
    guard nestedNetworks > 0 else { return [] }
    let path = "/proc/thread-self/ns/net"
    let own = try Descriptor.open(path, flags: O_RDONLY)
    var nested: [CInt] = []
    for _ in 0..<nestedNetworks {
      try NamespaceCalls.unshare([.network])
      nested.append(try Descriptor.open(path, flags: O_RDONLY).release())
    }
    try checked(
      mooring_setns(own.number, NamespaceCalls.flag(of: .network)), "setns",
      "the container's own network namespace")
    return nested
  }

  private func expectGo(_ channel: borrowing Channel) throws {
    guard let message = try channel.receive() else { mooring_exit(1) }
    if message.kind != .go { throw EngineFailure(.failed, message.text) }
  }

  /// Inside a user namespace, root is who its mapping says; one without an ID 0 is refused by the plan.
  private func becomeRoot() throws {
    try checked(mooring_become_group(0), "setresgid", "0")
    try checked(mooring_become_user(0), "setresuid", "0")
  }

  private func prepareNamespaces() throws {
    if namespaces.own[.uts] != nil {
      if let name = namespaces.hostName { try NamespaceCalls.setHostName(name) }
      if let name = namespaces.domainName { try NamespaceCalls.setDomainName(name) }
    }
    if bringsLoopbackUp, namespaces.own[.network] != nil { try NamespaceCalls.bringLoopbackUp() }
  }

  private func build(_ channel: borrowing Channel) throws {
    let socket = channel.socket.number
    var executor = try RestoreExecutor(slotCount: plan.slotCount, services: services(socket))
    while true {
      guard let message = try channel.receive() else { mooring_exit(1) }
      if message.kind == .build { break }
      guard message.kind == .provide || message.kind == .provideRoot, let slot = message.number,
        message.descriptors.count == 1
      else { throw EngineFailure(.failed, message.text) }
      try executor.provide(
        Descriptor(owning: message.descriptors[0]), in: Slot(slot),
        isRoot: message.kind == .provideRoot)
    }
    for step in plan.steps { try executor.perform(step) }
  }

  /// What the executor asks of the engine goes over the socket.
  private func services(_ socket: CInt) -> ExecutorServices {
    func ask(_ message: Message) throws -> CInt? {
      try Channel.send(message, over: socket)
      guard let answer = try Channel.receive(from: socket) else { mooring_exit(1) }
      if answer.kind == .refusal { throw EngineFailure(.failed, answer.text) }
      return answer.descriptors.first
    }
    func need(_ message: Message) throws -> Descriptor {
      guard let descriptor = try ask(message) else {
        throw EngineFailure(.failed, "the engine sent no descriptor")
      }
      return Descriptor(owning: descriptor)
    }
    return ExecutorServices(
      unpack: { device, directory in
        let archive = try need(Message(.needContent, text: String(device.packed)))
        try ContentArchive.extract(from: archive.number, into: directory, leavingOut: leftOut)
      },
      unpackUnlinked: { mount, place, isFile in
        let archive = try need(Message(.needUnlinked, text: mount.description))
        try ContentArchive.extractUnlinked(
          from: archive.number, into: place.directory, as: place.name, isFile: isFile,
          leavingOut: leftOut)
      },
      joinOutside: { mount, descriptor in
        _ = try ask(
          Message(.joinOutside, Array(mount.description.utf8), descriptors: [descriptor]))
      },
      willMake: { directory, name, isFile in
        _ = try ask(Message(.willMake, [isFile ? 1 : 0] + name, descriptors: [directory]))
      },
      willExchange: { one, other in
        _ = try ask(
          Message(
            .willExchange, one.name + [0] + other.name,
            descriptors: [one.directory, other.directory]))
      },
      userNamespace: { try need(Message(.needIDMapping, text: $0.wireText)) },
      renameMountPoint: { one, other, exchanging in
        _ = try ask(
          Message(
            .rename, [exchanging ? 1 : 0] + one.name + [0] + other.name,
            descriptors: [one.directory, other.directory]))
      })
  }
}

extension IDMapping {
  /// The mapping as text between two processes of one engine: ranges of users, `;`, of groups.
  var wireText: String {
    func text(_ ranges: [Range]) -> String {
      ranges.map { "\($0.inside) \($0.outside) \($0.count)" }.joined(separator: ",")
    }
    return text(users) + ";" + text(groups)
  }

  init?(wireText: String) {
    let halves = wireText.split(separator: ";", omittingEmptySubsequences: false)
    guard halves.count == 2 else { return nil }
    func ranges(_ text: Substring) -> [Range] {
      text.split(separator: ",").compactMap { line in
        let numbers = line.split(separator: " ").compactMap { UInt32($0) }
        guard numbers.count == 3 else { return nil }
        return Range(inside: numbers[0], outside: numbers[1], count: numbers[2])
      }
    }
    self.init(users: ranges(halves[0]), groups: ranges(halves[1]))
  }
}
