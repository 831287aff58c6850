import MountTable

/// What a kernel says of the file systems and namespaces that a plan wants: asked before anything is made.
public struct KernelFileSystems: Sendable {
  /// An option that the kernel does not take, and what it said.
  public struct Refusal: Hashable, Sendable {
    public var parameter: KernelString
    public var text: String

    public init(_ parameter: KernelString, _ text: String) {
      self.parameter = parameter
      self.text = text
    }
  }

  /// File systems that the kernel does not have.
  public var missing: Set<KernelString> = []
  public var refusals: [NewFileSystem: [Refusal]] = [:]
  /// File systems whose mounts cannot be idmapped.
  public var withoutIDMapping: Set<KernelString> = []
  /// File systems in memory whose files have no attributes of the family `user`.
  public var withoutUserAttributes: Set<KernelString> = []
  /// Namespaces that cannot be made, and why.
  public var withoutNamespace: [NamespaceKind: String] = [:]

  public init() {}

  /// What is in the way of a plan.
  public func findings(
    for plan: RestorePlan, _ namespaces: ContainerNamespaces
  ) -> [Finding] {
    var findings: [Finding] = []
    for kind in namespaces.own.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
      guard let why = withoutNamespace[kind] else { continue }
      findings.append(
        Finding(
          "the container has a \(kind.rawValue) namespace of its own, and this kernel makes none: "
            + why,
          cures: [
            "allow it: sysctl user.max_\(kind.rawValue)_namespaces=1000",
            "restore on a kernel that has it",
          ]))
    }
    for (new, id) in plan.newFileSystems {
      guard let mount = plan.expected[id] else { continue }
      let skip = "--skip-mnt \(mount.mountPoint)"
      if missing.contains(new.type) {
        findings.append(
          Finding(
            "this kernel has no file system \(new.type), and did not find the module", on: mount,
            cures: ["load the module: modprobe \(new.type)", skip]))
      }
      for refusal in refusals[new] ?? [] {
        findings.append(
          Finding(
            "this kernel does not take its option \(refusal.parameter): \(refusal.text)",
            on: mount,
            cures: [
              LeaveOut.option(.mountOption, Self.name(refusal.parameter, of: new.type)), skip,
            ]
          ))
      }
    }
    for (type, id) in plan.idMappedMounts where withoutIDMapping.contains(type) {
      guard let mount = plan.expected[id] else { continue }
      findings.append(
        Finding(
          "it is idmapped, and this kernel cannot do that with \(type)", on: mount,
          cures: ["--skip-mnt \(mount.mountPoint)"]))
    }
    return findings
  }

  /// What archives hold that the kernel does not let files in memory have.
  ///
  /// - Parameter path: the first file in the archive of a superblock that has a user attribute.
  public func findings(
    for plan: RestorePlan, contents path: (DeviceNumber) throws -> MountPath?
  ) rethrows -> [Finding] {
    if withoutUserAttributes.isEmpty { return [] }
    var findings: [Finding] = []
    for case .unpack(let device, _) in plan.steps {
      guard let mount = plan.expected.mounts.first(where: { $0.device == device }),
        withoutUserAttributes.contains(mount.fileSystem), let path = try path(device)
      else { continue }
      findings.append(
        Finding(
          "\(path) in its content has an extended attribute of the family user, which this kernel does "
            + "not let files of a \(mount.fileSystem) have (Linux 6.6 does)", on: mount,
          cures: [
            "leave such attributes out: " + LeaveOut.option(.attribute, "user"),
            "leave it out: --skip-mnt \(mount.mountPoint.asWord)",
          ]))
    }
    return findings
  }

  /// As `--leave-out` names it: `tmpfs/noswap`.
  static func name(_ parameter: KernelString, of type: KernelString) -> String {
    let name = KernelString(Array(parameter.bytes.prefix { $0 != 0x3D }))
    return "\(type)/\(name)"
  }
}

extension RestorePlan {
  /// The file systems that are made, each for the mount that stands for it.
  public var newFileSystems: [(new: NewFileSystem, mount: MountID)] {
    steps.compactMap {
      if case .createFileSystem(let new, _, let id, _) = $0 { (new, id) } else { nil }
    }
  }

  /// The types of file systems that are made and shown with other IDs.
  public var idMappedMounts: [(type: KernelString, mount: MountID)] {
    var known: [Slot: (KernelString, MountID)] = [:]
    var found: [(KernelString, MountID)] = []
    for step in steps {
      switch step {
      case .createFileSystem(let new, _, let id, let slot): known[slot] = (new.type, id)
      case .clone(let origin, _, let id, let slot):
        known[slot] = known[origin].map { ($0.0, id) }
      case .setIDMapping(let slot, _): if let one = known[slot] { found.append(one) }
      default: break
      }
    }
    return found
  }
}

extension MountTable {
  /// The table without the options of superblocks that are left out.
  public func leavingOut(_ leftOut: LeaveOut) -> MountTable {
    if leftOut.isEmpty { return self }
    var mounts = mounts
    for index in mounts.indices {
      let words = mounts[index].superblockOptions.bytes.split(separator: 0x2C)
      let kept = words.filter { word in
        let name = KernelFileSystems.name(
          KernelString(Array(word)), of: mounts[index].fileSystem)
        return !leftOut.contains(.mountOption, name)
      }
      guard kept.count < words.count else { continue }
      mounts[index].superblockOptions = KernelString(Array(kept.joined(separator: [0x2C])))
    }
    return (try? MountTable(mounts)) ?? self
  }
}
