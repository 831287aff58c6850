import LinkTable
import RestorePlan
import Testing

@Suite("Settings from kernel to kernel")
struct SettingsPlanTests {
  private func setting(
    _ path: String, _ value: String, _ origin: Sysctl.Origin = .unknown
  ) -> Sysctl {
    Sysctl(path: Array(path.utf8), value: Array(value.utf8), origin: origin)
  }

  private func request(
    _ settings: [Sysctl], kernel: KernelSettings? = nil, leavingOut texts: [String] = []
  ) throws -> LinkRestoreRequest {
    var request = FabricatedKindTests.request([FabricatedKindTests.loopback])
    var leftOut = LeaveOut()
    for text in texts { try leftOut.add(parsing: text) }
    request.networks[0].table.sysctls = settings
    request.networks[0] = request.networks[0].leavingOut(leftOut)
    request.kernel = kernel
    return request
  }

  private func kernel(
    _ values: [Sysctl], _ answers: [(Sysctl, KernelSettings.Answer)] = []
  ) -> KernelSettings {
    KernelSettings(
      values: Dictionary(uniqueKeysWithValues: values.map { ($0.path, $0.value) }),
      answers: Dictionary(
        uniqueKeysWithValues: answers.map { (KernelSettings.question($0.0), $0.1) }))
  }

  private func written(_ request: LinkRestoreRequest) -> [String] {
    request.plan().steps.flatMap { step -> [String] in
      guard case .write(let list) = step.action else { return [] }
      return list.map {
        String(decoding: $0.path, as: UTF8.self) + "="
          + String(decoding: $0.value, as: UTF8.self)
      }
    }
  }

  @Test("what a new network has is the kernel's choice, and what differs was changed")
  func marks() {
    let kernel = kernel([
      setting("ipv4/tcp_retries2", "15"), setting("ipv4/ip_forward", "0"),
      setting("ipv4/neigh/lo/gc_stale_time", "60"),
    ])
    let marked = kernel.marked([
      setting("ipv4/tcp_retries2", "15"), setting("ipv4/ip_forward", "1"),
      setting("ipv4/neigh/eth0/gc_stale_time", "60"), setting("ipv4/new", "1"),
    ])
    #expect(marked.map(\.origin) == [.kernel, .changed, .kernel, .changed])
  }

  @Test("only what was changed is written, and what nobody has looked at")
  func writes() throws {
    let list = [
      setting("ipv4/tcp_rmem", "1", .kernel), setting("ipv4/tcp_wmem", "2", .changed),
      setting("ipv4/tcp_mem", "3"),
    ]
    #expect(try written(request(list)) == ["ipv4/tcp_wmem=2", "ipv4/tcp_mem=3"])
  }

  @Test("beside a change of all, what the kernel chose is written as this kernel chooses it")
  func families() throws {
    let list = [
      setting("ipv4/conf/all/rp_filter", "2", .changed),
      setting("ipv4/conf/default/rp_filter", "0", .kernel),
      setting("ipv4/conf/default/forwarding", "0", .kernel),
    ]
    let here = kernel(
      [setting("ipv4/conf/all/rp_filter", "1"), setting("ipv4/conf/default/rp_filter", "1")],
      [(list[0], .taken(as: Array("2".utf8)))])
    #expect(
      try written(request(list, kernel: here)) == [
        "ipv4/conf/all/rp_filter=2", "ipv4/conf/default/rp_filter=1",
      ])
  }

  @Test("what this kernel does not take is a problem with its module and the option")
  func findings() throws {
    let list = [
      setting("bridge/bridge-nf-call-arptables", "0", .changed),
      setting("ipv4/tcp_congestion_control", "bbr", .changed),
      setting("ipv4/tcp_l3mdev_accept", "1", .changed), setting("ipv4/tcp_rmem", "1", .kernel),
      setting("ipv4/neigh/eth0/retrans_time_ms", "1003", .changed),
      setting("ipv4/tcp_fin_timeout", "70000", .changed),
    ]
    let here = kernel(
      [],
      [
        (list[0], .missing), (list[1], .refused(2, "ENOENT (No such file or directory)")),
        (list[2], .readOnly), (list[4], .taken(as: Array("1000".utf8))),
        (list[5], .taken(as: Array("60".utf8))),
      ])
    let problems = try request(list, kernel: here).plan().problems.map(\.description)
    #expect(problems.count == 4)
    #expect(problems[0].contains("net/bridge/bridge-nf-call-arptables is to be \"0\""))
    #expect(problems[0].contains("modprobe br_netfilter"))
    #expect(
      problems[0].contains("--leave-out 'sysctl:net/bridge/bridge-nf-call-arptables'"))
    #expect(problems[1].contains("modprobe tcp_bbr"))
    #expect(problems[2].contains("lets no network but the host's"))
    #expect(problems[3].contains("makes \"60\" of it"))
    let rest = try request(
      list, kernel: here,
      leavingOut: ["sysctl:net/bridge,sysctl:net.ipv4.tcp_congestion_control", "sysctl:net/ipv4"])
    #expect(rest.plan().findings.isEmpty)
    #expect(written(rest) == [])
  }

  @Test("a comparison takes each kernel's own choice, and names what was altered")
  func comparison() throws {
    var saved = try request([
      setting("ipv4/tcp_rmem", "1", .kernel), setting("ipv4/tcp_wmem", "2", .changed),
      setting("ipv4/tcp_gone", "2", .changed), setting("ipv4/tcp_left", "2", .kernel),
    ]).networks[0]
    let here = kernel([setting("ipv4/tcp_rmem", "7"), setting("ipv4/tcp_wmem", "7")])
    func differences(_ settings: [Sysctl], _ kernel: KernelSettings?) -> [String] {
      var found = saved.table
      found.sysctls = settings
      return NetworkComparison(expected: saved, found: found, kernel: kernel).differences
    }
    let same = [setting("ipv4/tcp_rmem", "7"), setting("ipv4/tcp_wmem", "2")]
    #expect(
      differences(same, here) == ["setting net/ipv4/tcp_gone is not there, expected \"2\""])
    var leftOut = LeaveOut()
    try leftOut.add(parsing: "sysctl:net/ipv4/tcp_gone")
    saved = saved.leavingOut(leftOut)
    #expect(differences(same, here) == [])
    #expect(differences(same, nil).count == 1)
    #expect(
      differences([setting("ipv4/tcp_rmem", "8"), setting("ipv4/tcp_wmem", "7")], here) == [
        "setting net/ipv4/tcp_rmem is \"8\", expected \"7\", which a new network has here",
        "setting net/ipv4/tcp_wmem is \"7\", expected \"2\"",
      ])
  }

  @Test(
    "kinds that are not known are refused with those that are",
    arguments: ["", "x", "link", "sysctl:"])
  func unknownKinds(_ text: String) {
    var leftOut = LeaveOut()
    #expect(throws: OptionError.self) { try leftOut.add(parsing: text) }
  }
}
