import Glibc
import MountTable

/// Attributes and flags in the words of mountinfo.
enum MountInfoOptions {
  /// Reads field 6, `rw,nosuid,relatime`; says too whether the mount is idmapped.
  static func attributes(
    _ text: UnsafePointer<CChar>
  ) throws(MountInfoError.Reason) -> (MountAttributes, isIDMapped: Bool) {
    var attributes = MountAttributes([], accessTime: .strict)
    var isIDMapped = false
    var rest = UnsafeRawBufferPointer(start: text, count: strlen(text))
    guard let first = nextToken(&rest) else { throw .notReadOnlyNorWritable }
    if first == "ro" {
      attributes.flags.insert(.readOnly)
    } else if first != "rw" {
      throw .notReadOnlyNorWritable
    }
    while let token = nextToken(&rest) {
      if token == "relatime" {
        attributes.accessTime = .relative
      } else if token == "nosuid" {
        attributes.flags.insert(.noSUID)
      } else if token == "nodev" {
        attributes.flags.insert(.noDevices)
      } else if token == "noexec" {
        attributes.flags.insert(.noExecution)
      } else if token == "noatime" {
        attributes.accessTime = .never
      } else if token == "nodiratime" {
        attributes.flags.insert(.noDirectoryAccessTime)
      } else if token == "nosymfollow" {
        attributes.flags.insert(.noSymbolicLinks)
      } else if token == "idmapped" {
        isIDMapped = true
      } else {
        throw .unknownMountOption(KernelString(token.array))
      }
    }
    return (attributes, isIDMapped)
  }

  /// Reads field 10, `rw,sync,size=64k`: the flags, which the kernel prints first, and where what the
  /// file system itself says begins.
  ///
  /// Only flags before the first other word are flags: what a file system says later is its own.
  static func superblock(
    _ text: UnsafePointer<CChar>
  ) throws(MountInfoError.Reason) -> (SuperblockFlags, options: UnsafePointer<CChar>) {
    var flags: SuperblockFlags = []
    var rest = UnsafeRawBufferPointer(start: text, count: strlen(text))
    guard let first = nextToken(&rest) else { throw .notReadOnlyNorWritable }
    if first == "ro" {
      flags.insert(.readOnly)
    } else if first != "rw" {
      throw .notReadOnlyNorWritable
    }
    var options = rest
    while let token = nextToken(&rest) {
      if token == "sync" {
        flags.insert(.synchronous)
      } else if token == "dirsync" {
        flags.insert(.synchronousDirectories)
      } else if token == "mand" {
        flags.insert(.mandatoryLocks)
      } else if token == "lazytime" {
        flags.insert(.lazyTime)
      } else {
        break
      }
      options = rest
    }
    return (flags, options.baseAddress!.assumingMemoryBound(to: CChar.self))
  }

  /// Reads field 7, `shared:1 master:2 propagate_from:3 unbindable`, into `mount`.
  ///
  /// Fields that are not known are passed over, as the kernel's documentation demands.
  static func propagation(
    _ text: UnsafePointer<CChar>, into mount: inout Mount
  ) throws(MountInfoError.Reason) {
    var rest = UnsafeRawBufferPointer(start: text, count: strlen(text))
    while let token = nextToken(&rest, separator: 0x20) {
      if let group = try token.group(after: "shared:") {
        mount.peerGroup = group
      } else if let group = try token.group(after: "master:") {
        mount.master = group
      } else if let group = try token.group(after: "propagate_from:") {
        mount.propagateFrom = group
      } else if token == "unbindable" {
        mount.isUnbindable = true
      }
    }
  }

  /// A word between separators.
  struct Token {
    var bytes: UnsafeRawBufferPointer
    var array: [UInt8] { Array(bytes) }

    static func == (token: Token, word: StaticString) -> Bool {
      token.bytes.count == word.utf8CodeUnitCount && token.hasPrefix(word)
    }
    static func != (token: Token, word: StaticString) -> Bool { !(token == word) }

    func hasPrefix(_ word: StaticString) -> Bool {
      bytes.count >= word.utf8CodeUnitCount
        && memcmp(bytes.baseAddress!, word.utf8Start, word.utf8CodeUnitCount) == 0
    }

    func group(after prefix: StaticString) throws(MountInfoError.Reason) -> PeerGroupID? {
      guard hasPrefix(prefix) else { return nil }
      var value: UInt64 = 0
      let digits = bytes.dropFirst(prefix.utf8CodeUnitCount)
      for digit in digits {
        value = value * 10 + UInt64(digit &- 0x30)
        guard digit &- 0x30 < 10, value <= 0x7FFF_FFFF else { throw .badPeerGroup(.init(array)) }
      }
      guard !digits.isEmpty else { throw .badPeerGroup(.init(array)) }
      return PeerGroupID(UInt32(value))
    }
  }

  /// Takes the next word off the front; the text behind `rest` keeps its address.
  private static func nextToken(
    _ rest: inout UnsafeRawBufferPointer, separator: UInt8 = 0x2C
  ) -> Token? {
    guard !rest.isEmpty else { return nil }
    let end = rest.firstIndex(of: separator) ?? rest.count
    let token = Token(bytes: UnsafeRawBufferPointer(rebasing: rest[..<end]))
    let next = min(end + 1, rest.count)
    rest = UnsafeRawBufferPointer(start: rest.baseAddress! + next, count: rest.count - next)
    return token
  }
}
