import LinkTable
import RestorePlan

/// Which networks a set has.
extension ImageDirectory {
  /// The network of the container first, then the others by number.
  func networks(
    _ namespaces: ContainerNamespaces, _ own: UInt32?, _ inventory: ImageInventoryEntry,
    among names: [String]
  ) throws(ImageError) -> [SavedNetwork] {
    var found: Set<UInt32> = []
    for name in names {
      for prefix in ["netns-", "netdev-"] {
        if let number = ImageName.number(in: name, prefix: prefix) { found.insert(number) }
      }
    }
    // Sets of CRIU may be without: what the container shares with others is not saved.
    if found.isEmpty && inventory.parts.isEmpty { return [] }
    guard let own else {
      guard found.count <= 1 else {
        throw ImageError(path, .ambiguous(found.sorted().map(ImageName.network)))
      }
      return try networks(found.sorted())
    }
    guard found.contains(own) else {
      if namespaces.own[.network] == nil { return [] }
      throw ImageError(ImageName.network(own), .missing)
    }
    return try networks([own] + found.subtracting([own]).sorted())
  }

  private func networks(_ ids: [UInt32]) throws(ImageError) -> [SavedNetwork] {
    var networks: [SavedNetwork] = []
    for id in ids {
      let images = NetworkImages(id: id, directory: descriptor, isAlone: ids.count == 1)
      networks.append(try images.read())
    }
    try NetworkImageCheck.run(networks)
    return networks
  }
}
