import RestorePlan

/// What a restore of networks is asked for.
public struct LinkRestoreRequest: Sendable {
  public var networks: [SavedNetwork]
  /// The links that each namespace has already; the loopback in a new one.
  public var existing: [[Link]]
  /// The links of the engine's own namespace.
  public var host: [Link]
  public var options = LinkOptions()
  /// A script is still to bring links: what is missing is no problem yet.
  public var awaitsScript = false
  /// The namespaces were made for this restore: nobody else's records are in them.
  public var isFresh = true
  /// What the kernel makes of settings here; `nil` where it cannot be asked.
  public var kernel: KernelSettings?
  /// Which links the kernel can make; `nil` where it cannot be asked.
  public var kernelLinks: KernelLinks?

  public init(networks: [SavedNetwork], existing: [[Link]], host: [Link]) {
    self.networks = networks
    self.existing = existing
    self.host = host
  }

  /// Decides everything; changes nothing.
  public func plan() -> LinkPlan {
    var planner = NetworkPlanner(request: self)
    return planner.plan()
  }
}

/// How networks are restored.
public struct LinkPlan: Sendable {
  public var steps: [LinkStep] = []
  public var findings: [Finding] = []

  public init() {}
  public var problems: [Finding] { findings.filter { $0.severity == .problem } }
}

/// Orders what has to be done so that each thing is there when it is needed: links below before links
/// above, masters, settings before a link is up, addresses, routes.
struct NetworkPlanner {
  let request: LinkRestoreRequest
  var result = LinkPlan()

  /// A link of one of the networks.
  struct Place: Hashable {
    var slot: Int
    var link: Int
  }

  /// Where a link comes from.
  enum Source {
    case made
    /// It is there: the kernel's, or a script's.
    case found(Link)
    /// It is not there, and nobody makes it.
    case absent
  }

  enum Lower {
    case none
    case inside(Place)
    case outside
  }

  var sources: [[Source]] = []
  var numbers: [LinkNumbers] = []
  var placeOfIndex: [[Int32: Int]] = []
  var slotOfInode: [UInt64: Int] = [:]
  var order: [Place] = []
  /// Names that the restore makes on the host.
  var namesOnHost: Set<String> = []
  /// The settings of each network by folder and name, as they were saved.
  var settings: [[[UInt8]: [[UInt8]: Sysctl]]] = []
  /// Those of each network that are written.
  var writes: [SettingsPlan] = []
  var quietSlots: Set<Int> = []
  var trustingSlots: Set<Int> = []
  /// Links with IPv6 addresses.
  var hasIPv6: Set<Place> = []
  /// Links with the address that they would make themselves now.
  var hasLinkLocal: Set<Place> = []
  /// Links that are made with another MTU than they get: a vxlan may have one that its lower link, made
  /// smaller later on, would not let it have.
  var mtuAtFirst: [Place: UInt32] = [:]
  /// Links that are up before their flags are set.
  var raised: Set<Place> = []
  /// The highest index on the host, of links that are there and of those that the restore gives one.
  var lastOnHost: Int32
  /// `VXLAN6_HEADROOM`, in bytes.
  static let vxlanHeadroom: UInt32 = 70

  init(request: LinkRestoreRequest) {
    self.request = request
    lastOnHost = request.host.map(\.index).max() ?? 0
  }

  var networks: [SavedNetwork] { request.networks }
  func link(_ place: Place) -> Link { networks[place.slot].table.links[place.link] }
  func index(_ place: Place) -> Int32 { numbers[place.slot][link(place).index] }

  mutating func plan() -> LinkPlan {
    for (slot, network) in networks.enumerated() {
      slotOfInode[network.inode] = slot
      settings.append(Self.byFolder(network.table.sysctls))
      writes.append(SettingsPlan(network, request.kernel))
      var places: [Int32: Int] = [:]
      for (place, link) in network.table.links.enumerated() { places[link.index] = place }
      placeOfIndex.append(places)
    }
    findSources()
    giveNumbers()
    sortLinks()
    checkOptions()
    result.findings += request.linkFindings() + request.settingFindings()
    if !result.problems.isEmpty { return result }
    addSteps()
    return result
  }

  static func byFolder(_ settings: [Sysctl]) -> [[UInt8]: [[UInt8]: Sysctl]] {
    var folders: [[UInt8]: [[UInt8]: Sysctl]] = [:]
    for setting in settings {
      guard let slash = setting.path.lastIndex(of: 0x2F) else { continue }
      folders[Array(setting.path[..<slash]), default: [:]][
        Array(setting.path[(slash + 1)...])] = setting
    }
    return folders
  }

  // MARK: What is there

  mutating func findSources() {
    for (slot, network) in networks.enumerated() {
      var named: [[UInt8]: Link] = [:]
      for link in request.existing[slot] {
        named[link.name] = link
        for name in link.alternativeNames { named[name] = link }
      }
      var list: [Source] = []
      for (place, link) in network.table.links.enumerated() {
        for name in link.alternativeNames {
          guard let other = named[name], other.name != link.name else { continue }
          result.findings.append(
            Finding(
              "\(prefix(slot))\(link): its alternative name \(printable(name)) is one of \(other)",
              cures: ["rename or remove that link, or restore into another namespace"]))
        }
        list.append(
          source(Place(slot: slot, link: place), network.classes[place], named[link.name]))
      }
      sources.append(list)
    }
  }

  mutating func source(
    _ place: Place, _ linkClass: LinkClass, _ existing: Link?
  ) -> Source {
    let link = link(place)
    func problem(_ text: String, _ cures: [String]) {
      result.findings.append(Finding("\(prefix(place.slot))\(link): \(text)", cures: cures))
    }
    switch linkClass {
    case .madeByKernel:
      if let existing { return .found(existing) }
      // The kernel makes it when its module comes.
      return .absent
    case .externalByPlugin, .externalByKey:
      if let existing { return .found(existing) }
      if !request.awaitsScript {
        problem(
          "it comes from outside, and the setup-namespaces script did not bring it",
          ["a script that brings a link of this name: --action-script PATH"])
      }
      return .absent
    case .native: break
    }
    if case .outside = lower(of: place) {
      if link.isPair {
        if let end = request.options.vethEnd(link.displayName) {
          checkEnd(end, place)
        } else if let existing {
          return .found(existing)
        } else if request.awaitsScript {
          return .absent
        } else {
          problem(
            "its other end is outside",
            [
              "--external 'veth[\(link.displayName)]:OUT', OUT being the name that end shall have here",
              "a setup-namespaces script that brings a link of this name: --action-script PATH",
            ])
        }
      } else if let lower = request.options.macvlanLower(link.displayName) {
        if !request.host.contains(where: { $0.displayName == lower }) {
          problem("there is no link \(lower) here for it to lie on", ["name one that is there"])
        }
      } else if let existing {
        return .found(existing)
      } else if request.awaitsScript {
        return .absent
      } else {
        problem(
          "the link it lies on is outside",
          [
            "--external 'macvlan[\(link.displayName)]:LOWER', LOWER being a link here",
            "a setup-namespaces script that brings a link of this name: --action-script PATH",
          ])
      }
    }
    if existing != nil {
      problem(
        "a link of this name is there already",
        ["rename or remove it, or restore into another namespace"])
    }
    guard let kind = link.kind, LinkKind.named[kind] != nil else {
      problem(
        "its kind\(link.kind.map { " \($0)" } ?? "") cannot be created",
        ["dump again, with a plugin that answers for it: -L DIR"])
      return .absent
    }
    return .made
  }

  mutating func checkEnd(_ end: (name: String, bridge: String?), _ place: Place) {
    let option = "--external 'veth[\(link(place).displayName)]:\(end.name)'"
    if request.host.contains(where: { $0.displayName == end.name }) {
      result.findings.append(
        Finding(
          "\(option): a link \(end.name) is there already", cures: ["choose another name"]))
    }
    if !namesOnHost.insert(end.name).inserted {
      result.findings.append(
        Finding("\(option): two links would be called \(end.name)", cures: ["choose another name"]))
    }
    guard let bridge = end.bridge else { return }
    let found = request.host.first { $0.displayName == bridge }
    if found?.kind != "bridge" {
      result.findings.append(
        Finding(
          "\(option): there is no bridge \(bridge) here",
          cures: ["ip link add \(bridge) type bridge"]))
    }
  }

  func prefix(_ slot: Int) -> String {
    slot == 0 ? "" : "nested network \(slot): "
  }

  /// Where the link below is, or a veth's other end. That is outside too where nobody makes it here: the
  /// kernel makes no veth alone.
  func lower(of place: Place) -> Lower {
    let found = savedLower(of: place)
    guard link(place).isPair else { return found }
    if case .inside(let other) = found, networks[other.slot].classes[other.link] == .native {
      return found
    }
    return .outside
  }

  func savedLower(of place: Place) -> Lower {
    let link = link(place)
    if let id = link.lowerNamespace {
      let known = networks[place.slot].table.namespaceIDs.first { $0.id == id }
      guard let slot = known.flatMap({ slotOfInode[$0.inode] }), networks[slot].externalKey == nil
      else { return .outside }
      guard let index = link.lower else { return .none }
      guard let other = placeOfIndex[slot][index] else { return .outside }
      return .inside(Place(slot: slot, link: other))
    }
    guard let index = link.lower ?? link.lowerByKind, index != link.index,
      let other = placeOfIndex[place.slot][index]
    else { return .none }
    return .inside(Place(slot: place.slot, link: other))
  }

  /// What a link lies on; a veth's other end is none of that.
  func underlay(of place: Place) -> Lower {
    link(place).isPair ? .none : lower(of: place)
  }

  /// Links that must be there before this one.
  func needed(by place: Place) -> [Place] {
    var needed: [Place] = []
    if case .inside(let lower) = underlay(of: place) { needed.append(lower) }
    let link = link(place)
    guard let members = link.kind.flatMap({ LinkKind.named[$0]?.members }), !members.isEmpty else {
      return needed
    }
    return needed
      + link.kindData.list.compactMap { attribute in
        guard members.contains(attribute.type), let index = attribute.i32 else { return nil }
        return placeOfIndex[place.slot][index].map { Place(slot: place.slot, link: $0) }
      }
  }

  /// The other end of a veth, where it is one that is made here.
  func peer(of place: Place) -> Place? {
    guard link(place).isPair, case .inside(let other) = lower(of: place),
      case .made = sources[other.slot][other.link]
    else { return nil }
    return other
  }

  // MARK: Numbers and order

  mutating func giveNumbers() {
    for (slot, network) in networks.enumerated() {
      var taken = Set(request.existing[slot].map(\.index))
      var next = max(taken.max() ?? 0, network.table.links.map(\.index).max() ?? 0)
      var numbers: [Int32: Int32] = [:]
      var moved: [String] = []
      for (place, link) in network.table.links.enumerated() {
        switch sources[slot][place] {
        case .found(let existing): numbers[link.index] = existing.index
        case .absent: break
        case .made:
          var index = link.index
          if taken.contains(index) {
            (next, _) = next.addingReportingOverflow(1)
            index = next
            moved.append("\(link) becomes \(index)")
          }
          taken.insert(index)
          numbers[link.index] = index
        }
      }
      if !moved.isEmpty {
        result.findings.append(
          Finding(
            "\(prefix(slot))indices of links are taken: \(moved.joined(separator: ", "))",
            severity: .note))
      }
      self.numbers.append(LinkNumbers(numbers))
    }
  }

  /// What lies below comes first. A loop, which only a lying image has, is cut.
  mutating func sortLinks() {
    var isDone: Set<Place> = []
    for (slot, network) in networks.enumerated() {
      for start in network.table.links.indices {
        // No recursion: links may lie on each other by the thousand.
        var waiting = [(place: Place(slot: slot, link: start), isReady: false)]
        while let (place, isReady) = waiting.popLast() {
          if isReady {
            order.append(place)
          } else if isDone.insert(place).inserted {
            waiting.append((place, true))
            for other in needed(by: place).reversed() where !isDone.contains(other) {
              waiting.append((other, false))
            }
          }
        }
      }
    }
  }

  mutating func checkOptions() {
    let names = Set(networks.flatMap { $0.table.links.map(\.displayName) })
    let keys = Set(networks.compactMap(\.externalKey))
    for option in request.options.external {
      switch option {
      case .veth(let inside, _, _) where !names.contains(inside),
        .macvlan(let inside, _) where !names.contains(inside),
        .link(let inside, _) where !names.contains(inside),
        .ring(let inside, _) where !names.contains(inside):
        result.findings.append(
          Finding(
            "--external '\(option)' matches no link of the images", cures: ["take it away"]))
      case .networkForKey(let key, _) where !keys.contains(key):
        result.findings.append(
          Finding(
            "--external '\(option)' matches no network of the images", cures: ["take it away"]))
      default: break
      }
    }
  }
}
