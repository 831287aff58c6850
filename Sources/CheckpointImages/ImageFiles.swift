import CMooring
import Glibc
import LinuxKernel
import MountTable
import SystemPackage

/// Reading and writing whole files below a directory descriptor.
enum ImageFiles {
  /// The bytes of a regular file; symbolic links are not followed. `nil` where there is none.
  static func read(
    _ name: String, in directory: CInt, atMost most: Int = ImageFraming.mostBytes
  ) throws(ImageError) -> [UInt8]? {
    guard let file = try open(name, in: directory) else { return nil }
    let size = file.size
    guard size <= most else {
      throw ImageError(name, .tooLarge(UInt64(clamping: size)))
    }
    var failure: CInt = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      while count < size {
        let got = Glibc.read(
          file.descriptor.number, buffer.baseAddress! + count, size - count)
        if got < 0 && errno == EINTR { continue }
        if got < 0 { failure = errno }
        if got <= 0 { break }
        count += got
      }
    }
    if failure != 0 {
      throw ImageError(
        name, .system(SystemCallFailure("read", on: "it", Errno(rawValue: failure))))
    }
    return bytes
  }

  struct OpenFile: ~Copyable {
    let descriptor: Descriptor
    let size: Int

    consuming func takeDescriptor() -> Descriptor { descriptor }
  }

  /// Opens a regular file for reading; `nil` where there is none.
  static func open(_ name: String, in directory: CInt) throws(ImageError) -> OpenFile? {
    let descriptor: Descriptor
    // A device or a fifo among the images is not opened.
    if DirectoryTree.exists(Array(name.utf8), in: directory),
      !DirectoryTree.isRegular(Array(name.utf8), in: directory)
    {
      throw ImageError(name, .notRegular)
    }
    do throws(SystemCallFailure) {
      descriptor = try Descriptor.open(
        Array(name.utf8), below: directory, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    } catch {
      if error.errno == .noSuchFileOrDirectory { return nil }
      if error.errno == .tooManySymbolicLinkLevels { throw ImageError(name, .notRegular) }
      throw ImageError(name, .system(error))
    }
    var about = stat()
    guard fstat(descriptor.number, &about) == 0, about.st_mode & S_IFMT == S_IFREG else {
      throw ImageError(name, .notRegular)
    }
    return OpenFile(descriptor: descriptor, size: Int(about.st_size))
  }

  static func write(_ bytes: [UInt8], to name: String, in directory: CInt) throws(ImageError) {
    do throws(SystemCallFailure) {
      let file = try create(name, in: directory)
      var written = 0
      while written < bytes.count {
        let put = bytes.withUnsafeBytes {
          Glibc.write(file.number, $0.baseAddress! + written, bytes.count - written)
        }
        if put < 0 && errno == EINTR { continue }
        try checked(put < 0 ? -Int(errno) : put, "write", quoted(Array(name.utf8)))
        written += put
      }
    } catch {
      throw ImageError(name, .system(error))
    }
  }

  /// Creates a file that was not there, for its owner only.
  static func create(_ name: String, in directory: CInt) throws(SystemCallFailure) -> Descriptor {
    try Descriptor.open(
      Array(name.utf8), below: directory, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600
    )
  }

  /// The names in a directory, without `.` and `..`, in no order.
  static func names(in directory: CInt) throws(SystemCallFailure) -> [[UInt8]] {
    let copy = try Descriptor.open(
      [0x2E], below: directory, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    let number = copy.release()
    guard let stream = fdopendir(number) else {
      let failure = errno
      close(number)
      throw SystemCallFailure("fdopendir", on: "it", Errno(rawValue: failure))
    }
    defer { closedir(stream) }
    var names: [[UInt8]] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else { break }
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: UInt8.self, capacity: 256) {
          Array(UnsafeBufferPointer(start: $0, count: strnlen($0, 256)))
        }
      }
      if name != [0x2E] && name != [0x2E, 0x2E] { names.append(name) }
    }
    try checked(-Int(errno), "readdir", "a directory")
    return names
  }
}

private func strnlen(_ bytes: UnsafePointer<UInt8>, _ most: Int) -> Int {
  bytes.withMemoryRebound(to: CChar.self, capacity: most) { Glibc.strnlen($0, most) }
}
