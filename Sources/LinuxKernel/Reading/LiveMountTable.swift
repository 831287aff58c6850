import CMooring
import Glibc
import MountTable

/// Reads the mount table of a process: mountinfo, and by `statmount` what the text cannot say.
///
/// A table that changes while it is being read is read again, up to 16 times. Where the kernel has no
/// `statmount` for the namespace, or forbids it, the text is all there is: `uniqueID` stays `nil`, an
/// idmapped mount has no ranges.
///
/// When not to use it: for one mount or one path. `statx` with `STATX_MNT_ID` asks about a single one.
///
/// - Parameter pid: as `/proc` of the caller numbers it.
/// - Throws: `ReadFailure.processIsChrooted` where the process sees only a part of the namespace.
public func readMountTable(of pid: Int32) throws(ReadFailure) -> MountTable {
  try ProcessFolder(pid).readMountTable()
}

/// Reads the mount table of the calling thread (`/proc/thread-self`).
public func readOwnMountTable() throws(ReadFailure) -> MountTable {
  try ProcessFolder.own().readMountTable()
}

/// Reads a mount table from a file in the format of mountinfo.
public func readMountTable(file path: String) throws(ReadFailure) -> MountTable {
  let file: Descriptor
  do { file = try Descriptor.open(path, flags: O_RDONLY) } catch { throw .system(error) }
  return try readMountTable(descriptor: file.number)
}

/// Reads a mount table from the text that `descriptor` gives, a file or a pipe.
public func readMountTable(descriptor: CInt) throws(ReadFailure) -> MountTable {
  var text = MountInfoText(capacity: 1 << 16)
  do { try text.fill(from: descriptor, "the mount table") } catch { throw .system(error) }
  let mounts: [Mount]
  do { mounts = try MountInfoReader.mounts(in: text) } catch { throw .malformed(error) }
  do { return try MountTable(mounts) } catch { throw .notATree(error) }
}

extension ProcessFolder {
  func readMountTable() throws(ReadFailure) -> MountTable {
    let file = try open("mountinfo")
    var text = MountInfoText(capacity: 1 << 16)
    for attempt in 0..<Self.tries {
      if attempt > 0 {
        lseek(file.number, 0, SEEK_SET)
        text.clear()
      }
      do { try text.fill(from: file.number, name) } catch { throw failure(error) }
      var mounts: [Mount]
      do {
        mounts = try MountInfoReader.mounts(in: text)
      } catch {
        if MountTableWatch.hasChanged(file) { continue }
        throw .malformed(error)
      }
      let outcome = complete(&mounts)
      if MountTableWatch.hasChanged(file) { continue }
      switch outcome {
      case .changed: continue
      case .seesPart: throw .processIsChrooted(name)
      case .processGone: throw .processGone(name)
      case .complete, .textOnly: break
      }
      guard mounts.contains(where: \.mountPoint.isRoot) else { throw .processIsChrooted(name) }
      do { return try MountTable(mounts) } catch { throw .notATree(error) }
    }
    throw .changedTooOften(tries: Self.tries)
  }

  private enum Completion { case complete, textOnly, changed, seesPart, processGone }

  /// Adds what `statmount` knows: unique IDs and the mappings of idmapped mounts.
  private func complete(_ mounts: inout [Mount]) -> Completion {
    let namespace: UInt64
    switch mountNamespaceID() {
    case .success(let id): namespace = id
    case .failure(let failure):
      // Without it nobody could tell a chrooted process that has just ended from others.
      return failure.errno == .noSuchFileOrDirectory || failure.errno == .noSuchProcess
        ? .processGone : .textOnly
    }
    var kernel = Statmount(namespace: namespace)
    guard case .success(let ids) = kernel.list() else { return .textOnly }
    var places: [MountID: Int]?
    var next = 0
    for id in ids {
      let result = kernel.read(id, [.mount, .users, .groups])
      if result == -Int(ENOENT) { return .changed }
      guard result == 0 else { return .textOnly }
      let old = MountID(kernel.number(.id))
      var place = next
      if next >= mounts.count || mounts[next].id != old {
        // Both orders are the kernel's and agree from 6.8 on; this is for one that differs.
        if places == nil {
          places = Dictionary(mounts.indices.map { (mounts[$0].id, $0) }) { first, _ in first }
        }
        guard let elsewhere = places?[old] else { return .seesPart }
        place = elsewhere
      }
      mounts[place].uniqueID = id
      if let mapping = kernel.idMapping { mounts[place].idMapping = mapping }
      next = place + 1
    }
    // Fewer than the text has are no change: where the container mounted over `/`, its processes still
    // see the old root, the list begins at the new one.
    return .complete
  }
}

extension MountInfoText {
  /// Reads to the end of the file. The kernel gives 4 KiB of mountinfo a call, whatever the room.
  mutating func fill(
    from descriptor: CInt, _ name: String
  ) throws(SystemCallFailure) {
    while try checked(read(from: descriptor), "read", "mountinfo of \(name)") > 0 {}
  }
}
