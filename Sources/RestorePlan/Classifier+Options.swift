import MountTable

extension Classifier {
  /// The table without the mounts of `--skip-mnt` and what is mounted on them.
  func withoutSkipped(_ table: MountTable, _ findings: inout [Finding]) -> MountTable {
    guard !options.skipped.isEmpty else { return table }
    let skipped = Set(options.skipped)
    var matched: Set<MountPath> = []
    var isLeftOut = [Bool](repeating: false, count: table.mounts.count)
    for index in table.preorder where index != table.rootIndex {
      let mount = table.mounts[index]
      if skipped.contains(mount.mountPoint) {
        isLeftOut[index] = true
        matched.insert(mount.mountPoint)
      } else if let parent = table.parentIndex(of: index), isLeftOut[parent] {
        isLeftOut[index] = true
        findings.append(
          Finding(
            "left out with the mount it is mounted on (--skip-mnt)", severity: .note, on: mount))
      }
    }
    for path in options.skipped where !matched.contains(path) {
      findings.append(
        Finding(
          "--skip-mnt \(path) names a path at which nothing is mounted",
          cures: ["leave the option out"]))
    }
    let kept = zip(table.mounts, isLeftOut).filter { !$0.1 }.map(\.0)
    // What is left is closed under "parent of", so it is a tree still.
    return (try? MountTable(kept)) ?? table
  }

  /// `--external 'mnt[/path]:KEY'` and `'dev[M/N]:KEY'`.
  func takeMappings(
    _ table: MountTable, _ kinds: inout [MountKind?], _ findings: inout [Finding]
  ) {
    let keyOfPath = options.keyOfPath
    var candidates: [MountPath: [Int]] = [:]
    if !keyOfPath.isEmpty {
      for (index, mount) in table.mounts.enumerated()
      where index != table.rootIndex && keyOfPath[mount.mountPoint] != nil {
        candidates[mount.mountPoint, default: []].append(index)
      }
    }
    for (path, key) in keyOfPath.sorted(by: { $0.key < $1.key }) {
      let here = candidates[path] ?? []
      // Of several mounts at one place the mapping means those that need one, else the topmost.
      let needy = here.count < 2 ? here : here.filter { !isExplained(table.mounts[$0], table) }
      let top = here.filter { index in
        !here.contains { table.parentIndex(of: $0) == index }
      }
      let chosen = needy.isEmpty ? top : needy
      for index in chosen { kinds[index] = .externalByKey(key) }
      if chosen.isEmpty {
        findings.append(
          Finding(
            "--external 'mnt[\(path.inOption)]:\(key.inOption)' names a path at which nothing is mounted",
            cures: ["leave the option out, or correct the path"]))
      }
    }
    for (device, key) in options.keyOfDevice.sorted(by: { $0.key < $1.key }) {
      var isMatched = false
      for (index, mount) in table.mounts.enumerated()
      where mount.device == device && index != table.rootIndex {
        isMatched = true
        if mount.root.isRoot && kinds[index] == nil { kinds[index] = .device(key) }
      }
      if !isMatched {
        findings.append(
          Finding(
            "--external 'dev[\(device.major)/\(device.minor)]:\(key)' names a device that no mount "
              + "of the container shows", cures: ["leave the option out, or correct the numbers"]))
      }
    }
  }

  /// Whether the restore comes by the mount without a mapping: a part of the root's file system, or of
  /// one that is made anew and shown as a whole.
  private func isExplained(_ mount: Mount, _ table: MountTable) -> Bool {
    if isPassing(mount) { return false }
    if mount.device == table.root.device, table.root.root.contains(mount.root) { return true }
    guard FileSystemKind(mount.fileSystem).canBeMade else { return false }
    return table.mounts.contains {
      $0.device == mount.device && $0.root.isRoot && !$0.isRootDeleted
    }
  }

  /// `fsconfig(2)` takes strings of 255 bytes at most; `mount(2)`, with which the mount was made, more.
  func checkLengths(_ mount: Mount, _ findings: inout [Finding]) {
    var tooLong = mount.source.bytes.count > 255 ? ["its source"] : []
    for option in mount.superblockOptions.bytes.split(separator: 0x2C) {
      let parts = option.split(separator: 0x3D, maxSplits: 1)
      guard parts.contains(where: { $0.count > 255 }) else { continue }
      tooLong.append("its option \(KernelString(Array(parts[0].prefix(40))))")
    }
    guard !tooLong.isEmpty else { return }
    findings.append(
      Finding(
        "\(tooLong.joined(separator: " and ")) has more than 255 bytes, which the restore cannot give to "
          + "a new \(mount.fileSystem)", on: mount,
        cures: ["map it: \(mapping(mount))", "leave it out: --skip-mnt \(mount.mountPoint.asWord)"])
    )
  }

  /// Whether the mount shows what a file system that is made anew will not have: a process, a terminal,
  /// a queue, a file of a kind of memory that is not saved.
  func isPassing(_ mount: Mount) -> Bool {
    guard !mount.root.isRoot, let first = mount.root.components.first else { return false }
    switch mount.fileSystem.description {
    case "mqueue", "hugetlbfs", "bpf": return true
    case "devpts": return first.allSatisfy(isDigit)
    // There is a first process in every namespace.
    case "proc": return first.allSatisfy(isDigit) && !first.elementsEqual("1".utf8)
    default: return false
    }
  }

  private func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  func gone(_ mount: Mount) -> Finding {
    Finding(
      "it shows \"\(mount.root)\" of a \(mount.fileSystem), which is not there when that is made anew",
      on: mount,
      cures: [
        "map it: \(mapping(mount))", "leave it out: --skip-mnt \(mount.mountPoint.asWord)",
        "give a plugin that answers for it: -L DIR",
      ])
  }

  /// A restore makes its mounts and files as root of the new user namespace: without an ID 0 there is no
  /// owner that the kernel would let it make them with (EOVERFLOW).
  func checkUserNamespace(_ findings: inout [Finding]) {
    guard namespaces.own[.user] != nil else { return }
    guard let mapping = namespaces.mapping else {
      findings.append(
        Finding(
          "nothing says how the user namespace of the container maps IDs", cures: ["dump again"]))
      return
    }
    for (what, ranges) in [("user", mapping.users), ("group", mapping.groups)]
    where !ranges.contains(where: { $0.inside == 0 && $0.count > 0 }) {
      findings.append(
        Finding(
          "the user namespace of the container maps no \(what) ID 0, as which a restore would have to "
            + "make its mounts", cures: ["run the container with a mapping that has an ID 0"]))
    }
  }

  /// Says that the content of a root which shows a part of a file system in memory is not saved.
  func noteRoot(_ table: MountTable, _ findings: inout [Finding]) {
    guard case .memory = FileSystemKind(table.root.fileSystem),
      !table.root.root.isRoot || table.root.isRootDeleted
    else { return }
    findings.append(
      Finding(
        "the root shows a part of a \(table.root.fileSystem), which is not saved, as the content of no such "
          + "root is",
        severity: .note, on: table.root, cures: ["bring a copy of it to the restore: -r DIR"]))
  }

  /// Mounts that show other owners than their file system has, where the kernel did not say which.
  func checkOwners(_ result: inout Classification) {
    for (index, mount) in result.table.mounts.enumerated()
    where mount.idMapping?.isUnknown == true {
      guard !result.kinds[index].isExternal, result.kinds[index] != .unsupported else { continue }
      var cures = ["dump on Linux 6.15 or later"]
      if index != result.table.rootIndex {
        cures += ["map it: \(mapping(mount))", "leave it out: --skip-mnt \(mount.mountPoint)"]
      }
      result.findings.append(
        Finding("it is idmapped, and the kernel does not say how", on: mount, cures: cures))
    }
  }
}
