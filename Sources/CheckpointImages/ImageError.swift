import LinkTable
import LinuxKernel
import MountTable

/// Why an image, or a set of images, cannot be read or written: which file, what, where in it.
public struct ImageError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong.
  public enum Problem: Hashable, Sendable {
    /// The set has no such file, and cannot be read without it.
    case missing
    /// Longer than any image of its kind, in bytes.
    case tooLarge(UInt64)
    /// Neither a regular file nor what should stand in its place.
    case notRegular
    /// Shorter than its two magic numbers say.
    case noHeader
    /// Another magic number than that of this kind of image.
    case wrongMagic(found: UInt32, expected: UInt32)
    /// An entry that says it is longer than the rest of the file, both in bytes.
    case truncated(entry: UInt32, rest: Int)
    /// An entry longer than any entry of its kind, in bytes.
    case entryTooLarge(UInt32)
    /// Bytes that are no message of this kind.
    case malformed
    /// An entry without a field that every such entry has.
    case missingField
    /// Another number of entries than the one that belongs there.
    case entryCount(Int)
    /// A field whose value cannot be.
    case badValue(field: String, value: String)
    /// A version of the format that this engine does not know.
    case version(UInt32)
    /// Mounts that are no tree.
    case table(MountTableError)
    /// Several files of which only one may be there: nothing says which one is meant.
    case ambiguous([String])
    /// The set was made without parts that are wanted.
    case lacks(SavedParts)
    /// Netlink bytes that are none, and what they should say.
    case netlink(NetlinkFormatError, in: String)
    /// Attributes in attributes, deeper than the kernel has them.
    case nestedTooDeep(in: String)
    /// Two of a kind where there is one at most.
    case duplicate(String, value: String)
    /// Something that belongs to a link which is not in the set.
    case unknownLink(Int32, of: String)
    /// A system call that failed.
    case system(SystemCallFailure)
  }

  /// The name of the file in the directory of images, or the directory's path.
  public var file: String
  public var problem: Problem
  /// Where in the file, in bytes, where one place can be named.
  public var offset: Int?

  public init(_ file: String, _ problem: Problem, at offset: Int? = nil) {
    self.file = file
    self.problem = problem
    self.offset = offset
  }

  public var description: String {
    file + (offset.map { ", byte \($0)" } ?? "") + ": " + words
  }

  private var words: String {
    switch problem {
    case .missing: "not there; is this a directory of images?"
    case .tooLarge(let size): "\(size) bytes are more than an image of this kind can have"
    case .notRegular: "not a regular file"
    case .noHeader: "too short to be an image"
    case .wrongMagic(let found, let expected):
      "not an image of this kind: the magic number is \(hexadecimal(found)), "
        + "not \(hexadecimal(expected))"
    case .truncated(let entry, let rest):
      "cut off: an entry of \(entry) bytes begins where \(rest) are left"
    case .entryTooLarge(let size): "\(size) bytes are more than an entry of this kind can have"
    case .malformed: "the entry is damaged"
    case .missingField: "the entry lacks a field that it must have"
    case .entryCount(let count): "\(count) entries, where one is expected"
    case .badValue(let field, let value): "\(field) cannot be \(value)"
    case .version(let version): "version \(version) of the image format is not known"
    case .table(let error): "\(error)"
    case .ambiguous(let names): "one of \(names.joined(separator: ", ")), but which is not said"
    case .netlink(let error, let what): "\(what): \(error)"
    case .nestedTooDeep(let what): "\(what): attributes are nested too deep"
    case .duplicate(let what, let value): "two \(what) \(value)"
    case .unknownLink(let index, let what):
      "\(what) belongs to the link with index \(index), which is not there"
    case .lacks(let parts):
      "the set has no \(parts.words.joined(separator: " and no ")); it was saved without"
    case .system(let failure): "\(failure)"
    }
  }
}

func hexadecimal(_ number: UInt32) -> String { "0x" + String(number, radix: 16) }
