import CLibmount
import CMooring
import Glibc

/// libmount's table of mounts (`struct libmnt_table`), released with this value.
struct LibmountTable: ~Copyable {
  private let table: OpaquePointer

  /// Why libmount has no table to give.
  enum Failure: Error {
    case outOfMemory
    /// The line, counted from 1 in the text given to `init`, that libmount does not understand.
    case line(Int)
    case code(CInt)
  }

  /// Parses the text of a mountinfo file.
  ///
  /// libmount tells mountinfo from fstab by the first line alone, and takes a first line it does not
  /// like for fstab. `text` therefore has to begin with a line that is beyond doubt.
  ///
  /// The corresponding function is `mnt_table_parse_stream`.
  init(text: UnsafeMutableRawBufferPointer) throws(Failure) {
    guard let table = mnt_new_table() else { throw .outOfMemory }
    guard let stream = mooring_memory_stream(text.baseAddress, text.count) else {
      mnt_unref_table(table)
      throw .outOfMemory
    }
    var badLine: CInt = 0
    let code = withUnsafeMutablePointer(to: &badLine) { line in
      mnt_table_set_userdata(table, line)
      mnt_table_set_parser_errcb(table) { table, _, number in
        mnt_table_get_userdata(table)?.assumingMemoryBound(to: CInt.self).pointee = number
        return -EINVAL
      }
      let code = mnt_table_parse_stream(table, stream, "mountinfo")
      mnt_table_set_userdata(table, nil)
      return code
    }
    fclose(stream)
    guard code == 0, badLine == 0 else {
      mnt_unref_table(table)
      throw badLine > 0 ? .line(Int(badLine)) : .code(code)
    }
    self.table = table
  }

  deinit { mnt_unref_table(table) }

  var count: Int { Int(mnt_table_get_nents(table)) }

  /// Calls `body` with each mount in the order of the text, until it returns `false`.
  func walk(_ body: (borrowing LibmountEntry) -> Bool) {
    guard let iterator = mnt_new_iter(CInt(MNT_ITER_FORWARD)) else { return }
    defer { mnt_free_iter(iterator) }
    var entry: OpaquePointer?
    while mnt_table_next_fs(table, iterator, &entry) == 0, let found = entry {
      guard body(LibmountEntry(found)) else { return }
    }
  }
}

/// One mount as libmount holds it (`struct libmnt_fs`); valid while its table lives.
///
/// The strings are C strings without the escapes of mountinfo.
struct LibmountEntry: ~Copyable {
  private let entry: OpaquePointer

  fileprivate init(_ entry: OpaquePointer) { self.entry = entry }

  typealias Text = UnsafePointer<CChar>

  var id: UInt32 { UInt32(bitPattern: mnt_fs_get_id(entry)) }
  var parent: UInt32 { UInt32(bitPattern: mnt_fs_get_parent_id(entry)) }
  var device: UInt64 { UInt64(mnt_fs_get_devno(entry)) }
  var root: Text? { mnt_fs_get_root(entry) }
  var target: Text? { mnt_fs_get_target(entry) }
  var mountOptions: Text? { mnt_fs_get_vfs_options(entry) }
  var optionalFields: Text? { mnt_fs_get_optional_fields(entry) }
  var fileSystem: Text? { mnt_fs_get_fstype(entry) }
  var source: Text? { mnt_fs_get_source(entry) }
  var superblockOptions: Text? { mnt_fs_get_fs_options(entry) }
}
