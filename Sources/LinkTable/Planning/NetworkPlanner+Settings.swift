/// Settings of links, and IPv6 addresses: what the kernel would do by itself while links come up is kept
/// from happening.
extension NetworkPlanner {
  static let secret = Array("stable_secret".utf8)
  static let linkFolders = ["ipv4/conf/", "ipv6/conf/", "ipv4/neigh/", "ipv6/neigh/"]
  /// What is written last: while links are made, nothing asks for duplicate detection, and new links make
  /// themselves no IPv6 addresses.
  static let last = ["all/accept_dad", "default/accept_dad", "default/addr_gen_mode"].map {
    Array("ipv6/conf/\($0)".utf8)
  }
  static let noDetection = Sysctl(path: last[1], value: [0x30])
  static let noAddresses = Sysctl(path: last[2], value: [0x31])

  /// Whether links that are made in a network are quiet by its defaults: a message for each, after it is
  /// up, would cost the kernel a walk over all IPv6 routes.
  func isQuiet(_ slot: Int) -> Bool {
    saysSetting(slot, Self.noAddresses) && isMost(slot) { link($0).isUp }
  }

  /// Whether links that are made ask for no duplicate detection by its defaults, not each by its own.
  func isTrusting(_ slot: Int) -> Bool {
    saysSetting(slot, Self.noDetection) && isMost(slot) { hasIPv6.contains($0) }
  }

  func value(of setting: Sysctl, _ slot: Int) -> [UInt8]? {
    guard let slash = setting.path.lastIndex(of: 0x2F) else { return nil }
    return settings[slot][Array(setting.path[..<slash])]?[Array(setting.path[(slash + 1)...])]?
      .value
  }

  func saysSetting(_ slot: Int, _ setting: Sysctl) -> Bool {
    value(of: setting, slot) != nil
  }

  /// Whether something is true of most links that are made.
  func isMost(_ slot: Int, _ condition: (Place) -> Bool) -> Bool {
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

  mutating func findIPv6() {
    for slot in networks.indices {
      for record in networks[slot].table.addresses {
        // IFA_ADDRESS; fe80::/10 is of the link's own making.
        guard let address = record.attributes[1]?.payload, address.count == 16,
          let link = placeOfIndex[slot][record.number(at: 4)]
        else { continue }
        hasIPv6.insert(Place(slot: slot, link: link))
        let place = Place(slot: slot, link: link)
        if self.link(place).interfaceAddress == address { hasLinkLocal.insert(place) }
      }
    }
  }

  /// Links whose saved addresses are not those that the kernel would make now (their MAC was changed, their
  /// address was taken away, it is drawn by lot) must not be told to make some before they are ready: they
  /// would, the moment they are.
  mutating func addCarrierWaits(_ present: [Place]) {
    for slot in networks.indices {
      let late = present.filter { place in
        let link = link(place)
        guard place.slot == slot, isMade(place), !hasLinkLocal.contains(place),
          let mode = link.addressGeneration
        else { return false }
        return mode != .none && link.isRunning
      }
      if late.isEmpty { continue }
      add(
        slot, .awaitCarrier(Set(late.map { index($0) })),
        "wait until \(late.count == 1 ? name(late[0]) : "\(late.count) links") can be used")
    }
  }

  /// How new links of a network make themselves IPv6 addresses.
  func defaultMode(_ slot: Int) -> Link.AddressGeneration? {
    value(of: Self.noAddresses, slot).flatMap { UInt8(String(decoding: $0, as: UTF8.self)) }.flatMap
    {
      Link.AddressGeneration(rawValue: $0)
    }
  }

  mutating func addAddressGeneration(_ place: Place) {
    let link = link(place)
    let folder = Array("ipv6/conf/".utf8) + link.name
    if let secret = settings[place.slot][folder]?[Self.secret]?.value {
      let setting = Sysctl(path: folder + [0x2F] + Self.secret, value: secret)
      add(place.slot, .write([setting]), "give \(name(place)) its secret of addresses")
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
            path: folder + Array("/addr_gen_mode".utf8),
            value: [0x30])
        ]), "let \(name(place)) make itself IPv6 addresses")
      return
    }
    add(
      place.slot,
      .request(LinkMessage.addressGeneration(index(place), mode), flags: 0, tolerating: [97]),
      "let \(name(place)) make itself IPv6 addresses")
  }

  /// IPv6 addresses that had passed duplicate detection come back without it.
  mutating func addLinkSettings(_ present: [Place]) {
    for place in present {
      let link = link(place)
      var list = LinkSettings.different(
        link, settings[place.slot], networks[place.slot].leftOut)
      for prefix in Self.linkFolders {
        let folder = Array(prefix.utf8) + link.name
        // In the order of their names: what is in finer units comes after its like.
        let values = (writes[place.slot].ofLinks[folder] ?? [:]).sorted {
          $0.key.lexicographicallyPrecedes($1.key)
        }
        for (name, setting) in values where name != Self.secret { list.append(setting) }
      }
      if let own = detection(of: place) {
        list.removeAll { $0.path == own.path }
        if !isMade(place) || !trustingSlots.contains(place.slot) {
          list.append(Sysctl(path: own.path, value: [0x30]))
        }
      }
      if !list.isEmpty { add(place.slot, .write(list), "write settings of \(name(place))") }
    }
  }

  /// The setting `accept_dad` of a link, where it asks for detection.
  func detection(of place: Place) -> Sysctl? {
    guard hasIPv6.contains(place) || isMade(place) && trustingSlots.contains(place.slot) else {
      return nil
    }
    let link = link(place)
    let folder = Array("ipv6/conf/".utf8) + link.name
    let name = Array("accept_dad".utf8)
    let value =
      LinkSettings.values(of: link).ipv6.first { $0.path == "accept_dad" }.map {
        Array(String($0.value).utf8)
      } ?? settings[place.slot][folder]?[name]?.value
    guard let value, value != [0x30], value.first != 0x2D else { return nil }
    return Sysctl(path: folder + [0x2F] + name, value: value)
  }
}
