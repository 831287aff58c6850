import Glibc
import MountTable
import RestorePlan
import Testing

@testable import LinuxKernel

/// The executor's own look at where it writes, whatever a plan says.
@Suite("Places that are written to")
struct WritePlaceTests {
  private let slot = Slot(1)

  /// A file system in memory, and one of the kernel's.
  private func with(_ body: (_ memory: CInt, _ proc: CInt) throws -> Void) throws {
    let memory = try Descriptor.open("/dev/shm", flags: openPath | O_DIRECTORY)
    let proc = try Descriptor.open("/proc", flags: openPath | O_DIRECTORY)
    try body(memory.number, proc.number)
  }

  private func allows(
    _ places: WritePlaces, _ descriptor: CInt, _ wanted: Set<WritePlaces.Kind>
  ) -> Bool { (try? places.check(slot, descriptor, isOneOf: wanted)) != nil }

  @Test func onlyWhatWasMadeHere() throws {
    try with { memory, _ in
      var places = WritePlaces(slotCount: 3)
      #expect(!allows(places, memory, [.memory, .root, .controlGroup]))
      places.noteNew("tmpfs", in: slot)
      #expect(allows(places, memory, [.memory]))
      #expect(!allows(places, memory, [.root, .controlGroup]))
      places.forget(slot)
      #expect(!allows(places, memory, [.memory]))
    }
  }

  @Test(arguments: [
    "devtmpfs", "sysfs", "debugfs", "mqueue", "hugetlbfs", "overlay", "ext4", "proc", "tmpfs ",
  ])
  func aTypeThatIsNotMadeAnewIsNoMemory(type: String) throws {
    try with { memory, _ in
      var places = WritePlaces(slotCount: 3)
      // The slot was a tmpfs before.
      places.noteNew("tmpfs", in: slot)
      places.noteNew(KernelString(type), in: slot)
      #expect(!allows(places, memory, [.memory, .root, .controlGroup]))
    }
  }

  @Test func whereTheDescriptorLeadsCounts() throws {
    try with { memory, proc in
      var places = WritePlaces(slotCount: 3)
      for kind in [WritePlaces.Kind.memory, .root, .controlGroup] {
        places.note(kind, in: slot)
        #expect(!allows(places, proc, [kind]))
      }
      #expect(!allows(places, memory, [.controlGroup]))
      places.note(.root, in: slot)
      #expect(allows(places, memory, [.root]))
    }
  }
}
