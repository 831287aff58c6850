import CMooring
import Glibc
import MountTable
import Testing

@testable import LinuxKernel

@Suite("Visiting covered mounts", .enabled(if: ContainerProcess.isPossible))
struct CoveredMountTests {
  /// Visits all mounts in a process of its own, and checks that each holds the file named as its source.
  private static func visitAll(_ container: ContainerProcess) -> Int {
    do {
      return try visit(container)
    } catch {
      let text = "\(error)\n"
      write(2, text, text.utf8.count)
      return -3
    }
  }

  private static func visit(_ container: ContainerProcess) throws -> Int {
    let table = try readMountTable(of: container.pid)
    let marked = table.mounts.indices.filter {
      table.mounts[$0].source.bytes.starts(with: "m-".utf8)
    }
    let results = try visitMounts(of: container.pid, table: table, wanted: marked) { index, mount in
      var information = stat()
      fstat(mount, &information)
      if information.st_mode & S_IFMT == S_IFREG {
        return table.mounts[index].root.isRoot ? [0] : [1]
      }
      return withPath(table.mounts[index].source.bytes) { faccessat(mount, $0, F_OK, 0) } == 0
        ? [1] : [0]
    }
    guard results.count == marked.count, results.values.allSatisfy({ $0 == [1] }) else { return -1 }
    let after = try readMountTable(of: container.pid)
    return after == table ? marked.count : -2
  }

  @Test func everyKindOfCover() async {
    await #expect(processExitsWith: .success) {
      let container = ContainerProcess(
        """
        d=$(mktemp -d); mount -t tmpfs base $d; cd $d; mkdir -p a/b/c; i=0
        put() { i=$((i+1)); mount -t tmpfs m-$i $1; touch $1/../${1##*/}/m-$i; }
        put a/b; put a/b; put a/b; mkdir a/b/k; put a/b/k
        put a; mkdir -p a/b/c; put a/b/c; put a; mkdir a/z; put a/z; put a/z
        mkdir ab a-; put ab; put a-
        touch f; mount --bind a/m-7 f; mount --bind a/m-7 f
        put $d; mkdir $d/new; put $d/new; put /
        """)
      guard let container, CoveredMountTests.visitAll(container) == 16 else { exit(1) }
    }
  }

  @Test func aLongChain() async {
    await #expect(processExitsWith: .success) {
      let container = ContainerProcess(
        """
        d=$(mktemp -d); for i in $(seq 300); do mount -t tmpfs m-$i $d; touch $d/m-$i; done
        """)
      guard let container, CoveredMountTests.visitAll(container) == 300 else { exit(1) }
    }
  }

  @Test func aContainerOfItsOwnUserNamespace() async {
    await #expect(processExitsWith: .success) {
      let container = ContainerProcess(
        "mount -t tmpfs m-1 /tmp; touch /tmp/m-1; mount -t tmpfs m-2 /tmp; touch /tmp/m-2",
        options: ["--mount", "--user", "--map-root-user"])
      guard let container, CoveredMountTests.visitAll(container) == 2 else { exit(1) }
    }
  }

  @Test func onlyTheLowestOfAChain() async {
    await #expect(processExitsWith: .success) {
      let container = ContainerProcess(
        "d=$(mktemp -d); mount -t tmpfs m-1 $d; touch $d/m-1; "
          + "for i in $(seq 20); do mount -t tmpfs over $d; mkdir $d/x; mount -t tmpfs y $d/x; done"
      )
      guard let container, CoveredMountTests.visitAll(container) == 1 else { exit(1) }
    }
  }

  @Test func aTableThatIsStale() async {
    await #expect(processExitsWith: .success) {
      guard let container = ContainerProcess("mount -t tmpfs x /tmp; mount -t tmpfs y /tmp") else {
        exit(1)
      }
      var mounts = try readMountTable(of: container.pid).mounts
      mounts.removeLast()
      let table = try MountTable(mounts)
      // One mount is looked up where it is; for all of them the namespace is copied and compared.
      for (wanted, reason) in [
        ([mounts.count - 1], "/tmp leads to another mount"),
        (Array(mounts.indices), "/tmp has been mounted"),
      ] {
        do {
          _ = try visitMounts(of: container.pid, table: table, wanted: wanted) { _, _ in [] }
          exit(1)
        } catch ReadFailure.tableIsStale(reason) {}
      }
    }
  }

  @Test func whatTheWorkThrowsIsReported() async {
    await #expect(processExitsWith: .success) {
      guard let container = ContainerProcess("true") else { exit(1) }
      let table = try readMountTable(of: container.pid)
      do {
        _ = try visitMounts(of: container.pid, table: table, wanted: [table.rootIndex]) { _, _ in
          throw ReadFailure.noSuchProcess(7)
        }
      } catch ReadFailure.visitFailed(let text) where text.contains("no process 7") {
        return
      }
      exit(1)
    }
  }
}
