import MountTable

// What a plan lets a restore write to: memory that the plan itself makes, and what lies below --root.
extension RestorePlanner {
  /// Whether the anchor is a file system in memory whose superblock this plan makes, so that nobody else
  /// has it.
  ///
  /// By the type that is made, not by what the images call another mount of the same device.
  func isOwnMemory(_ anchor: Int) -> Bool {
    guard source(of: anchor) == nil else { return false }
    switch kinds[anchor] {
    case .newSuperblock, .namespaceRoot: break
    default: return false
    }
    if case .memory = FileSystemKind(table.mounts[anchor].fileSystem) { return true }
    return false
  }

  /// Whether the images hold what is to be unpacked into the anchor's file system.
  func hasContent(_ anchor: Int) -> Bool {
    request.archivedDevices.contains(table.mounts[anchor].device) && isOwnMemory(anchor)
  }

  /// An archive belongs to a file system in memory that the restore makes anew. A device of which nothing is
  /// mounted (left out, perhaps) has none unpacked; the content of a root that `--root` brings is there.
  mutating func checkArchives() {
    var firstOther: [DeviceNumber: Int] = [:]
    var isMade: Set<DeviceNumber> = []
    for index in table.mounts.indices
    where request.archivedDevices.contains(table.mounts[index].device) {
      let anchor = anchorIndex(of: index)
      let device = table.mounts[index].device
      if isOwnMemory(anchor) || anchor == table.rootIndex {
        isMade.insert(device)
      } else if firstOther[device] == nil || kinds[anchor] == .newSuperblock {
        firstOther[device] = anchor
      }
    }
    for (device, index) in firstOther.sorted(by: { $0.value < $1.value }) {
      // Another mount of a file system that is made may come from outside; it gets no content.
      if isMade.contains(device), kinds[index] != .newSuperblock { continue }
      let mount = table.mounts[index]
      findings.append(
        Finding(
          "the images hold content for its file system (\(device)), which is no memory that the "
            + "restore makes anew (\(mount.fileSystem), \(kinds[index])): they are wrong, and nothing is "
            + "unpacked into it", on: mount,
          cures: ["leave it out: --skip-mnt \(mount.mountPoint)", "dump again"]))
    }
  }

  /// One device number stands for one file system.
  mutating func checkSuperblocks() {
    var first: [DeviceNumber: Int] = [:]
    for index in table.mounts.indices {
      let device = table.mounts[index].device
      guard let other = first[device] else {
        first[device] = index
        continue
      }
      let (one, mount) = (table.mounts[other], table.mounts[index])
      guard one.fileSystem != mount.fileSystem else { continue }
      findings.append(
        Finding(
          "the images are wrong: they say that \(device) is a \(mount.fileSystem), and of mount "
            + "\(one.id) at \(one.mountPoint) that it is a \(one.fileSystem)", on: mount))
    }
  }

  /// Options of file systems made anew that name something outside, or change it.
  mutating func checkParameters() {
    for index in table.mounts.indices where kinds[index] == .newSuperblock {
      let mount = table.mounts[index]
      let isForeign: (KernelString) -> Bool
      switch mount.fileSystem.description {
      // The PID namespace of whoever a path names, rather than the container's.
      case "proc": isForeign = { $0.bytes.starts(with: "pidns".utf8) }
      // A program that the kernel starts on the host; one that is set already is the hierarchy's.
      case "cgroup":
        isForeign = { [self] in
          $0.bytes.starts(with: "release_agent".utf8) && !isSetOnHost($0, mount)
        }
      default: continue
      }
      for option in splitOptions(mount.superblockOptions) where isForeign(option) {
        findings.append(
          Finding(
            "its option \(option) names something outside of the container, which images alone may not "
              + "do", on: mount, cures: ["leave it out: --skip-mnt \(mount.mountPoint)"]))
      }
    }
  }

  /// Whether the host has a hierarchy mounted that says the same.
  private func isSetOnHost(_ option: KernelString, _ mount: Mount) -> Bool {
    let name = splitOptions(mount.superblockOptions).filter { $0.bytes.starts(with: "name=".utf8) }
    return hostMounts?.table.mounts.contains { other in
      guard other.fileSystem == mount.fileSystem else { return false }
      let options = splitOptions(other.superblockOptions)
      return options.contains(option) && name.allSatisfy(options.contains)
    } ?? false
  }
}

// The flags of places outside.
extension RestorePlanner {
  /// What is taken from a place that is read-only, nosuid, nodev, noexec or nosymfollow is so in the container
  /// too, whatever the images say: whoever mounted that place meant it for all who use it.
  mutating func keepFlagsOfPlaces() {
    guard let hostMounts, !request.options.allowsLooserFlags else { return }
    var placeOf: [Int: (path: MountPath, flags: MountAttributes.Flags)] = [:]
    var stricter: [Int: [Int]] = [:]
    for anchor in table.mounts.indices where anchorIndex(of: anchor) == anchor {
      let path: MountPath
      switch source(of: anchor) {
      case .path(let outside): path = outside
      case .root:
        guard let root = request.root else { continue }
        path = root
      // What a plugin mounts is its own; the engine notes what the saved flags take away.
      case .plugin, nil: continue
      }
      guard let place = hostMounts.mount(showing: path) else { continue }
      let flags = place.attributes.flags.intersection(.protecting)
      if !flags.isEmpty { placeOf[anchor] = (path, flags) }
    }
    if placeOf.isEmpty { return }
    for index in table.mounts.indices {
      let anchor = anchorIndex(of: index)
      guard let place = placeOf[anchor],
        !place.flags.isSubset(of: table.mounts[index].attributes.flags)
      else { continue }
      stricter[anchor, default: []].append(index)
    }
    for (anchor, indices) in stricter.sorted(by: { $0.key < $1.key }) {
      guard let place = placeOf[anchor] else { continue }
      let missing = indices.reduce(place.flags) {
        $0.intersection(table.mounts[$1].attributes.flags)
      }
      let added = place.flags.subtracting(missing)
      addFlags(place.flags, to: indices)
      let others = indices.count { $0 != anchor }
      findings.append(
        Finding(
          "it is \(added.protectingWords) here"
            + (others == 0 ? "" : ", with \(others) more mounts of the same")
            + ", as \(place.path) of the host is, though the images say otherwise",
          severity: .note, on: table.mounts[anchor],
          cures: ["to have it as it was saved: --allow-looser-flags"]))
    }
  }
}

extension MountAttributes.Flags {
  /// Those that protect whoever mounted: a clone in a container does not do without them.
  public static let protecting: Self = [
    .readOnly, .noSUID, .noDevices, .noExecution, .noSymbolicLinks,
  ]

  /// Those of them that are set, in the words of `mount(8)`: `nosuid,nodev`.
  public var protectingWords: String {
    let words: [(Self, String)] = [
      (.readOnly, "read-only"), (.noSUID, "nosuid"), (.noDevices, "nodev"),
      (.noExecution, "noexec"), (.noSymbolicLinks, "nosymfollow"),
    ]
    return words.filter { contains($0.0) }.map(\.1).joined(separator: ",")
  }
}

/// The flags that places in the engine's namespace give to what is taken from them.
public struct PlaceFlags: Sendable {
  private let mountsOfDevice: [DeviceNumber: [Mount]]

  /// - Parameter host: the mounts of the engine's own namespace.
  public init(host: MountTable) {
    mountsOfDevice = Dictionary(
      grouping: host.mounts.filter { !$0.attributes.flags.isDisjoint(with: .protecting) },
      by: \.device)
  }

  /// Those that a restore may have added to a mount which shows something of the host.
  public func flags(explaining mount: Mount) -> MountAttributes.Flags {
    (mountsOfDevice[mount.device] ?? []).filter { $0.root.contains(mount.root) }
      .reduce(into: []) { $0.formUnion($1.attributes.flags.intersection(.protecting)) }
  }
}
