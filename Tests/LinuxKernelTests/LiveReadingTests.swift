import Glibc
import MountTable
import RestorePlan
import Testing

@testable import LinuxKernel

@Suite("Reading live mount tables", .enabled(if: ContainerProcess.isPossible))
struct LiveReadingTests {
  /// Every kind of mount that one can make without a device.
  static let everything = """
    cd /tmp; d=$(mktemp -d); mount -t tmpfs base $d; cd $d
    mkdir shared slave both none 'with space' gone idmapped "$(printf 'n\\377\\nx')"
    mount -t tmpfs -o size=64k,mode=700 shared shared; mount --make-shared shared
    mount --bind shared slave; mount --make-slave slave
    mount --bind shared both; mount --make-slave both; mount --make-shared both
    mount -t tmpfs none none; mount --make-unbindable none
    mount -t tmpfs -o ro,nosuid,nodev,noexec,noatime,nodiratime 'a b#c' 'with space'
    mount -t tmpfs -o sync,dirsync,lazytime "" "$(printf 'n\\377\\nx')"
    mkdir shared/x; mount --bind shared/x gone; rmdir shared/x
    mount -t tmpfs -o strictatime over shared
    mount -t ramfs r shared
    """

  @Test func bothReadersAgree() throws {
    let container = try #require(ContainerProcess(Self.everything))
    let text = try readMountTable(of: container.pid)
    let kernel = try readMountTableByStatmount(of: container.pid)
    #expect(text.mounts.count == kernel.mounts.count)
    for (one, other) in zip(text.mounts, kernel.mounts) { #expect(one == other) }
    #expect(text.mounts.contains { $0.source == "a b#c" && $0.attributes.flags.count == 5 })
    #expect(text.mounts.contains { $0.isRootDeleted && $0.root == "/x" })
    #expect(text.mounts.contains { $0.peerGroup != nil && $0.master != nil })
    #expect(text.mounts.contains { $0.isUnbindable })
    #expect(text.mounts.contains { $0.source.isEmpty && $0.mountPoint.bytes.contains(0xFF) })
    #expect(text.mounts.allSatisfy { $0.uniqueID != nil })
    #expect(MountTreeComparison(expected: text, found: kernel).isEqual)
  }

  /// Without what has to be escaped.
  @Test func thePlainReaderAgrees() throws {
    let container = try #require(
      ContainerProcess(
        """
        cd /tmp; d=$(mktemp -d); mount -t tmpfs base $d; cd $d; mkdir a b c gone n
        mount -t tmpfs -o size=64k,mode=700 a a; mount --make-shared a; mount --bind a b
        mount --make-slave b; mount --make-shared b; mount -t tmpfs c c; mount --make-unbindable c
        mount -t tmpfs -o ro,nosuid,nodev,noexec,noatime,nodiratime,sync n n; mount -t tmpfs "" n
        mkdir a/x; mount --bind a/x gone; rmdir a/x
        """))
    let plain = try #require(readPlainMountTable(of: container.pid))
    let careful = try readMountTable(of: container.pid)
    #expect(plain.mounts.count == careful.mounts.count)
    for (one, var other) in zip(plain.mounts, careful.mounts) {
      other.uniqueID = nil
      #expect(one == other)
    }
    #expect(plain.mounts.contains { $0.isRootDeleted && $0.root == "/x" })
    #expect(plain.mounts.contains { $0.source.isEmpty })
  }

  @Test func thePlainReaderLeavesTheRestToTheOther() throws {
    let container = try #require(ContainerProcess(Self.everything))
    #expect(readPlainMountTable(of: container.pid) == nil)
    for text in [
      "1 0 0:1 / / rw - tmpfs x rw", "1 0 0:1 / / rw - tmpfs x\n", "1 0 0:1 / rw - tmpfs x rw\n",
      "1 0 0:1 / / rw,strange - tmpfs x rw\n", "1 0 0:1 / / rw,idmapped - tmpfs x rw\n",
      "1 0 0:1 / / rw shared:x - tmpfs x rw\n", "1 0 01 / / rw - tmpfs x rw\n", "\n",
      "99999999999 0 0:1 / / rw - tmpfs x rw\n", "1 0 0:1 / a rw - tmpfs x rw\n",
    ] {
      var bytes = Array(text.utf8)
      #expect(bytes.withUnsafeMutableBytes { PlainMountInfo.mounts(in: $0) } == nil, "\(text)")
    }
  }

  @Test func aDeepMountPoint() throws {
    let container = try #require(
      ContainerProcess(
        """
        d=$(mktemp -d); mount -t tmpfs base $d; cd $d; n=$(printf 'x%.0s' $(seq 200))
        for i in $(seq 19); do mkdir $n; cd $n; done; mkdir $n; mount --bind . $n
        """))
    let text = try readMountTable(of: container.pid)
    #expect(text.mounts.map(\.mountPoint.bytes.count).max() ?? 0 > 4000)
    let kernel = try readMountTableByStatmount(of: container.pid)
    #expect(text.mounts == kernel.mounts)
  }

  @Test func ownTable() throws {
    let own = try readOwnMountTable()
    #expect(own.mounts == (try readMountTable(of: getpid())).mounts)
  }

  @Test func aMountOverTheRootHidesNothingFromItsReader() throws {
    let container = try #require(
      ContainerProcess("mount -t tmpfs over /"))
    let table = try readMountTable(of: container.pid)
    #expect(table.mounts.filter(\.mountPoint.isRoot).count == 2)
  }

  /// - Parameter way: what makes `$d`, the directory to be chrooted to.
  @Test(arguments: ["", "mkdir -p $d/proc; mount -t proc proc $d/proc;"])
  func aProcessChrootedToADirectory(way: String) throws {
    let container = try #require(ContainerProcess(chrooted(way)))
    let failure = #expect(throws: ReadFailure.self) { try readMountTable(of: container.pid) }
    guard case .processIsChrooted("process \(container.pid)", to: let directory) = failure else {
      Issue.record("\(String(describing: failure))")
      return
    }
    #expect(directory.map { String(decoding: $0.bytes, as: UTF8.self).hasPrefix("/tmp/") } == true)
    #expect(readPlainMountTable(of: container.pid) == nil)
  }

  @Test func aMountOverTheDirectoryAProcessIsChrootedToIsNotItsRoot() throws {
    let container = try #require(ContainerProcess(chrooted("", then: "mount -t tmpfs t /")))
    #expect(throws: ReadFailure.self) { try readMountTable(of: container.pid) }
    #expect(readPlainMountTable(of: container.pid) == nil)
  }

  @Test(arguments: ["", "cd $d; mount --move . /; d=.;"])
  func whatAProcessOnTheRootOfAMountCanReach(move: String) throws {
    let container = try #require(ContainerProcess(chrooted("mount --bind $d $d;", move)))
    let table = try readMountTable(of: container.pid)
    #expect(table.root.mountPoint.isRoot)
    #expect(
      Set(table.mounts.map { "\($0.mountPoint)" }) == ["/", "/bin", "/usr", "/lib", "/lib64"])
    // The kernel says no mount points here: it takes them from what it holds for the root.
    let kernel = try readMountTableByStatmount(of: container.pid)
    #expect(table.mounts.map(\.uniqueID) == kernel.mounts.map(\.uniqueID))
    #expect(table.mounts.allSatisfy { $0.uniqueID != nil })
    #expect(readPlainMountTable(of: container.pid) != nil)
  }

  @Test func aRootThatWasUnmounted() throws {
    // Without its root the shell has no programs left.
    let script = chrooted(
      "mount --bind $d $d; mkdir $d/proc; mount -t proc proc $d/proc;",
      then: "umount -l / || exit 1; echo ready; read line; exit")
    let container = try #require(ContainerProcess(script))
    #expect(throws: ReadFailure.rootIsElsewhere("process \(container.pid)")) {
      try readMountTable(of: container.pid)
    }
  }

  /// A shell in `$d`, which has what it takes.
  private func chrooted(_ way: String, _ move: String = "", then after: String = ":") -> String {
    """
    d=$(mktemp -d /tmp/mooring-test-XXXXXX); \(way) mkdir -p $d/bin $d/usr $d/lib $d/lib64
    for i in bin usr lib lib64; do mount --bind /$i $d/$i; done
    \(move) exec chroot $d sh -c '\(after); echo ready; exec cat'
    """
  }

  @Test func aProcessThatIsNot() throws {
    #expect(throws: ReadFailure.noSuchProcess(0x7FFF_FFF0)) { try readMountTable(of: 0x7FFF_FFF0) }
    #expect(throws: ReadFailure.noSuchProcess(0x7FFF_FFF0)) { try readNamespaces(of: 0x7FFF_FFF0) }
  }

  @Test func aZombie() throws {
    let pid = try #require(spawnAndForget())
    defer { waitpid(pid, nil, 0) }
    #expect(throws: ReadFailure.processGone("process \(pid)")) { try readMountTable(of: pid) }
  }

  private func spawnAndForget() -> pid_t? {
    var child: pid_t = 0
    var arguments = [strdup("true"), nil]
    defer { free(arguments[0]) }
    guard posix_spawnp(&child, "true", nil, nil, &arguments, environ) == 0 else { return nil }
    var information = siginfo_t()
    return waitid(P_PID, id_t(child), &information, WEXITED | WNOWAIT) == 0 ? child : nil
  }

  @Test func namespaces() throws {
    let container = try #require(
      ContainerProcess(
        "hostname moored",
        options: ["--mount", "--uts", "--ipc", "--user", "--map-root-user", "--net"]))
    let found = try readNamespaces(of: container.pid)
    #expect(Set(found.own.keys) == [.mount, .uts, .ipc, .user, .network])
    #expect(found.hostName == "moored")
    #expect(found.mapping?.users == [.init(inside: 0, outside: geteuid(), count: 1)])
    #expect(found.monotonicOffset == nil)
  }

  @Test func timeNamespace() throws {
    let container = try #require(
      ContainerProcess("true", options: ["--mount", "--time", "--monotonic", "3600"]))
    // The process itself is in it after the exec of the shell.
    let found = try readNamespaces(of: container.pid)
    #expect(found.own.keys.contains(.time))
    #expect(found.monotonicOffset == 3_600_000_000_000)
  }
}

extension MountAttributes.Flags {
  var count: Int { rawValue.nonzeroBitCount }
}
