import MountTable

/// Trees from a seed, as commands; each is tried on the model at once, so that later ones know what is there.
public struct TreeGenerator: Sendable {
  public private(set) var container: ModelContainer
  public private(set) var commands: [TreeCommand] = []
  private var directories = ["/"]
  /// Directories that are bound, and in which nothing is made.
  private var sources: [String] = []
  private var files: [String] = []
  private var mountPoints: [String] = []
  private var nameCount = 0
  private var state: UInt64
  private let limit: Int

  /// - Parameters:
  ///   - size: how many operations; each is one command or a few.
  ///   - limit: no more is mounted once the tree has so many mounts: what is shared multiplies them.
  public init(
    seed: UInt64, size: Int, outside: ModelContainer.Outside = .none, newUser: Bool = false,
    limit: Int = 150
  ) throws {
    state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    self.limit = limit
    container = try ModelContainer(outside: outside, newUser: newUser)
    if outside == .peer {
      // What is mounted in it would be mounted on the host too.
      sources = ["/from-outside/directory", "/from-outside/directory/sub"]
      files.append("/from-outside/file")
    } else if outside != .none {
      directories += ["/from-outside/directory", "/from-outside/directory/sub"]
      files.append("/from-outside/file")
      mountPoints += ["/from-outside/directory", "/from-outside/file"]
    }
    do {
      if below(4) == 0 { run("shared /") }
      for _ in 0..<size where container.mountCount < limit { operation() }
    }
    changeAttributes()
  }

  private mutating func below(_ limit: Int) -> Int {
    state ^= state >> 12
    state ^= state << 25
    state ^= state >> 27
    return Int((state &* 2_685_821_657_736_338_717) >> 33) % limit
  }

  private mutating func any(_ list: [String]) -> String { list[below(list.count)] }

  @discardableResult
  private mutating func run(_ line: String) -> Bool {
    let command = TreeCommand(line: line)
    commands.append(command)
    return container.perform(command)
  }

  private mutating func newPath() -> String {
    nameCount += 1
    let parent = any(directories)
    return (parent == "/" ? "" : parent) + "/n\(nameCount)"
  }

  private mutating func newDirectory() -> String? {
    let path = newPath()
    return run("directory \(path)") ? path : nil
  }

  private mutating func newFile() -> String? {
    let path = newPath()
    return run("file \(path)") ? path : nil
  }

  private mutating func mounted(_ path: String, isFile: Bool = false) {
    mountPoints.append(path)
    if isFile { files.append(path) } else { directories.append(path) }
  }

  private mutating func operation() {
    switch below(22) {
    case 0...2: if let path = newDirectory() { putTmpfs(path) }
    case 3...5: bind()
    case 6, 7: if let path = newDirectory() { directories.append(path) }
    case 8: bindFile()
    case 9, 10: if !mountPoints.isEmpty { putTmpfs(any(mountPoints)) }
    case 11: hidingSibling()
    case 12, 13: deletedRoot()
    case 14: if !mountPoints.isEmpty { run("umount \(any(mountPoints))") }
    case 15: moveMount()
    case 16: if below(3) == 0 { coverRoot() } else if below(8) == 0 { chainOfMasters() }
    default: changePropagation()
    }
  }

  private mutating func putTmpfs(_ path: String) {
    let options = ["", " size=1024k", " mode=700", " size=128k,nr_inodes=400,mode=755"]
    guard run("tmpfs \(path)" + any(options)) else { return }
    run("file \(path)/content\(nameCount)")
    mounted(path)
  }

  private mutating func bind() {
    let source = any(directories + sources)
    let word = below(5) == 0 ? "rbind" : "bind"
    guard let path = newDirectory(), run("\(word) \(source) \(path)") else { return }
    if !sources.isEmpty, isOfHost(path) { return }
    mounted(path)
  }

  private mutating func bindFile() {
    if files.isEmpty || below(3) == 0, let path = newFile() { files.append(path) }
    guard !files.isEmpty else { return }
    let source = any(files)
    guard let path = newFile(), run("bind \(source) \(path)") else { return }
    if !sources.isEmpty, isOfHost(path) { return }
    mounted(path, isFile: true)
  }

  /// Two mounts on one parent, the second over the first.
  private mutating func hidingSibling() {
    guard let outer = newDirectory(), run("directory \(outer)/inner") else { return }
    putTmpfs(outer + "/inner")
    putTmpfs(outer)
  }

  private mutating func deletedRoot() {
    if below(2) == 0 {
      guard let source = newDirectory(), mayBeRemoved(source), let path = newDirectory() else {
        return
      }
      if run("bind \(source) \(path)") {
        mountPoints.append(path)
        run("remove \(source)")
      }
    } else if let source = newFile(), mayBeRemoved(source), let path = newFile(),
      run("bind \(source) \(path)")
    {
      mountPoints.append(path)
      run("remove \(source)")
    }
  }

  /// What is unlinked in a file system of the host's is refused: seldom, so that most trees are restored.
  private mutating func mayBeRemoved(_ path: String) -> Bool { !isOfHost(path) || below(8) == 0 }

  /// Each receives from the one before, and passes it on.
  private mutating func chainOfMasters() {
    guard let first = newDirectory() else { return }
    putTmpfs(first)
    run("shared \(first)")
    var above = first
    for _ in 0..<(2 + below(3)) {
      guard let path = newDirectory(), run("bind \(above) \(path)") else { return }
      run("slave \(path)")
      run("shared \(path)")
      mounted(path)
      above = path
    }
  }

  private mutating func moveMount() {
    guard !mountPoints.isEmpty else { return }
    let source = any(mountPoints)
    guard let path = newDirectory(), run("move \(source) \(path)") else { return }
    mounted(path)
  }

  private mutating func coverRoot() {
    if below(2) == 0 { run("tmpfs /") } else { run("bind \(any(directories)) /") }
  }

  private mutating func changePropagation() {
    guard !mountPoints.isEmpty else { return }
    let path = any(mountPoints)
    if below(12) == 0 {
      run("unbindable \(path)")
      return
    }
    let kinds = ["shared", "shared", "shared", "slave", "slave", "private"]
    run("\(any(kinds)) \(path)")
    if below(4) == 0 { run("shared \(path)") }
    if below(20) == 0 { run("r\(any(kinds)) \(path)") }
  }

  /// Last, since nothing can be made on a read-only mount.
  private mutating func changeAttributes() {
    for path in mountPoints {
      if below(3) == 0 {
        let sets = ["ro", "nosuid", "nodev", "noexec", "ro,nosuid,nodev"]
        run("flags \(path) \(any(sets))")
      }
      if below(8) == 0, isOwnTmpfs(path) { run("read-only \(path)") }
    }
  }

  private func isOfHost(_ path: String) -> Bool {
    guard let place = try? container.kernel.resolve(path, container.process) else { return false }
    return container.kernel.superblocks[
      container.kernel.mounts[place.mount].superblock
    ].source == "host"
  }

  private func isOwnTmpfs(_ path: String) -> Bool {
    guard let place = try? container.kernel.resolve(path, container.process) else { return false }
    let superblock = container.kernel.superblocks[container.kernel.mounts[place.mount].superblock]
    return superblock.type == "tmpfs" && superblock.source != "host"
  }
}
