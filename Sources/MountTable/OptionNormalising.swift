/// The options of a superblock in a form in which equal settings are equal.
///
/// The order of words does not count; sizes are numbers (`size=64k` is `size=65536`); what tmpfs prints
/// or leaves out by default (`inode64`, `mode=1777`, `uid=0`, `gid=0`, `huge=never`) is left out.
public func normalisedOptions(_ options: KernelString, of fileSystem: KernelString)
  -> [KernelString]
{
  // The options of cgroup2 are those of the machine.
  if fileSystem == "cgroup2" { return [] }
  var words: [KernelString] = []
  for word in optionWords(options.bytes) where !word.isEmpty {
    let normal = KernelString(withSizeAsNumber(word))
    if fileSystem == "tmpfs", tmpfsDefaults.contains(normal) { continue }
    words.append(normal)
  }
  return words.sorted()
}

private let tmpfsDefaults: Set<KernelString> = [
  "inode64", "inode32", "mode=1777", "mode=01777", "uid=0", "gid=0", "huge=never",
]

/// Splits at commas, but not at those in double quotes (`context="u:r:t:s0:c1,c2"`).
private func optionWords(_ bytes: [UInt8]) -> [[UInt8]] {
  var words: [[UInt8]] = []
  var word: [UInt8] = []
  var isQuoted = false
  for byte in bytes {
    if byte == 0x22 { isQuoted.toggle() }
    if byte == 0x2C, !isQuoted {
      words.append(word)
      word = []
    } else {
      word.append(byte)
    }
  }
  words.append(word)
  return words
}

/// `size=64k` as `size=65536`; other words as they are.
private func withSizeAsNumber(_ word: [UInt8]) -> [UInt8] {
  guard let equals = word.firstIndex(of: 0x3D) else { return word }
  let key = word[..<equals]
  let isSize = ["size", "nr_blocks", "nr_inodes"].contains { key.elementsEqual($0.utf8) }
  guard isSize else { return word }
  var digits = word[(equals + 1)...]
  var shift = 0
  switch digits.last.map({ $0 | 0x20 }) {
  case 0x6B: shift = 10
  case 0x6D: shift = 20
  case 0x67: shift = 30
  default: break
  }
  if shift > 0 { digits = digits.dropLast() }
  guard let number = UInt64(String(decoding: digits, as: UTF8.self)),
    number <= UInt64.max >> UInt64(shift)
  else { return word }
  return Array(key) + [0x3D] + Array(String(number << UInt64(shift)).utf8)
}
