import MountTable

extension RestorePlanner {
  /// A slot that holds this mount, detached, with its attributes.
  mutating func materialise(_ index: Int) -> Slot {
    let anchor = anchorIndex(of: index)
    let origin = ensureAnchor(anchor)
    if anchors[anchor].isDirect {
      let isOurs = kinds[anchor] == .newSuperblock && !hasContent(anchor)
      if !isOurs { setAttributes(of: index, origin, always: isTakenFromOutside(anchor)) }
      return origin
    }
    if table.mounts[index].isRootDeleted,
      let placeholder = anchors[anchor].placeholderOf[Unlinked(table.mounts[index])]
    {
      return clone(of: origin, path: anchors[anchor].placeholders[placeholder].name, index)
    }
    let path = table.mounts[index].root.relative(to: anchors[anchor].shown) ?? []
    if !path.isEmpty, case .controlGroup = FileSystemKind(table.mounts[index].fileSystem) {
      steps.append(.makeControlGroup(in: origin, path: KernelString(path)))
    }
    return clone(of: origin, path: KernelString(path), index)
  }

  private mutating func clone(of origin: Slot, path: KernelString, _ index: Int) -> Slot {
    let slot = newSlot()
    steps.append(.clone(of: origin, path: path, mount: table.mounts[index].id, into: slot))
    setAttributes(of: index, slot, always: false)
    return slot
  }

  private mutating func setAttributes(of index: Int, _ slot: Slot, always: Bool) {
    let attributes = table.mounts[index].attributes
    if always || attributes != MountAttributes() {
      steps.append(.setAttributes(slot, attributes))
    }
  }

  private func isTakenFromOutside(_ anchor: Int) -> Bool {
    switch kinds[anchor] {
    case .namespaceRoot: request.root != nil
    case .externalByKey, .externalDetected, .externalByPlugin: true
    default: false
    }
  }

  /// Makes or takes what the anchor stands for, once.
  mutating func ensureAnchor(_ index: Int) -> Slot {
    if let slot = anchors[index].slot { return slot }
    let mount = table.mounts[index]
    let source = source(of: index)
    let slot = source == nil ? newSlot() : slotFromStart()
    anchors[index].slot = slot
    let isDirect = anchors[index].isDirect
    if let source {
      outside.append(.takeFromOutside(source, mount: mount.id, into: slot))
      if !isDirect {
        steps.append(.setAttributes(slot, MountAttributes()))
        steps.append(.stage(slot))
      }
    } else if case .namespaceFile(let kind) = kinds[index] {
      steps.append(.cloneNamespaceFile(kind, mount: mount.id, into: slot))
      if !isDirect { steps.append(.stage(slot)) }
    } else {
      let content = hasContent(index)
      var new = newFileSystem(mount, kinds[index])
      checkLayers(new, mount)
      let flags = new.flags
      if content || !anchors[index].placeholders.isEmpty { new.flags.remove(.readOnly) }
      let attributes = isDirect && !content ? mount.attributes : MountAttributes()
      steps.append(.createFileSystem(new, attributes: attributes, mount: mount.id, into: slot))
      if !isDirect { steps.append(.stage(slot)) }
      if content { steps.append(.unpack(mount.device, into: slot)) }
      if new.flags != flags {
        if anchors[index].placeholders.isEmpty {
          steps.append(.setSuperblockFlags(slot, flags))
        } else {
          anchors[index].lateFlags = flags
        }
      }
    }
    for placeholder in anchors[index].placeholders {
      steps.append(
        .makePlaceholder(
          in: slot, name: placeholder.name, isFile: placeholder.isFile,
          content: placeholder.content))
    }
    return slot
  }

  /// Everything that shows them is attached: now they can go.
  mutating func removePlaceholders(_ index: Int, _ origin: Slot) {
    for placeholder in anchors[index].placeholders {
      guard let path = placeholder.root.relative(to: anchors[index].shown) else { continue }
      steps.append(
        .removePlaceholder(in: origin, name: placeholder.name, path: KernelString(path)))
    }
    if let flags = anchors[index].lateFlags { steps.append(.setSuperblockFlags(origin, flags)) }
  }

  /// Where the anchor's mount is taken from, where it lies outside.
  func source(of index: Int) -> OutsideSource? {
    let mount = table.mounts[index]
    if kinds[index].isExternal, let path = sourceOfPath[mount.mountPoint] { return .path(path) }
    switch kinds[index] {
    case .namespaceRoot: return request.root == nil ? nil : .root
    case .externalByKey(let key):
      // Keys of runc and podman are paths, spelt as the one of a mount point is.
      return (pathOfKey[key] ?? sourceOfPath[MountPath(key.bytes)]).map { .path($0) }
    case .externalDetected(let path): return .path(path)
    case .externalByPlugin: return .plugin(expectsFile: mount.isFile)
    default: return nil
    }
  }

  /// Who mounts cgroup2 outside of a cgroup namespace sets its options for the whole machine: they have to
  /// be what they are. `nil` where the host has it mounted nowhere.
  private func controlGroupOptions() -> [KernelString]? {
    guard request.namespaces.own[.cgroup] == nil else { return [] }
    let mount = hostMounts?.table.mounts.first { $0.fileSystem == "cgroup2" }
    return mount.map { splitOptions($0.superblockOptions) }
  }

  private func isNoController(_ parameter: KernelString) -> Bool {
    let words: [KernelString] = [
      "xattr", "clone_children", "noprefix", "cpuset_v2_mode", "favordynmods",
    ]
    return parameter.bytes.contains(0x3D) || words.contains(parameter)
  }

  func splitOptions(_ options: KernelString) -> [KernelString] {
    options.bytes.split(separator: 0x2C).map { KernelString(Array($0)) }
  }

  private func newFileSystem(_ mount: Mount, _ kind: MountKind) -> NewFileSystem {
    var source = mount.source
    if case .device(let key) = kind, let path = pathOfDeviceKey[key] {
      source = KernelString(path.bytes)
    }
    var parameters = splitOptions(mount.superblockOptions)
    var flags = mount.superblockFlags
    switch mount.fileSystem.description {
    case "tmpfs", "ramfs", "devpts", "proc", "hugetlbfs", "bpf":
      if let mapping = request.namespaces.mapping {
        parameters = parameters.map { mapping.translatingOwner($0) }
      }
    case "cgroup2": parameters = controlGroupOptions() ?? parameters
    case "cgroup":
      // A hierarchy without controllers has to be asked for as such, where it is gone meanwhile.
      if parameters.contains(where: { $0.bytes.starts(with: "name=".utf8) }),
        parameters.allSatisfy(isNoController)
      {
        parameters.insert("none", at: 0)
      }
    case "sysfs", "mqueue": break
    case "overlay":
      var new = NewFileSystem(
        type: mount.fileSystem, source: source, parameters: parameters, flags: flags)
      new.layersIn = mountSlots[table.rootIndex]
      return new
    default:
      if case .single = FileSystemKind(mount.fileSystem) {
        // There is one of it: its options are what they are, and asking for other flags is EBUSY.
        parameters = []
        flags = []
      }
    }
    return NewFileSystem(
      type: mount.fileSystem, source: source, parameters: parameters, flags: flags)
  }
}

extension RestorePlanner {
  /// The layers of an overlay are paths of the container: what they lead through has to be there when it
  /// is made.
  mutating func checkLayers(_ new: NewFileSystem, _ mount: Mount) {
    guard new.layersIn != nil else { return }
    for path in new.layers {
      // A backslash: the kernel would take what follows it for a part of the name.
      guard path.isNormal, !path.bytes.contains(0x5C) else {
        findings.append(
          Finding(
            "its layer \"\(path)\" is no path of the container that the restore could look up",
            on: mount,
            cures: [
              "map it: \(mapping(mount))", "leave it out: --skip-mnt \(mount.mountPoint.asWord)",
            ]))
        continue
      }
      let below = tree.mount(showing: path)
      guard let below, let index = table.index(of: below.id), !placed[index] else { continue }
      findings.append(
        Finding(
          "its layer \(path) lies on mount \(below.id) at \(below.mountPoint), which the restore mounts "
            + "later", on: mount,
          cures: [
            "map it: \(mapping(mount))", "leave it out: --skip-mnt \(mount.mountPoint.asWord)",
          ]))
    }
  }
}

extension IDMapping {
  /// `uid=N` and `gid=N` as a process inside the user namespace must say them; mountinfo shows them
  /// as the engine's namespace sees them.
  func translatingOwner(_ parameter: KernelString) -> KernelString {
    let text = parameter.description
    for (prefix, ranges) in [("uid=", users), ("gid=", groups)] where text.hasPrefix(prefix) {
      guard let id = UInt32(text.dropFirst(prefix.count)) else { continue }
      for range in ranges where id >= range.outside && id - range.outside < range.count {
        let (inside, overflows) = range.inside.addingReportingOverflow(id - range.outside)
        return overflows ? parameter : KernelString(prefix + String(inside))
      }
    }
    return parameter
  }
}
