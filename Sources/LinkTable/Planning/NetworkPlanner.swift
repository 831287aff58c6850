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
  /// Names that the restore makes on the host.
  public var namesOnHost: [[UInt8]] = []

  public init() {}
  public var problems: [Finding] { findings.filter { $0.severity == .problem } }
}

/// Orders what has to be done so that each thing is there when it is needed: links below before links
/// above, masters, settings before a link is up, addresses, routes.
struct NetworkPlanner {
  let request: LinkRestoreRequest
  private var result = LinkPlan()

  /// A link of one of the networks.
  private struct Place: Hashable {
    var slot: Int
    var link: Int
  }

  /// Where a link comes from.
  private enum Source {
    case made
    /// It is there: the kernel's, or a script's.
    case found(Link)
    /// It is not there, and nobody makes it.
    case absent
  }

  private enum Lower {
    case none
    case inside(Place)
    case outside
  }

  private var sources: [[Source]] = []
  private var numbers: [LinkNumbers] = []
  private var placeOfIndex: [[Int32: Int]] = []
  private var slotOfInode: [UInt64: Int] = [:]
  private var order: [Place] = []
  private var quietSlots: Set<Int> = []
  private var trustingSlots: Set<Int> = []
  /// Links with IPv6 addresses.
  private var hasIPv6: Set<Place> = []
  /// Links with an address of their own making.
  private var hasLinkLocal: Set<Place> = []
  /// Links that are made with another MTU than they get: a vxlan may have one that its lower link, made
  /// smaller later on, would not let it have.
  private var mtuAtFirst: [Place: UInt32] = [:]
  /// `VXLAN6_HEADROOM`, in bytes.
  private static let vxlanHeadroom: UInt32 = 70

  init(request: LinkRestoreRequest) { self.request = request }

  private var networks: [SavedNetwork] { request.networks }
  private func link(_ place: Place) -> Link { networks[place.slot].table.links[place.link] }
  private func index(_ place: Place) -> Int32 { numbers[place.slot][link(place).index] }

  mutating func plan() -> LinkPlan {
    for (slot, network) in networks.enumerated() {
      slotOfInode[network.inode] = slot
      var places: [Int32: Int] = [:]
      for (place, link) in network.table.links.enumerated() { places[link.index] = place }
      placeOfIndex.append(places)
    }
    findSources()
    giveNumbers()
    sortLinks()
    checkOptions()
    if !result.problems.isEmpty { return result }
    addSteps()
    return result
  }

  // MARK: What is there

  private mutating func findSources() {
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

  private mutating func source(
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
      if link.kind == "veth" {
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

  private mutating func checkEnd(_ end: (name: String, bridge: String?), _ place: Place) {
    let option = "--external 'veth[\(link(place).displayName)]:\(end.name)'"
    if request.host.contains(where: { $0.displayName == end.name }) {
      result.findings.append(
        Finding(
          "\(option): a link \(end.name) is there already", cures: ["choose another name"]))
    }
    if result.namesOnHost.contains(Array(end.name.utf8)) {
      result.findings.append(
        Finding("\(option): two links would be called \(end.name)", cures: ["choose another name"]))
    }
    result.namesOnHost.append(Array(end.name.utf8))
    guard let bridge = end.bridge else { return }
    let found = request.host.first { $0.displayName == bridge }
    if found?.kind != "bridge" {
      result.findings.append(
        Finding(
          "\(option): there is no bridge \(bridge) here",
          cures: ["ip link add \(bridge) type bridge"]))
    }
  }

  private func prefix(_ slot: Int) -> String {
    slot == 0 ? "" : "nested network \(slot): "
  }

  private func lower(of place: Place) -> Lower {
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
  private func underlay(of place: Place) -> Lower {
    link(place).kind == "veth" ? .none : lower(of: place)
  }

  /// The other end of a veth, where it is one that is made here.
  private func peer(of place: Place) -> Place? {
    guard link(place).kind == "veth", case .inside(let other) = lower(of: place),
      case .made = sources[other.slot][other.link]
    else { return nil }
    return other
  }

  // MARK: Numbers and order

  private mutating func giveNumbers() {
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
  private mutating func sortLinks() {
    var isDone: Set<Place> = []
    for (slot, network) in networks.enumerated() {
      for start in network.table.links.indices {
        var path: [Place] = []
        var next: Place? = Place(slot: slot, link: start)
        while let place = next, isDone.insert(place).inserted {
          path.append(place)
          next = if case .inside(let lower) = underlay(of: place) { lower } else { nil }
        }
        order += path.reversed()
      }
    }
  }

  private mutating func checkOptions() {
    let names = Set(networks.flatMap { $0.table.links.map(\.displayName) })
    let keys = Set(networks.compactMap(\.externalKey))
    for option in request.options.external {
      switch option {
      case .veth(let inside, _, _) where !names.contains(inside),
        .macvlan(let inside, _) where !names.contains(inside):
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

  // MARK: Steps

  private mutating func add(_ slot: Int, _ action: LinkStep.Action, _ subject: String) {
    result.steps.append(LinkStep(NetworkSlot(slot), action, subject))
  }

  private var settings: [[[UInt8]: [[UInt8]: [UInt8]]]] {
    networks.map { network in
      var folders: [[UInt8]: [[UInt8]: [UInt8]]] = [:]
      for sysctl in network.table.sysctls {
        guard let slash = sysctl.path.lastIndex(of: 0x2F) else { continue }
        folders[Array(sysctl.path[..<slash]), default: [:]][
          Array(sysctl.path[(slash + 1)...])] = sysctl.value
      }
      return folders
    }
  }

  private static let secret = Array("stable_secret".utf8)
  private static let linkFolders = ["ipv4/conf/", "ipv6/conf/", "ipv4/neigh/", "ipv6/neigh/"]
  /// What is written last: while links are made, nothing asks for duplicate detection, and new links make
  /// themselves no IPv6 addresses.
  private static let last = ["all/accept_dad", "default/accept_dad", "default/addr_gen_mode"].map {
    Array("ipv6/conf/\($0)".utf8)
  }
  private static let noDetection = Sysctl(path: last[1], value: [0x30])
  private static let noAddresses = Sysctl(path: last[2], value: [0x31])

  /// Whether links that are made in a network are quiet by its defaults: a message for each, after it is
  /// up, would cost the kernel a walk over all IPv6 routes.
  private func isQuiet(_ slot: Int) -> Bool {
    saysSetting(slot, Self.noAddresses) && isMost(slot) { link($0).isUp }
  }

  /// Whether links that are made ask for no duplicate detection by its defaults, not each by its own.
  private func isTrusting(_ slot: Int) -> Bool {
    saysSetting(slot, Self.noDetection) && isMost(slot) { hasIPv6.contains($0) }
  }

  private func saysSetting(_ slot: Int, _ setting: Sysctl) -> Bool {
    networks[slot].table.sysctls.contains { $0.path == setting.path }
  }

  /// Whether something is true of most links that are made.
  private func isMost(_ slot: Int, _ condition: (Place) -> Bool) -> Bool {
    var made = 0
    var count = 0
    for link in networks[slot].table.links.indices {
      let place = Place(slot: slot, link: link)
      guard isMade(place) else { continue }
      made += 1
      if condition(place) { count += 1 }
    }
    return 2 * count > made
  }

  private func isMade(_ place: Place) -> Bool {
    if case .made = sources[place.slot][place.link] { true } else { false }
  }

  private mutating func addSteps() {
    addNamespaceIDs()
    findIPv6()
    quietSlots = Set(networks.indices.filter(isQuiet))
    trustingSlots = Set(networks.indices.filter(isTrusting))
    let present = order.filter {
      if case .absent = sources[$0.slot][$0.link] { false } else { true }
    }
    for (slot, network) in networks.enumerated() where network.externalKey == nil {
      let linkSettings = Set(
        network.table.links.flatMap { link in
          Self.linkFolders.map { Array($0.utf8) + link.name }
        })
      let common = network.table.sysctls.filter { sysctl in
        guard let slash = sysctl.path.lastIndex(of: 0x2F) else { return true }
        return !linkSettings.contains(Array(sysctl.path[..<slash]))
          && !Self.last.contains(sysctl.path)
      }
      if !common.isEmpty {
        add(slot, .write(common), "write \(common.count) settings of the network")
      }
      if quietSlots.contains(slot) {
        add(
          slot, .write([Self.noAddresses]), "keep new links from making themselves IPv6 addresses")
      }
      if trustingSlots.contains(slot) {
        add(slot, .write([Self.noDetection]), "let new links trust their IPv6 addresses")
      }
    }
    for place in present where link(place).kind == "vxlan" {
      let mtu = (link(place).mtu ?? 0).addingReportingOverflow(Self.vxlanHeadroom).partialValue
      var next = place
      while case .inside(let lower) = underlay(of: next), mtuAtFirst[lower] ?? 0 < mtu,
        case .made = sources[lower.slot][lower.link], mtu > link(lower).mtu ?? 0
      {
        mtuAtFirst[lower] = min(mtu, 65535)
        next = lower
      }
    }
    var made: Set<Place> = []
    for place in present { addCreation(place, &made) }
    for place in present { addConfiguration(place) }
    for place in present { addPort(place) }
    addVLANs()
    addLinkSettings(present)
    for place in present where !isMade(place) || link(place).isUp || link(place).kind == "tun" {
      add(
        place.slot, .request(LinkMessage.flags(link(place), index(place)), flags: 0),
        "set the flags of \(name(place))\(link(place).isUp ? ", up" : "")")
    }
    addRecords(present)
    for place in present { addAddressGeneration(place) }
    for (slot, network) in networks.enumerated() {
      let last = network.table.sysctls.filter { Self.last.contains($0.path) }
      if !last.isEmpty { add(slot, .write(last), "write \(last.count) settings of IPv6") }
      for (filter, bytes) in network.table.packetFilters.sorted(by: {
        $0.key.rawValue < $1.key.rawValue
      }) {
        let rules = filter == .nftables ? PacketFilterText.withoutLocks(bytes) : bytes
        if rules.allSatisfy({ [0x0A, 0x20].contains($0) }) { continue }
        add(slot, .loadPacketFilter(filter, rules), "load the \(filter.rawValue) rules")
      }
    }
  }

  private mutating func findIPv6() {
    for slot in networks.indices {
      for record in networks[slot].table.addresses {
        // IFA_ADDRESS; fe80::/10 is of the link's own making.
        guard let address = record.attributes[1]?.payload, address.count == 16,
          let link = placeOfIndex[slot][record.number(at: 4)]
        else { continue }
        hasIPv6.insert(Place(slot: slot, link: link))
        if address[0] == 0xFE, address[1] & 0xC0 == 0x80 {
          hasLinkLocal.insert(Place(slot: slot, link: link))
        }
      }
    }
  }

  /// How new links of a network make themselves IPv6 addresses.
  private func defaultMode(_ slot: Int) -> Link.AddressGeneration? {
    let value = networks[slot].table.sysctls.first { $0.path == Self.noAddresses.path }?.value
    return value.flatMap { UInt8(String(decoding: $0, as: UTF8.self)) }.flatMap {
      Link.AddressGeneration(rawValue: $0)
    }
  }

  private func name(_ place: Place) -> String {
    let link = link(place)
    return "link \(link.displayName) (\(link.kind ?? "no kind"), index \(index(place)))"
  }

  private mutating func addNamespaceIDs() {
    for (slot, network) in networks.enumerated() {
      for known in network.table.namespaceIDs.sorted(by: { $0.id < $1.id }) {
        guard let other = slotOfInode[known.inode] else { continue }
        add(
          slot, .nameNamespace(NetworkSlot(other), id: known.id),
          "give nested network \(other) the number \(known.id)")
      }
    }
  }

  private mutating func addCreation(_ place: Place, _ made: inout Set<Place>) {
    guard case .made = sources[place.slot][place.link], made.insert(place).inserted else { return }
    let link = link(place)
    let kind = link.kind ?? ""
    let subject = "create \(name(place))"
    let flags = RequestFlag.create | RequestFlag.exclusive
    if kind == "tun" {
      add(
        place.slot,
        .makeTunnel(TunnelDevice(link: link, index: index(place))), subject)
      // What the device is not made with.
      add(
        place.slot,
        .request(
          LinkMessage.message(
            index(place),
            LinkMessage.basics(link).filter {
              ![LinkAttribute.name, .sendQueues, .receiveQueues].map(\.rawValue).contains($0.type)
            }), flags: 0), "configure \(name(place))")
      return
    }
    if kind == "veth" {
      if let other = peer(of: place) {
        made.insert(other)
        add(
          place.slot,
          .createPair(
            pair(place, basics(other), other),
            peerIn: NetworkSlot(other.slot)), "\(subject) and \(name(other))")
      } else if let end = request.options.vethEnd(link.displayName) {
        addOutsideEnd(place, end)
      } else {
        // Its other end is gone, and the kernel makes none alone: it would have no carrier either way.
        add(
          place.slot,
          .createPair(pair(place, []), peerIn: NetworkSlot(place.slot)), subject)
      }
      return
    }
    let numbers: LinkNumbers
    var attributes = basics(place)
    switch lower(of: place) {
    case .inside(let lower):
      numbers = self.numbers[lower.slot]
      // Where IFLA_LINK was silent, the parameters name it.
      if link.lower != nil {
        attributes.append(NetlinkAttribute(LinkAttribute.link.rawValue, index(lower)))
      }
    case .outside:
      guard let name = request.options.macvlanLower(link.displayName),
        let lower = request.host.first(where: { $0.displayName == name })
      else { return }
      attributes.append(NetlinkAttribute(LinkAttribute.link.rawValue, lower.index))
      attributes.append(
        LinkMessage.info(kind, LinkMessage.parameters(link, self.numbers[place.slot])))
      result.steps.append(
        LinkStep(
          .host,
          .create(
            request(attributes, place), in: NetworkSlot(place.slot)),
          "\(subject) on \(name)"))
      return
    case .none: numbers = self.numbers[place.slot]
    }
    if let id = link[.linkNamespaceID] { attributes.append(id) }
    attributes.append(LinkMessage.info(kind, LinkMessage.parameters(link, numbers)))
    add(place.slot, .request(request(attributes, place), flags: flags), subject)
  }

  private func basics(_ place: Place) -> [NetlinkAttribute] {
    LinkMessage.basics(link(place), mtu: mtuAtFirst[place])
  }

  /// The message that makes a link, with all its flags but one: it is down.
  private func request(_ attributes: [NetlinkAttribute], _ place: Place) -> NetlinkRecord {
    let mask = LinkMessage.settableFlags & ~1
    return LinkMessage.message(
      index(place), attributes, flags: link(place).flags & mask, change: mask)
  }

  /// `VETH_INFO_PEER`: a `struct ifinfomsg` and attributes.
  ///
  /// - Parameter made: the other end, where it is one of the links.
  private func pair(
    _ place: Place, _ peer: [NetlinkAttribute], _ made: Place? = nil
  ) -> NetlinkRecord {
    let other = made.map { request(peer, $0) } ?? LinkMessage.message(0, peer)
    return request(
      basics(place)
        + [LinkMessage.info("veth", [NetlinkAttribute(1, other.payload)])], place)
  }

  private mutating func addOutsideEnd(_ place: Place, _ end: (name: String, bridge: String?)) {
    let link = link(place)
    var peer = [NetlinkAttribute(LinkAttribute.name.rawValue, text: Array(end.name.utf8))]
    if let mtu = link[.mtu] { peer.append(mtu) }
    add(
      place.slot, .createPair(pair(place, peer), peerIn: .host),
      "create \(name(place)) with its other end \(end.name) on the host")
    var change = [NetlinkAttribute(LinkAttribute.name.rawValue, text: Array(end.name.utf8))]
    if let bridge = request.host.first(where: { $0.displayName == end.bridge }) {
      change.append(NetlinkAttribute(LinkAttribute.master.rawValue, bridge.index))
    }
    result.steps.append(
      LinkStep(
        .host,
        .request(LinkMessage.message(0, change, flags: 1, change: 1), flags: 0),
        "bring \(end.name) up" + (end.bridge.map { " as a port of \($0)" } ?? "")))
  }

  private mutating func addConfiguration(_ place: Place) {
    let link = link(place)
    var existing: Link?
    if case .found(let link) = sources[place.slot][place.link] { existing = link }
    for request in LinkMessage.configuration(link, index(place), existing: existing) {
      add(
        place.slot,
        .request(request.record, flags: request.flags, tolerating: request.tolerating),
        "configure \(name(place))")
    }
    if link.kind == Wireguard.kind, isMade(place) {
      for request in Wireguard.requests(link, index(place)) {
        add(place.slot, .configureWireguard(request), "configure the peers of \(name(place))")
      }
    }
    if mtuAtFirst[place] != nil, let mtu = LinkMessage.mtu(link, index(place)) {
      add(place.slot, .request(mtu, flags: 0), "set the MTU of \(name(place))")
    }
    // Until its addresses are there, the kernel shall make none.
    let isQuiet = isMade(place) && (quietSlots.contains(place.slot) || !link.isUp)
    if let mode = link.addressGeneration, mode != .none, !link.isLoopback, !isQuiet {
      add(
        place.slot,
        .request(
          LinkMessage.addressGeneration(index(place), .none), flags: 0, tolerating: [97]),
        "keep \(name(place)) from making itself IPv6 addresses")
    }
  }

  private mutating func addAddressGeneration(_ place: Place) {
    let link = link(place)
    let path = Array("ipv6/conf/".utf8) + link.name + [0x2F] + Self.secret
    if let secret = networks[place.slot].table.sysctls.first(where: { $0.path == path }) {
      add(place.slot, .write([secret]), "give \(name(place)) its secret of addresses")
    }
    guard let mode = link.addressGeneration, !link.isLoopback else { return }
    let isQuiet = isMade(place) && quietSlots.contains(place.slot)
    if mode == .none && isQuiet { return }
    // Made with the network's own mode, and never told another one.
    if isMade(place), !isQuiet, !link.isUp, mode == defaultMode(place.slot) { return }
    // The file has the link make its address, which is there already; a message would not, but see isQuiet.
    if mode == .eui64, link.isUp, hasLinkLocal.contains(place) {
      add(
        place.slot,
        .write([
          Sysctl(
            path: Array("ipv6/conf/".utf8) + link.name + Array("/addr_gen_mode".utf8),
            value: [0x30])
        ]), "let \(name(place)) make itself IPv6 addresses")
      return
    }
    add(
      place.slot,
      .request(LinkMessage.addressGeneration(index(place), mode), flags: 0, tolerating: [97]),
      "let \(name(place)) make itself IPv6 addresses")
  }

  private mutating func addPort(_ place: Place) {
    let link = link(place)
    guard let master = link.master, master != 0, let other = placeOfIndex[place.slot][master]
    else { return }
    let masterPlace = Place(slot: place.slot, link: other)
    if case .absent = sources[masterPlace.slot][masterPlace.link] { return }
    add(
      place.slot, .request(LinkMessage.master(index(place), index(masterPlace)), flags: 0),
      "make \(name(place)) a port of \(self.link(masterPlace).displayName)")
    if let port = LinkMessage.port(link, index(place), numbers[place.slot]) {
      add(place.slot, .request(port, flags: 0), "configure the port \(name(place))")
    }
  }

  private mutating func addVLANs() {
    for (slot, network) in networks.enumerated() {
      for record in network.table.vlans {
        let saved: Int32 = record.number(at: 4)
        guard let place = placeOfIndex[slot][saved] else { continue }
        let link = network.table.links[place]
        let bridge =
          link.kind == "bridge"
          ? link : link.master.flatMap { placeOfIndex[slot][$0] }.map { network.table.links[$0] }
        let own = bridge?.kindData[39]?.u16 ?? 1
        let requests = LinkMessage.vlans(
          record, numbers[slot][saved], isBridge: link.kind == "bridge", ownID: own)
        for request in requests {
          add(
            slot, .request(request.record, flags: 0, tolerating: request.tolerating),
            "set the VLANs of \(link)")
        }
      }
    }
  }

  /// IPv6 addresses that had passed duplicate detection come back without it.
  private mutating func addLinkSettings(_ present: [Place]) {
    let settings = settings
    for place in present {
      let link = link(place)
      var list = LinkSettings.different(link, settings[place.slot])
      for prefix in Self.linkFolders {
        let folder = Array(prefix.utf8) + link.name
        // In the order of their names: what is in finer units comes after its like.
        let values = (settings[place.slot][folder] ?? [:]).sorted {
          $0.key.lexicographicallyPrecedes($1.key)
        }
        for (name, value) in values where name != Self.secret {
          list.append(Sysctl(path: folder + [0x2F] + name, value: value))
        }
      }
      if let own = detection(of: place, settings[place.slot]) {
        list.removeAll { $0.path == own.path }
        if !isMade(place) || !trustingSlots.contains(place.slot) {
          list.append(Sysctl(path: own.path, value: [0x30]))
        }
      }
      if !list.isEmpty { add(place.slot, .write(list), "write settings of \(name(place))") }
    }
  }

  /// The setting `accept_dad` of a link, where it asks for detection.
  private func detection(
    of place: Place, _ settings: [[UInt8]: [[UInt8]: [UInt8]]]
  ) -> Sysctl? {
    guard hasIPv6.contains(place) || isMade(place) && trustingSlots.contains(place.slot) else {
      return nil
    }
    let link = link(place)
    let folder = Array("ipv6/conf/".utf8) + link.name
    let name = Array("accept_dad".utf8)
    let value =
      LinkSettings.values(of: link).ipv6.first { $0.path == "accept_dad" }.map {
        Array(String($0.value).utf8)
      } ?? settings[folder]?[name]
    guard let value, value != [0x30], value.first != 0x2D else { return nil }
    return Sysctl(path: folder + [0x2F] + name, value: value)
  }

  private mutating func addRecords(_ present: [Place]) {
    let settings = settings
    for (slot, network) in networks.enumerated() where network.externalKey == nil {
      let own = Set(present.filter { $0.slot == slot }.map { index($0) })
      let links: Set<Int32>? = request.isFresh ? nil : own
      func records(_ kind: RecordKind) -> [NetlinkRecord] {
        // What was about a link that is not there now cannot be.
        numbers[slot].renumbered(kind.records(of: network.table), kind).filter {
          kind.links($0).allSatisfy(own.contains)
        }
      }
      func settle(_ kind: RecordKind) {
        let list = records(kind)
        if request.isFresh || !list.isEmpty {
          add(
            slot, .settle(kind, list, links: links),
            "set \(list.count) \(list.count == 1 ? kind.noun : plural(kind.noun))")
        }
      }
      settle(.addresses)
      for place in present where place.slot == slot {
        if let own = detection(of: place, settings[slot]) {
          add(slot, .write([own]), "write the setting accept_dad of \(name(place))")
        }
      }
      settle(.forwarding)
      for record in network.table.multicast {
        for entry in LinkMessage.multicast(record, numbers[slot]) {
          add(
            slot,
            .request(entry, flags: RequestFlag.create | RequestFlag.exclusive, tolerating: [17]),
            "add a multicast entry")
        }
      }
      settle(.neighbours)
      settle(.nextHops)
      settle(.rules)
      settle(.routes)
    }
  }

  private func plural(_ noun: String) -> String {
    noun.hasSuffix("ss") ? noun + "es" : noun.hasSuffix("y") ? noun.dropLast() + "ies" : noun + "s"
  }
}

extension TunnelDevice {
  /// `IFLA_TUN_…` as `TUNSETIFF` takes them.
  init(link: Link, index: Int32) {
    let data = link.kindData
    var flags = UInt32(data[3]?.u8 ?? 1)
    func set(_ flag: UInt32, if isSet: Bool) { if isSet { flags |= flag } }
    set(0x1000, if: data[4]?.u8 == 0)
    set(0x4000, if: data[5]?.u8 ?? 0 != 0)
    set(0x100, if: data[7]?.u8 ?? 0 != 0)
    self.init(
      name: link.name, flags: flags, owner: data[1]?.u32, group: data[2]?.u32, index: index)
  }
}
