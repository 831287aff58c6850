/// The steps, in their order.
extension NetworkPlanner {
  mutating func add(_ slot: Int, _ action: LinkStep.Action, _ subject: String) {
    result.steps.append(LinkStep(NetworkSlot(slot), action, subject))
  }

  func isMade(_ place: Place) -> Bool {
    if case .made = sources[place.slot][place.link] { true } else { false }
  }

  mutating func addSteps() {
    addNamespaceIDs()
    findIPv6()
    quietSlots = Set(networks.indices.filter(isQuiet))
    trustingSlots = Set(networks.indices.filter(isTrusting))
    let present = order.filter {
      if case .absent = sources[$0.slot][$0.link] { false } else { true }
    }
    for (slot, network) in networks.enumerated() where network.externalKey == nil {
      let common = writes[slot].common.filter { !Self.last.contains($0.path) }
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
    for place in present {
      if let backup = LinkMessage.backup(link(place), index(place), numbers[place.slot]) {
        add(place.slot, .request(backup, flags: 0), "name the backup port of \(name(place))")
      }
    }
    for place in present where isMade(place) {
      if let ports = LinkMessage.namedPorts(link(place), index(place), numbers[place.slot]) {
        add(place.slot, .request(ports, flags: 0), "name the ports of \(name(place))")
      }
    }
    addVLANs()
    addLinkSettings(present)
    // Bonds bring their ports up.
    for place in present
    where !isMade(place) || link(place).isUp || link(place).kind == "tun"
      || link(place).portKind == Bond.kind || raised.contains(place)
    {
      add(
        place.slot, .request(LinkMessage.flags(link(place), index(place)), flags: 0),
        "set the flags of \(name(place))\(link(place).isUp ? ", up" : "")")
    }
    addRecords(present)
    addCarrierWaits(present)
    for place in present { addAddressGeneration(place) }
    for (slot, network) in networks.enumerated() {
      let last = writes[slot].common.filter { Self.last.contains($0.path) }
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

  func name(_ place: Place) -> String {
    let link = link(place)
    return "link \(link.displayName) (\(link.kind ?? "no kind"), index \(index(place)))"
  }

  mutating func addNamespaceIDs() {
    for (slot, network) in networks.enumerated() {
      for known in network.table.namespaceIDs.sorted(by: { $0.id < $1.id }) {
        guard let other = slotOfInode[known.inode] else { continue }
        add(
          slot, .nameNamespace(NetworkSlot(other), id: known.id),
          "give nested network \(other) the number \(known.id)")
      }
    }
  }

  mutating func addCreation(_ place: Place, _ made: inout Set<Place>) {
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
    if link.isPair {
      if let other = peer(of: place) {
        made.insert(other)
        let (first, second) = Netkit.isSecondary(link) ? (other, place) : (place, other)
        add(
          first.slot,
          .createPair(
            pair(first, basics(second), second),
            peerIn: NetworkSlot(second.slot)), "create \(name(first)) and \(name(second))")
      } else if let end = request.options.vethEnd(link.displayName) {
        addOutsideEnd(place, end)
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

  func basics(_ place: Place) -> [NetlinkAttribute] {
    LinkMessage.basics(link(place), mtu: mtuAtFirst[place])
  }

  /// The message that makes a link, with all its flags but one: it is down.
  func request(_ attributes: [NetlinkAttribute], _ place: Place) -> NetlinkRecord {
    let mask = LinkMessage.settableFlags & ~1
    return LinkMessage.message(
      index(place), attributes, flags: link(place).flags & mask, change: mask)
  }

  /// `VETH_INFO_PEER` and its like: a `struct ifinfomsg` and attributes.
  ///
  /// - Parameter made: the other end, where it is one of the links.
  func pair(
    _ place: Place, _ peer: [NetlinkAttribute], _ made: Place? = nil
  ) -> NetlinkRecord {
    let other = made.map { request(peer, $0) } ?? LinkMessage.message(0, peer)
    return request(
      basics(place)
        + [
          LinkMessage.info(
            link(place).kind ?? "", pairParameters(place) + [NetlinkAttribute(1, other.payload)])
        ], place)
  }

  private func pairParameters(_ place: Place) -> [NetlinkAttribute] {
    LinkMessage.parameters(link(place), numbers[place.slot])
  }

  mutating func addOutsideEnd(_ place: Place, _ end: (name: String, bridge: String?)) {
    let link = link(place)
    var peer = [NetlinkAttribute(LinkAttribute.name.rawValue, text: Array(end.name.utf8))]
    if let mtu = link[.mtu] { peer.append(mtu) }
    let subject = "create \(name(place)) with its other end \(end.name) on the host"
    if Netkit.isSecondary(link) {
      // The end outside comes first. The kernel takes the index of the second only beside one of the first.
      lastOnHost += 1
      let inside = request(basics(place), place)
      let data =
        Netkit.mirrored(pairParameters(place)) + [NetlinkAttribute(1, inside.payload)]
      let message = LinkMessage.message(
        lastOnHost, peer + [LinkMessage.info(Netkit.kind, data)])
      result.steps.append(
        LinkStep(.host, .createPair(message, peerIn: NetworkSlot(place.slot)), subject))
    } else {
      // Asked for on the host: since 7.0 who makes a pair needs rights over both namespaces, which the
      // container's own user has not.
      result.steps.append(
        LinkStep(.host, .create(pair(place, peer), in: NetworkSlot(place.slot)), subject))
    }
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

  mutating func addConfiguration(_ place: Place) {
    let link = link(place)
    var existing: Link?
    if case .found(let link) = sources[place.slot][place.link] { existing = link }
    for request in LinkMessage.configuration(link, index(place), existing: existing) {
      add(
        place.slot,
        .request(request.record, flags: request.flags),
        "configure \(name(place))")
    }
    if link.kind == Wireguard.kind, isMade(place) {
      for request in Wireguard.requests(link, index(place)) {
        add(
          place.slot,
          .configure(family: Wireguard.kind, command: Wireguard.setDevice, request),
          "configure the peers of \(name(place))")
      }
    }
    if isMade(place) {
      for (command, attributes) in Macsec.requests(link, index(place)) {
        add(
          place.slot, .configure(family: Macsec.kind, command: command, attributes),
          "configure the channels of \(name(place))")
      }
    }
    let choosesMTU = isMade(place) && link.kind.flatMap { LinkKind.named[$0] }?.choosesMTU ?? false
    if mtuAtFirst[place] != nil || choosesMTU, let mtu = LinkMessage.mtu(link, index(place)) {
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

  mutating func addPort(_ place: Place) {
    let link = link(place)
    guard let master = link.master, master != 0, let other = placeOfIndex[place.slot][master]
    else { return }
    let masterPlace = Place(slot: place.slot, link: other)
    if case .absent = sources[masterPlace.slot][masterPlace.link] { return }
    if self.link(masterPlace).kind == Bond.kind { raiseLower(place) }
    add(
      place.slot, .request(LinkMessage.master(index(place), index(masterPlace)), flags: 0),
      "make \(name(place)) a port of \(self.link(masterPlace).displayName)")
    if let port = LinkMessage.port(
      link, index(place), numbers[place.slot], of: self.link(masterPlace))
    {
      add(place.slot, .request(port, flags: 0), "configure the port \(name(place))")
    }
  }

  /// A bond brings its port up, which the port's lower link has to be for that; and takes none that is up
  /// already, as VLANs are when their lower link comes up.
  private mutating func raiseLower(_ place: Place) {
    var lowers: [Place] = []
    var next = place
    while case .inside(let lower) = lower(of: next), isMade(lower), !lowers.contains(lower) {
      lowers.append(lower)
      next = lower
    }
    if lowers.isEmpty { return }
    for lower in lowers.reversed() {
      raised.insert(lower)
      add(
        lower.slot, .request(LinkMessage.message(index(lower), [], flags: 1, change: 1), flags: 0),
        "bring \(name(lower)) up, on which a port of a bond lies")
    }
    add(
      place.slot, .request(LinkMessage.message(index(place), [], flags: 0, change: 1), flags: 0),
      "take \(name(place)) down, as a port of a bond has to be")
  }

  mutating func addVLANs() {
    if !(request.kernelLinks?.hasVLANs() ?? true) { return }
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

  mutating func addRecords(_ present: [Place]) {
    for (slot, network) in networks.enumerated() where network.externalKey == nil {
      let own = Set(present.filter { $0.slot == slot }.map { index($0) })
      let links: Set<Int32>? = request.isFresh ? nil : own
      func records(_ kind: RecordKind, _ list: [NetlinkRecord]) -> [NetlinkRecord] {
        // What was about a link that is not there now cannot be.
        numbers[slot].renumbered(list, kind).filter {
          kind.links($0).allSatisfy(own.contains)
        }
      }
      func settle(_ kind: RecordKind, _ some: [NetlinkRecord]? = nil) {
        let list = records(kind, some ?? kind.records(of: network.table))
        if request.isFresh || !list.isEmpty {
          add(
            slot, .settle(kind, list, links: links),
            "set \(list.count) \(list.count == 1 ? kind.noun : plural(kind.noun))")
        }
      }
      settle(.addresses)
      for place in present where place.slot == slot {
        if let own = detection(of: place) {
          add(slot, .write([own]), "write the setting accept_dad of \(name(place))")
        }
      }
      // Forwarding entries of a vxlan may name them.
      settle(.nextHops)
      let entries = NetworkTable.chosenForwarding(
        network.table.forwarding, among: network.table.links)
      settle(.forwarding, entries)
      for record in network.table.multicast {
        for entry in LinkMessage.multicast(record, numbers[slot]) {
          add(
            slot,
            .request(entry, flags: RequestFlag.create | RequestFlag.exclusive, tolerating: [17]),
            "add a multicast entry")
        }
      }
      settle(.neighbours)
      // Where a gateway lies is looked up by the rules that are there: those of a new network let everything
      // pass, and one that was saved may prohibit it.
      settle(.routes)
      settle(.rules)
    }
  }

  func plural(_ noun: String) -> String {
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
