import MountTable
import RestorePlan

/// Carries out plans on the model: what the executor and its helpers do on Linux, call by call.
public struct ModelRestore: Sendable {
  /// What the images hold beside the table: the files of each superblock.
  public typealias Contents = [DeviceNumber: [String]]

  /// A step that the kernel would refuse.
  public struct Refusal: Error, CustomStringConvertible {
    public var number: Int
    public var step: RestoreStep
    public var cause: ModelFailure
    public var description: String { "step \(number), \(step): \(cause.rawValue)" }
  }

  public var kernel: ModelKernel
  /// The process whose namespace is built; its root is the restored one after `pivotRoot`.
  public private(set) var process: ModelKernel.Process
  private let host: ModelKernel.Process
  private let root: String
  private let contents: Contents
  private var slots: [Slot: Int] = [:]
  private let staging: Int
  private var stagedCount = 0
  /// Superblocks that this restore has made.
  private var own: Set<Int> = []

  /// A new namespace, private throughout, with the staging area over its root.
  public init(
    _ kernel: ModelKernel, host: ModelKernel.Process, root: String, contents: Contents,
    newUser: Bool = false
  ) throws(ModelFailure) {
    self.kernel = kernel
    self.host = host
    self.root = root
    self.contents = contents
    process = self.kernel.unshare(host, newUser: newUser)
    try self.kernel.changePropagation("/", .private, recursive: true, process)
    staging = self.kernel.create(
      "tmpfs", source: "staging", options: "", isReadOnly: false, attributes: .init())
    try self.kernel.attach(staging, at: self.kernel.topmost(process.root))
  }

  public mutating func run(_ plan: RestorePlan) throws(Refusal) {
    for (number, step) in plan.steps.enumerated() {
      do throws(ModelFailure) { try perform(step) } catch {
        throw Refusal(number: number + 1, step: step, cause: error)
      }
    }
  }

  /// Slots that still hold a descriptor: none, when a plan is complete.
  public var openSlots: [Slot] { slots.keys.sorted() }

  private mutating func perform(_ step: RestoreStep) throws(ModelFailure) {
    switch step {
    case .takeFromOutside(let source, _, let into):
      let mount = try take(source)
      kernel.setPropagation(mount, .private)
      try fill(into, mount)
    case .createFileSystem(let new, let attributes, _, let into):
      let mount = kernel.create(
        new.type.description, source: new.source.description,
        options: new.parameters.map(\.description).joined(separator: ","),
        isReadOnly: new.flags.contains(.readOnly), attributes: attributes)
      own.insert(kernel.mounts[mount].superblock)
      try fill(into, mount)
    case .cloneNamespaceFile: throw .invalidArgument
    case .stage(let slot): try stage(try mount(slot))
    case .unpack(let device, let slot): try unpack(device, try mount(slot))
    case .setSuperblockFlags(let slot, let flags):
      let superblock = kernel.mounts[try mount(slot)].superblock
      guard own.contains(superblock) else { throw .notPermitted }
      kernel.superblocks[superblock].isReadOnly = flags.contains(.readOnly)
    case .makePlaceholder(let slot, let name, let isFile, _):
      let mount = try mount(slot)
      guard kernel.isWritable(mount) else { throw .readOnlyFileSystem }
      _ = kernel.addNode(
        name.description, in: kernel.mounts[mount].root, isDirectory: !isFile)
    case .removePlaceholder(let slot, let name, let path):
      try removePlaceholder(try mount(slot), name.description, path.description)
    case .makeControlGroup(let slot, let path):
      try makePath(path.description, in: try mount(slot), isFile: false)
    case .clone(let origin, let path, _, let into):
      let from = try mount(origin)
      let node = try kernel.node(path.description, beneath: from)
      try fill(
        into, try kernel.openTree(.init(mount: from, node: node), recursive: false, process))
    case .setAttributes(let slot, let attributes):
      try kernel.setAttributes(try mount(slot), attributes)
    case .setIDMapping(let slot, let mapping):
      try kernel.setIDMapping(try mount(slot), mapping)
    case .attach(let slot, let at, let path, _, let missing):
      try attach(try mount(slot), at: try mount(at), path.description, missing)
    case .joinGroup(let source, let slot):
      try kernel.setGroup(of: try mount(source), try mount(slot))
    case .joinGroupOutside(let source, _, let slot):
      let peer = try take(source)
      try kernel.setGroup(of: peer, try mount(slot))
      kernel.dissolve(peer)
    case .setPropagation(let slot, let propagation):
      kernel.setPropagation(
        try mount(slot), ModelPropagation(rawValue: propagation.rawValue)!)
    case .release(let slot): try release(slot)
    case .pivotRoot(let slot):
      kernel.dissolve(try kernel.pivot(into: try mount(slot), &process))
    }
  }

  private func mount(_ slot: Slot) throws(ModelFailure) -> Int {
    guard let mount = slots[slot] else { throw .invalidArgument }
    return mount
  }

  private mutating func fill(_ slot: Slot, _ mount: Int) throws(ModelFailure) {
    guard slots.updateValue(mount, forKey: slot) == nil else { throw .resourceBusy }
  }

  /// The last descriptor of a detached tree takes it along.
  private mutating func release(_ slot: Slot) throws(ModelFailure) {
    guard let mount = slots.removeValue(forKey: slot) else { throw .invalidArgument }
    if kernel.mounts[mount].namespace == nil, kernel.mounts[mount].parent == nil,
      !kernel.mounts[mount].isGone
    {
      kernel.dissolve(mount)
    }
  }

  private mutating func take(_ source: OutsideSource) throws(ModelFailure) -> Int {
    let path: String
    switch source {
    case .root: path = root
    case .path(let other): path = other.description
    case .plugin: throw .invalidArgument
    }
    return try kernel.openTree(try kernel.resolve(path, host), recursive: false, host)
  }

  private mutating func stage(_ mount: Int) throws(ModelFailure) {
    let isDirectory = kernel.nodes[kernel.mounts[mount].root].isDirectory
    let place = kernel.addNode(
      "\(stagedCount)", in: kernel.mounts[staging].root, isDirectory: isDirectory)
    stagedCount += 1
    try kernel.attach(mount, at: .init(mount: staging, node: place))
  }

  private mutating func unpack(
    _ device: DeviceNumber, _ mount: Int
  ) throws(ModelFailure) {
    guard own.contains(kernel.mounts[mount].superblock) else { throw .notPermitted }
    guard kernel.isWritable(mount) else { throw .readOnlyFileSystem }
    for path in contents[device] ?? [] {
      var parent = kernel.mounts[mount].root
      let names = path.split(separator: "/").map(String.init)
      for name in names.dropLast() { parent = kernel.nodes[parent].children[name]! }
      _ = kernel.addNode(names.last!, in: parent, isDirectory: path.hasSuffix("/"))
    }
  }

  /// On Linux by `openat2` and `move_mount`; several mounts at one place lie on each other.
  private mutating func attach(
    _ mount: Int, at parent: Int, _ path: String, _ missing: MissingMountPoint
  ) throws(ModelFailure) {
    let names = path.split(separator: "/")
    let above = names.dropLast().joined(separator: "/")
    var node: Int
    do throws(ModelFailure) {
      node = try kernel.node(above, beneath: parent)
      if let name = names.last {
        guard let found = kernel.nodes[node].children[String(name)] else {
          throw ModelFailure.noSuchFileOrDirectory
        }
        node = found
      }
    } catch .noSuchFileOrDirectory {
      guard case .make(let origin, let full, _) = missing else { throw .noSuchFileOrDirectory }
      let isFile = !kernel.nodes[kernel.mounts[mount].root].isDirectory
      try makePath(full.description, in: try self.mount(origin), isFile: isFile)
      node = try kernel.node(path, beneath: parent)
    }
    try kernel.attach(mount, at: kernel.topmost(.init(mount: parent, node: node)))
  }

  private mutating func makePath(
    _ path: String, in mount: Int, isFile: Bool
  ) throws(ModelFailure) {
    guard kernel.isWritable(mount) else { throw .readOnlyFileSystem }
    var node = kernel.mounts[mount].root
    let names = path.split(separator: "/").map(String.init)
    for (index, name) in names.enumerated() {
      if let next = kernel.nodes[node].children[name] {
        node = next
      } else {
        node = kernel.addNode(
          name, in: node, isDirectory: !(isFile && index == names.count - 1))
      }
    }
  }

  /// The kernel remembers the name that something had when it was unlinked.
  private mutating func removePlaceholder(
    _ mount: Int, _ name: String, _ path: String
  ) throws(ModelFailure) {
    let root = kernel.mounts[mount].root
    guard let node = kernel.nodes[root].children[name] else { throw .noSuchFileOrDirectory }
    guard kernel.isWritable(mount) else { throw .readOnlyFileSystem }
    let base = kernel.rootPath(of: root)
    kernel.unlink(node)
    kernel.nodes[node].formerPath = (base == "/" ? "" : base) + "/" + path
  }
}
