import MountTable
import RestorePlan
import TestSupport
import Testing

@Suite("File systems from kernel to kernel")
struct KernelFileSystemsTests {
  private let lines = """
    1 0 8:1 / / type=ext4
    2 1 0:40 / /t size=4k noswap
    """

  private func plan(leavingOut text: String? = nil) throws -> RestorePlan {
    var leftOut = LeaveOut()
    if let text { try leftOut.add(parsing: text) }
    return RestoreRequest(
      table: try table(lines).leavingOut(leftOut),
      archivedDevices: [DeviceNumber(major: 0, minor: 40)],
      root: "/srv/root"
    ).plan()
  }

  @Test("an option that the kernel refuses is a problem that leaving it out settles")
  func options() throws {
    let plan = try plan()
    #expect(plan.newFileSystems.count == 1)
    var kernel = KernelFileSystems()
    #expect(kernel.findings(for: plan, .init()).isEmpty)
    kernel.refusals[plan.newFileSystems[0].new] = [.init("noswap", "EINVAL")]
    let findings = kernel.findings(for: plan, .init())
    #expect(findings.count == 1)
    #expect(findings[0].mount == 2)
    #expect(findings[0].cures.contains("--leave-out 'mount-option:tmpfs/noswap'"))
    let rest = try self.plan(leavingOut: "mount-option:tmpfs/noswap")
    #expect(rest.newFileSystems[0].new.parameters == ["size=4k"])
    #expect(kernel.findings(for: rest, .init()).isEmpty)
    #expect(
      try self.plan(leavingOut: "mount-option:ramfs/noswap").newFileSystems[0].new
        == plan.newFileSystems[0].new)
  }

  @Test("a file system or a namespace that the kernel does not have is a problem")
  func missing() throws {
    var kernel = KernelFileSystems()
    kernel.missing = ["tmpfs"]
    kernel.withoutNamespace[.time] = "it was built without them"
    let findings = kernel.findings(for: try plan(), .init(own: [.time: 1, .mount: 2]))
    #expect(findings.count == 2)
    #expect(findings[0].message.contains("a time namespace of its own"))
    #expect(findings[1].cures.contains("load the module: modprobe tmpfs"))
  }
}
