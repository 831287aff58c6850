import MountTable

/// Makes a table of short lines: `ID PARENT DEVICE ROOT MOUNTPOINT`, then words that set properties.
///
/// ```
/// 2 1 0:5 / /data ro shared=7 master=8 unbindable deleted type=tmpfs source=x size=64k sync
/// ```
public func table(_ text: String) throws -> MountTable {
  let mounts = text.split(separator: "\n").map { line in
    let words = line.split(separator: " ").map(String.init)
    let device = words[2].split(separator: ":").map { UInt32($0)! }
    var mount = Mount(
      id: MountID(UInt32(words[0])!), parent: MountID(UInt32(words[1])!),
      device: DeviceNumber(major: device[0], minor: device[1]), root: MountPath(words[3]),
      mountPoint: MountPath(words[4]), fileSystem: "tmpfs")
    for word in words.dropFirst(5) { mount.set(word) }
    return mount
  }
  return try MountTable(mounts)
}

extension Mount {
  fileprivate mutating func set(_ word: String) {
    let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
    switch (parts[0], parts.count > 1 ? parts[1] : "") {
    case ("ro", _): attributes.flags.insert(.readOnly)
    case ("noatime", _): attributes.accessTime = .never
    case ("sync", _): superblockFlags.insert(.synchronous)
    case ("unbindable", _): isUnbindable = true
    case ("deleted", _): isRootDeleted = true
    case ("file", _): isFile = true
    case ("directory", _): isFile = false
    case ("shared", let number): peerGroup = PeerGroupID(UInt32(number)!)
    case ("master", let number): master = PeerGroupID(UInt32(number)!)
    case ("type", let name): fileSystem = KernelString(name)
    case ("source", let name): source = KernelString(name)
    case ("mapped", ""): idMapping = IDMapping(users: [], groups: [])
    case ("mapped", let base):
      let range = IDMapping.Range(inside: 0, outside: UInt32(base)!, count: 1000)
      idMapping = IDMapping(users: [range], groups: [range])
    default:
      superblockOptions = KernelString(
        superblockOptions.isEmpty ? word : "\(superblockOptions),\(word)")
    }
  }
}
