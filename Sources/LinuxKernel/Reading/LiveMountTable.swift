import CMooring
import Glibc
import MountTable

/// Reads the mount table of a process: mountinfo, and by `statmount` what the text cannot say.
///
/// The table is what the process can reach, from its root down. What lies beneath a root that was moved
/// over `/` is left out, as the first root file system of a host that booted through an initramfs is:
/// nobody there can reach it, though the namespace goes on holding it.
///
/// | the process's root is | the table |
/// |---|---|
/// | the root of a mount: the namespace's own, one moved or pivoted to `/`, one it was chrooted to | that mount and what is below |
/// | another directory of a mount | none: `ReadFailure.processIsChrooted` |
/// | on a mount that its namespace does not hold | none: `ReadFailure.rootIsElsewhere` |
///
/// A table that changes while it is being read is read again, up to 16 times. Where the kernel has no
/// `statmount` for the namespace, or forbids it, the text is all there is: `uniqueID` stays `nil`, an
/// idmapped mount has no ranges.
///
/// When not to use it: for one mount or one path. `statx` with `STATX_MNT_ID` asks about a single one.
///
/// - Parameter pid: as `/proc` of the caller numbers it.
/// - Throws: `ReadFailure`, as above, and where the process ends meanwhile.
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
    var text = MountInfoText(capacity: 1 << 16)
    for _ in 0..<Self.tries {
      text.clear()
      let root = try rootIfPermitted()
      // Opened anew each time: the kernel writes what is below the root that the process had then.
      let file = try open("mountinfo")
      do { try text.fill(from: file.number, name) } catch { throw failure(error) }
      var mounts: [Mount]
      do {
        mounts = try MountInfoReader.mounts(in: text)
      } catch {
        if MountTableWatch.hasChanged(file) { continue }
        throw .malformed(error)
      }
      let outcome = complete(&mounts, below: root?.uniqueMount)
      if MountTableWatch.hasChanged(file) { continue }
      switch outcome {
      case .changed: continue
      case .processGone: throw .processGone(name)
      case .complete, .textOnly: break
      }
      do throws(ReadFailure) {
        return try table(of: mounts, root)
      } catch {
        // It may have moved to another root, or another namespace, in between.
        if try rootIfPermitted() != root { continue }
        throw error
      }
    }
    throw .changedTooOften(tries: Self.tries)
  }

  /// The process's root, or `nil` where only its mounts may be seen: then the text must do.
  private func rootIfPermitted() throws(ReadFailure) -> ProcessRoot? {
    do {
      return try root()
    } catch {
      if case .notPermitted = error { return nil }
      throw error
    }
  }

  /// The mounts as a tree, if they are what a process with that root can reach.
  private func table(
    of mounts: [Mount], _ root: ProcessRoot?
  ) throws(ReadFailure) -> MountTable {
    if let root, !root.isMountRoot { throw .processIsChrooted(name, to: target(of: "root")) }
    // From a root that is no mount's own nothing leads to "/", or what was mounted there later.
    guard mounts.contains(where: \.mountPoint.isRoot) else {
      throw root == nil ? .processIsChrooted(name, to: nil) : .rootIsElsewhere(name)
    }
    let table: MountTable
    do { table = try MountTable(mounts) } catch { throw .notATree(error) }
    if let root, table.root.id != root.mount { throw .rootIsElsewhere(name) }
    return table
  }

  private enum Completion { case complete, textOnly, changed, processGone }

  /// Adds what `statmount` knows of the mounts below `root`: unique IDs and the mappings of idmapped mounts.
  private func complete(_ mounts: inout [Mount], below root: UInt64?) -> Completion {
    let namespace: UInt64
    switch mountNamespaceID() {
    case .success(let id): namespace = id
    case .failure(let failure):
      // Without it nobody could tell a process that has just ended from others.
      return failure.errno == .noSuchFileOrDirectory || failure.errno == .noSuchProcess
        ? .processGone : .textOnly
    }
    guard let root else { return .textOnly }
    var kernel = Statmount(namespace: namespace)
    guard case .success(let ids) = kernel.list(from: root) else { return .textOnly }
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
        guard let elsewhere = places?[old] else { continue }
        place = elsewhere
      }
      mounts[place].uniqueID = id
      if let mapping = kernel.idMapping { mounts[place].idMapping = mapping }
      next = place + 1
    }
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
