import MountTable

extension ModelKernel {
  /// Whether the node is `ancestor` or lies below it.
  func isNode(_ node: Int, below ancestor: Int) -> Bool {
    var current: Int? = node
    while let here = current {
      if here == ancestor { return true }
      current = nodes[here].parent
    }
    return false
  }

  /// The path of a node below another one, without a slash at the front; empty for itself.
  func path(of node: Int, below ancestor: Int) -> String {
    var names: [String] = []
    var current = node
    while current != ancestor, let parent = nodes[current].parent {
      names.append(nodes[current].name)
      current = parent
    }
    return names.reversed().joined(separator: "/")
  }

  /// The path of a node in its superblock, as mountinfo shows it.
  func rootPath(of node: Int) -> String {
    if let former = nodes[node].formerPath { return former }
    return "/" + path(of: node, below: superblocks[nodes[node].superblock].root)
  }

  /// The topmost of what lies over a place.
  func topmost(_ place: Place) -> Place {
    var here = place
    while let child = childAt[Key(mount: here.mount, node: here.node)] { here = rootPlace(child) }
    return here
  }

  /// Where a path leads. An absolute path begins at the process's root, which nothing covers on the way.
  public func resolve(_ path: String, _ process: Process) throws(ModelFailure) -> Place {
    var here = process.root
    for name in path.split(separator: "/") {
      guard nodes[here.node].isDirectory else { throw .notDirectory }
      guard let next = nodes[here.node].children[String(name)] else { throw .noSuchFileOrDirectory }
      here = topmost(Place(mount: here.mount, node: next))
    }
    return here
  }

  /// A path below a mount's root in which no mount is crossed (`RESOLVE_NO_XDEV`).
  func node(_ path: String, beneath mount: Int) throws(ModelFailure) -> Int {
    var here = mounts[mount].root
    for name in path.split(separator: "/") {
      guard let next = nodes[here].children[String(name)] else {
        throw nodes[here].isDirectory ? .noSuchFileOrDirectory : .notDirectory
      }
      if childAt[Key(mount: mount, node: next)] != nil { throw .improperLink }
      here = next
    }
    return here
  }

  private func parentAndName(
    _ path: String, _ process: Process
  ) throws(ModelFailure) -> (Place, String) {
    let names = path.split(separator: "/")
    guard let last = names.last else { throw .fileExists }
    let parent = try resolve("/" + names.dropLast().joined(separator: "/"), process)
    guard nodes[parent.node].isDirectory else { throw .notDirectory }
    return (parent, String(last))
  }

  func isWritable(_ mount: Int) -> Bool {
    !mounts[mount].attributes.flags.contains(.readOnly)
      && !superblocks[mounts[mount].superblock].isReadOnly
  }

  mutating func addNode(_ name: String, in parent: Int, isDirectory: Bool) -> Int {
    nodes.append(
      Node(
        name: name, parent: parent, superblock: nodes[parent].superblock, isDirectory: isDirectory))
    nodes[parent].children[name] = nodes.count - 1
    return nodes.count - 1
  }

  /// `mkdir`, or `mknod` of a regular file.
  public mutating func make(
    _ path: String, isDirectory: Bool, _ process: Process
  ) throws(ModelFailure) {
    let (parent, name) = try parentAndName(path, process)
    guard nodes[parent.node].children[name] == nil else { throw .fileExists }
    guard !nodes[parent.node].isUnlinked else { throw .noSuchFileOrDirectory }
    guard isWritable(parent.mount) else { throw .readOnlyFileSystem }
    _ = addNode(name, in: parent.node, isDirectory: isDirectory)
  }

  /// `unlink` or `rmdir`.
  public mutating func remove(_ path: String, _ process: Process) throws(ModelFailure) {
    let (parent, name) = try parentAndName(path, process)
    guard let node = nodes[parent.node].children[name] else { throw .noSuchFileOrDirectory }
    guard isWritable(parent.mount) else { throw .readOnlyFileSystem }
    guard !isMountPoint(node, in: process.namespace) else { throw .resourceBusy }
    guard nodes[node].children.isEmpty else { throw .directoryNotEmpty }
    unlink(node)
  }

  mutating func unlink(_ node: Int) {
    guard let parent = nodes[node].parent else { return }
    nodes[parent].children[nodes[node].name] = nil
    nodes[node].isUnlinked = true
    // What other namespaces have mounted there goes with it.
    for key in childAt.keys.filter({ $0.node == node }) {
      if let mount = childAt[key] { dissolve(mount) }
    }
  }

  private func isMountPoint(_ node: Int, in namespace: Int) -> Bool {
    childAt.contains { key, _ in key.node == node && mounts[key.mount].namespace == namespace }
  }

  /// The files of a superblock as a list of paths, directories with a slash at the end.
  func content(of superblock: Int) -> [String] {
    var found: [String] = []
    var pending = [(superblocks[superblock].root, "")]
    while let (node, path) = pending.popLast() {
      for (name, child) in nodes[node].children {
        let full = path + "/" + name
        found.append(nodes[child].isDirectory ? full + "/" : full)
        pending.append((child, full))
      }
    }
    return found.sorted()
  }
}
