import MountTable
import RestorePlan
import TestSupport
import Testing

@Suite("Plans")
struct PlannerTests {
  private func plan(
    _ lines: String, namespaces: ContainerNamespaces = .init(), host: String? = nil,
    change: (inout RestoreRequest) -> Void = { _ in }
  ) throws -> RestorePlan {
    let mounts = try table(lines)
    var request = RestoreRequest(
      table: mounts, namespaces: namespaces,
      archivedDevices: Set(mounts.mounts.filter { $0.fileSystem == "tmpfs" }.map(\.device)),
      root: "/srv", host: try host.map { try table($0) })
    change(&request)
    return request.plan()
  }

  /// What must hold of every plan: slots are filled before they are used, each mount is attached once, and
  /// what comes from outside comes first.
  private func check(_ plan: RestorePlan, _ mounts: Int) {
    var filled: Set<Slot> = []
    var attached: Set<MountID> = []
    var isOutsideOver = false
    func fill(_ slot: Slot, _ step: RestoreStep) {
      #expect(filled.insert(slot).inserted, "\(step)")
      #expect(slot.number < plan.slotCount)
    }
    func use(_ slot: Slot, _ step: RestoreStep) { #expect(filled.contains(slot), "\(step)") }
    for step in plan.steps {
      if case .takeFromOutside(_, _, let into) = step {
        #expect(!isOutsideOver)
        fill(into, step)
        continue
      }
      isOutsideOver = true
      switch step {
      case .createFileSystem(_, _, _, let into), .cloneNamespaceFile(_, _, let into):
        fill(into, step)
      case .clone(let of, _, _, let into):
        use(of, step)
        fill(into, step)
      case .attach(let slot, let at, _, let id, _):
        use(slot, step)
        use(at, step)
        #expect(attached.insert(id).inserted, "\(step)")
      case .joinGroup(let of, let slot):
        use(of, step)
        use(slot, step)
      case .release(let slot):
        use(slot, step)
        filled.remove(slot)
      case .stage(let slot), .unpack(_, let slot), .setAttributes(let slot, _),
        .setPropagation(let slot, _), .pivotRoot(let slot):
        use(slot, step)
      default: break
      }
    }
    #expect(attached.count == mounts - 1)
    #expect(filled.isEmpty)
  }

  @Test func slotsFromOutsideAreNobodyElsesBefore() throws {
    var lines = "1 0 8:1 /r / type=ext4\n2 1 0:5 / /a\n3 1 0:6 / /b"
    lines += "\n4 1 8:1 /out /c type=ext4"
    let plan = try plan(lines) { request in
      request.table.annotate([3]) { $0.mooring = .key("k") }
      request.options.external = [.mountForKey("k", path: "/host")]
    }
    #expect(plan.problems.isEmpty)
    check(plan, 4)
  }

  @Test func whatHidesComesAfterWhatItHides() throws {
    let plan = try plan("1 0 8:1 /r / type=ext4\n2 1 0:5 / /a\n3 1 0:6 / /a/b\n4 3 0:7 / /a/b")
    let order = plan.steps.compactMap { step -> MountID? in
      if case .attach(_, _, _, let id, _) = step { id } else { nil }
    }
    #expect(order == [3, 4, 2])
    check(plan, 4)
  }

  @Test func unlinkedRootsAreUnlinkedWhenTheyAreAttached() throws {
    let plan = try plan("1 0 8:1 /r / type=ext4\n2 1 0:5 / /t\n3 1 0:5 /x /y deleted")
    let attach = plan.steps.firstIndex {
      if case .attach(_, _, _, 3, _) = $0 { true } else { false }
    }
    let unlink = plan.steps.firstIndex {
      if case .removePlaceholder = $0 { true } else { false }
    }
    #expect(try #require(attach) < #require(unlink))
    check(plan, 3)
  }

  @Test func oneUnlinkedFileIsMadeOnce() throws {
    let lines = """
      1 0 8:1 /r / type=ext4
      2 1 0:5 / /t
      3 1 0:5 /x /a deleted
      4 1 0:5 /x /b deleted
      5 1 0:5 /y /c deleted
      6 1 0:5 /x /d deleted
      """
    let plan = try plan(lines) { request in
      request.table.annotate(2..<6) {
        $0.isFile = true
        $0.unlinkedAs = $0.id == 6 ? 6 : 3
      }
      request.archivedRoots = [3, 6]
    }
    let contents = plan.steps.compactMap { (step) -> PlaceholderContent? in
      if case .makePlaceholder(_, _, _, let content) = step { content } else { nil }
    }
    #expect(contents == [.saved(3), .link(to: ".mooring-unlinked-1"), .saved(6)])
  }

  @Test func optionsOfControlGroupsAreTheMachines() throws {
    let lines = "1 0 8:1 /r / type=ext4\n2 1 0:9 / /cg type=cgroup2 nsdelegate"
    let host = "20 10 8:1 / / type=ext4\n21 20 0:9 / /sys type=cgroup2 memory_recursiveprot"
    func parameters(_ namespaces: ContainerNamespaces) throws -> [KernelString] {
      for case .createFileSystem(let new, _, 2, _) in try plan(
        lines, namespaces: namespaces, host: host
      ).steps {
        return new.parameters
      }
      return ["none was made"]
    }
    #expect(try parameters(.init()) == ["memory_recursiveprot"])
    #expect(try parameters(.init(own: [.cgroup: 1])).isEmpty)
  }

  @Test func optionsThatBelongToAMountAreKept() throws {
    for type in ["hugetlbfs", "bpf", "proc"] {
      let plan = try plan("1 0 8:1 /r / type=ext4\n2 1 0:9 / /h type=\(type) mode=700")
      let parameters = plan.steps.compactMap { (step) -> [KernelString]? in
        if case .createFileSystem(let new, _, 2, _) = step { new.parameters } else { nil }
      }
      #expect(parameters == [["mode=700"]])
    }
  }

  @Test func aMasterInsideIsNoMatterOfTheHost() throws {
    let host = "20 10 8:1 / / type=ext4"
    func notes(_ lines: String) throws -> Int { try plan(lines, host: host).findings.count }
    #expect(try notes("1 0 8:1 /r / type=ext4 master=5\n2 1 8:1 /r /a type=ext4 shared=5") == 0)
    #expect(try notes("1 0 8:1 /r / type=ext4 master=5") == 1)
  }

  @Test func restoresMakeNamesOfTheirOwn() throws {
    let plan = try plan("1 0 8:1 /r / type=ext4\n2 1 8:1 /r/x /y type=ext4 deleted") {
      $0.restoreName = "one-"
    }
    let names = plan.steps.compactMap { (step) -> KernelString? in
      if case .makePlaceholder(_, let name, _, _) = step { name } else { nil }
    }
    #expect(names == [".mooring-unlinked-one-1"])
  }

  @Test(arguments: [
    ("lowerdir=/l:/m", 0), ("lowerdir=/l:/n", 1), ("lowerdir=l:/m", 1), ("lowerdir=/l/../x:/m", 1),
    ("lowerdir=/l\\:/m", 1), ("upperdir=/l:/n,workdir=/m", 0), ("lowerdir+=/l,lowerdir+=/n", 1),
  ])
  func layersAreThereBeforeTheOverlay(options: String, problems: Int) throws {
    let plan = try plan(
      """
      1 0 8:1 /r / type=ext4
      2 1 0:5 / /l
      3 1 0:9 / /o type=overlay \(options)
      4 1 0:6 / /n
      """
    ) { $0.options.enabledFileSystems = ["overlay"] }
    #expect(plan.problems.map(\.mount) == Array(repeating: 3, count: problems))
    let layers = plan.steps.compactMap { (step) -> NewFileSystem? in
      if case .createFileSystem(let new, _, 3, _) = step { new } else { nil }
    }
    #expect(layers.allSatisfy { $0.layersIn != nil })
  }

  @Test func contentThatIsMissingIsFound() throws {
    let plan = try plan("1 0 8:1 /r / type=ext4\n2 1 0:5 / /a") { $0.archivedDevices = [] }
    #expect(plan.problems.contains { $0.mount == 2 && $0.message.contains("no content") })
    #expect(plan.steps.isEmpty)
  }

  @Test func limitsAreFindings() throws {
    let lines = "1 0 8:1 /r / type=ext4\n2 1 0:5 / /a"
    #expect(try plan(lines) { $0.mountLimit = 2 }.problems.count == 1)
    #expect(try plan(lines) { $0.descriptorLimit = 10 }.problems.count == 1)
  }

  /// Random trees with groups, masters and binds, from fixed seeds.
  @Test(arguments: 1...60) func generated(seed: Int) throws {
    var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15
    func random(_ below: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % below
    }
    var lines = ["1 0 8:1 /r / type=ext4"]
    var points = [1: ""]
    var groups: [Int: (device: Int, master: Int?)] = [:]
    for id in 2...(20 + random(80)) {
      let parent = points.keys.sorted()[random(points.count)]
      let point = points[parent]! + (random(6) == 0 && parent > 1 ? "" : "/d\(random(4))x\(id)")
      points[id] = point
      let device = random(6) + 1
      var line = "\(id) \(parent) 0:\(device) /\(random(2) == 0 ? "" : "s\(random(3))") \(point)"
      if random(2) == 0 {
        let number = device * 10 + random(2)
        if groups[number] == nil {
          groups[number] = (device, random(2) == 0 ? device * 10 + 5 : nil)
        }
        line += " shared=\(number)"
        if let master = groups[number]!.master { line += " master=\(master)" }
      } else if random(3) == 0 {
        line += " shared=\(device * 10 + 5)"
      }
      lines.append(line)
    }
    // Each superblock is shown as a whole somewhere, and each master has a mount.
    for device in 1...6 {
      lines.append("\(200 + device) 1 0:\(device) / /w\(device) shared=\(device * 10 + 5)")
    }
    let plan = try plan(lines.joined(separator: "\n"))
    #expect(plan.problems.isEmpty, "\(plan.problems)")
    check(plan, lines.count)
  }

  @Test func tenThousandMountsTakeStepsInProportion() throws {
    let lines = (2...10_001).map { "\($0) 1 0:5 /s /m/\($0)" }
    let plan = try plan("1 0 8:1 /r / type=ext4\n" + lines.joined(separator: "\n"))
    #expect(plan.steps.count < 40_000)
    #expect(plan.slotCount < 10)
    check(plan, 10_001)
  }
}
