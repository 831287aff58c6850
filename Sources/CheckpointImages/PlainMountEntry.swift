import Glibc
import LinuxKernel
import MountTable

/// Reads entries of `mountpoints-NSID.img` that hold nothing unusual, in place and without a message for
/// each: of ten thousand mounts nearly all are such.
///
/// Whatever is not plain (a mount from outside, an idmapped one, a field that is not known, a wrong type,
/// a number too large) it leaves to SwiftProtobuf and `MountEntry`, errors too: what it gives is what they
/// would.
struct PlainMountEntry {
  private var lastRoot = SharedBytes()
  private var lastFileSystem = SharedBytes()
  private var lastSource = SharedBytes()
  private var lastOptions = SharedBytes()
  private var lastType: (number: UInt32, name: KernelString)?

  /// The mount whose message stands at `message`, or `nil` where it is not plain.
  mutating func mount(_ bytes: [UInt8], _ message: Range<Int>) -> Mount? {
    guard let fields = Fields(bytes, message), let root = fields.root,
      let mountPoint = fields.mountPoint, let source = fields.source, let options = fields.options,
      fields.numbers.isSuperset(of: .required), !fields.isMarkedDeleted(bytes)
    else { return nil }
    func shared(_ text: Range<Int>, _ last: inout SharedBytes) -> [UInt8] {
      bytes.withUnsafeBytes { last.array(UnsafeRawBufferPointer(rebasing: $0[text])) }
    }
    let type = fields.fileSystem.map { KernelString(shared($0, &lastFileSystem)) }
    var mount = Mount(
      id: MountID(fields.id), parent: MountID(fields.parent),
      device: DeviceNumber(packed: fields.device), root: MountPath(shared(root, &lastRoot)),
      mountPoint: MountPath(Array(bytes[mountPoint])),
      attributes: MountFlags.attributes(
        fields.flags, rest: MountAttributes.Flags(rawValue: fields.moreAttributes)),
      fileSystem: type ?? name(of: fields.type),
      source: KernelString(shared(source, &lastSource)),
      superblockFlags: SuperblockFlags(rawValue: fields.superblockFlags),
      superblockOptions: KernelString(shared(options, &lastOptions)))
    mount.isRootDeleted = fields.isDeleted
    mount.isUnbindable = fields.flags & MountFlags.unbindable != 0
    mount.peerGroup = fields.peerGroup == 0 ? nil : PeerGroupID(fields.peerGroup)
    mount.master = fields.master == 0 ? nil : PeerGroupID(fields.master)
    mount.propagateFrom = fields.propagateFrom.map { PeerGroupID($0) }
    mount.uniqueID = fields.uniqueID
    mount.isFile = fields.isFile
    mount.unlinkedAs = fields.unlinkedAs.map { MountID($0) }
    mount.isPeerGroupOutside = fields.isPeerGroupOutside
    return mount
  }

  private mutating func name(of type: UInt32) -> KernelString {
    if let lastType, lastType.number == type { return lastType.name }
    let name = MountEntry.fileSystem(type)
    lastType = (type, name)
    return name
  }
}

/// The fields of one message, texts by where they stand in the file.
private struct Fields {
  /// Which of the first fields are there.
  struct Numbers: OptionSet {
    var rawValue: UInt32
    /// `fstype` to `options`.
    static let required = Numbers(rawValue: 0b11_1111_1110)
  }

  var numbers: Numbers = []
  var (type, id, device, parent, flags): (UInt32, UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0, 0)
  var (root, mountPoint, source, options): (Range<Int>?, Range<Int>?, Range<Int>?, Range<Int>?)
  var fileSystem: Range<Int>?
  var (peerGroup, master, superblockFlags, moreAttributes): (UInt32, UInt32, UInt32, UInt32) =
    (0, 0, 0, 0)
  var (propagateFrom, unlinkedAs): (UInt32?, UInt32?)
  var uniqueID: UInt64?
  var isFile: Bool?
  var (isDeleted, isPeerGroupOutside) = (false, false)

  /// The largest number of a required field, and its bit in `numbers`.
  private static let lastRequired = 9

  /// Of a field that is there twice the last counts, as everywhere in protobuf.
  init?(_ bytes: [UInt8], _ message: Range<Int>) {
    var wire = WireReader(bytes, message)
    while !wire.isAtEnd {
      guard let key = wire.varint() else { return nil }
      let number = Int(truncatingIfNeeded: key >> 3)
      if number <= Self.lastRequired { numbers.insert(Numbers(rawValue: 1 << UInt32(number))) }
      switch (number, key & 7) {
      case (1, 0): guard wire.read(&type) else { return nil }
      case (2, 0): guard wire.read(&id) else { return nil }
      case (3, 0): guard wire.read(&device) else { return nil }
      case (4, 0): guard wire.read(&parent) else { return nil }
      case (5, 0): guard wire.read(&flags) else { return nil }
      case (6, 2): guard wire.read(&root), root?.isEmpty == false else { return nil }
      case (7, 2): guard wire.read(&mountPoint) else { return nil }
      case (8, 2): guard wire.read(&source) else { return nil }
      case (9, 2): guard wire.read(&options) else { return nil }
      case (10, 0): guard wire.read(&peerGroup) else { return nil }
      case (11, 0): guard wire.read(&master) else { return nil }
      case (16, 0): guard wire.read(&isDeleted) else { return nil }
      case (17, 0): guard wire.read(&superblockFlags) else { return nil }
      case (1000, 0): guard wire.read(&moreAttributes) else { return nil }
      case (1001, 0): guard wire.read(&propagateFrom) else { return nil }
      case (1002, 0):
        guard let value = wire.varint() else { return nil }
        uniqueID = value
      case (1003, 0): guard wire.read(&isFile) else { return nil }
      case (1005, 2): guard wire.read(&fileSystem) else { return nil }
      case (1008, 0): guard wire.read(&isPeerGroupOutside) else { return nil }
      case (1009, 0): guard wire.read(&unlinkedAs) else { return nil }
      default: return nil
      }
    }
  }

  /// Whether the root ends in the kernel's mark, which other writers leave there.
  func isMarkedDeleted(_ bytes: [UInt8]) -> Bool {
    let mark = MountEntry.deletedMark
    return root.map { bytes[$0].suffix(mark.count) == mark[...] } ?? false
  }
}
