/// The options of a superblock in a form in which equal settings are equal text: sorted, sizes in
/// bytes, modes without leading zeros, what tmpfs does by default left out.
func normalisedOptions(_ mount: Mount) -> String {
  var parts: Set<String> = []
  for part in mount.superblockOptions.bytes.split(separator: 0x2C) {
    let text = escapedText(Array(part))
    let halves = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard halves.count == 2 else {
      parts.insert(text)
      continue
    }
    let key = String(halves[0])
    let value = String(halves[1])
    switch key {
    case "size": parts.insert("size=\(bytes(value) ?? value)")
    case "nr_inodes", "nr_blocks": parts.insert("\(key)=\(bytes(value) ?? value)")
    case "mode", "ptmxmode":
      let digits = value.drop { $0 == "0" }
      parts.insert("\(key)=\(digits.isEmpty ? "0" : digits)")
    default: parts.insert(text)
    }
  }
  if mount.fileSystem == "tmpfs" {
    parts.subtract(["inode64", "uid=0", "gid=0", "mode=1777"])
  }
  return parts.sorted().joined(separator: ",")
}

/// `64k`, `1m`, `2g` as a number; `nil` for what has another form.
private func bytes(_ text: String) -> String? {
  guard let last = text.last else { return nil }
  let factor: UInt64? =
    switch last {
    case "k", "K": 1 << 10
    case "m", "M": 1 << 20
    case "g", "G": 1 << 30
    default: nil
    }
  guard let number = UInt64(factor == nil ? text[...] : text.dropLast()) else { return nil }
  let (product, overflows) = number.multipliedReportingOverflow(by: factor ?? 1)
  return overflows ? nil : String(product)
}

extension SuperblockFlags {
  /// The names mountinfo uses, commas between.
  public var names: String {
    var names = [contains(.readOnly) ? "ro" : "rw"]
    if contains(.synchronous) { names.append("sync") }
    if contains(.synchronousDirectories) { names.append("dirsync") }
    if contains(.mandatoryLocks) { names.append("mand") }
    if contains(.lazyTime) { names.append("lazytime") }
    return names.joined(separator: ",")
  }
}

extension MountAttributes {
  /// The names `mount(8)` uses, commas between.
  public var names: String {
    var names = [flags.contains(.readOnly) ? "ro" : "rw"]
    if flags.contains(.noSUID) { names.append("nosuid") }
    if flags.contains(.noDevices) { names.append("nodev") }
    if flags.contains(.noExecution) { names.append("noexec") }
    if flags.contains(.noSymbolicLinks) { names.append("nosymfollow") }
    switch accessTime {
    case .relative: names.append("relatime")
    case .never: names.append("noatime")
    case .strict: break
    }
    if flags.contains(.noDirectoryAccessTime) { names.append("nodiratime") }
    return names.joined(separator: ",")
  }
}
