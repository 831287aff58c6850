import Glibc
import LinkTable
import SystemPackage

/// A step of restoring links that failed.
public struct LinkStepFailure: Error, CustomStringConvertible {
  public var step: LinkStep
  public var failure: SystemCallFailure

  public var description: String {
    "\(step): \(failure.call) \(failure.errno.symbol) (\(failure.errno.text))"
      + (failure.subject.isEmpty ? "" : ", \(failure.subject)")
      + (failure.detail.isEmpty ? "" : "; \(failure.detail)")
  }
}

/// Carries out the steps of a `LinkPlan`.
public struct LinkExecutor: ~Copyable {
  private let places: [NetworkPlace]
  private let host: NetlinkSocket
  /// The engine's own network namespace, open.
  private let hostNamespace: Descriptor
  /// Loads the rules of a packet filter, which programs outside do.
  private let loadFilter: (PacketFilter, [UInt8], NetworkPlace) throws -> Void
  private var waiting: [(step: LinkStep, record: NetlinkRecord, flags: UInt16)] = []

  /// - Parameter places: the namespace of each slot.
  public init(
    _ places: [NetworkPlace],
    loadFilter: @escaping (PacketFilter, [UInt8], NetworkPlace) throws -> Void = { _, _, _ in }
  ) throws(SystemCallFailure) {
    self.loadFilter = loadFilter
    let namespace = try Descriptor.open("/proc/thread-self/ns/net", flags: O_RDONLY)
    host = try NetlinkSocket()
    hostNamespace = namespace
    self.places = places
  }

  /// - Throws: `LinkStepFailure` for the first step that failed.
  public mutating func perform(_ steps: [LinkStep]) throws {
    for step in steps {
      // Messages to one namespace that follow each other go together.
      if let first = waiting.first, first.step.slot != step.slot { try flush() }
      switch step.action {
      case .request(let record, let flags, _): waiting.append((step, record, flags))
      case .create(var record, let slot):
        record.attributes.set(try namespaceAttribute(slot, step))
        waiting.append((step, record, RequestFlag.create | RequestFlag.exclusive))
      case .move(var record, let slot):
        record.attributes.set(try namespaceAttribute(slot, step))
        waiting.append((step, record, 0))
      case .createPair(let record, let slot):
        let flags = RequestFlag.create | RequestFlag.exclusive
        let isElsewhere = slot != step.slot
        waiting.append(
          (
            step,
            isElsewhere
              ? withPeer(record, try namespaceAttribute(slot, step)) : record, flags
          ))
      case .loadPacketFilter(let filter, let rules):
        try flush()
        try loadFilter(filter, rules, places[step.slot.number])
      default:
        try flush()
        do throws(SystemCallFailure) {
          try performAlone(step)
        } catch {
          throw LinkStepFailure(step: step, failure: error)
        }
      }
    }
    try flush()
  }

  /// `IFLA_NET_NS_FD`.
  private func namespaceAttribute(_ slot: NetworkSlot, _ step: LinkStep) throws -> NetlinkAttribute
  {
    let descriptor =
      slot == .host ? hostNamespace.number : places[slot.number].namespace.number
    return NetlinkAttribute(LinkAttribute.namespaceFD.rawValue, UInt32(descriptor))
  }

  /// The message with an attribute more for the other end (`VETH_INFO_PEER`).
  private func withPeer(_ record: NetlinkRecord, _ attribute: NetlinkAttribute) -> NetlinkRecord {
    var record = record
    let type = LinkAttribute.linkInfo.rawValue
    guard var info = try? record.attributes[type]?.attributes(),
      var data = try? info[2]?.attributes(), let peer = data[1]
    else { return record }
    data.set(NetlinkAttribute(1, peer.payload + NetlinkAttributes([attribute]).encoded))
    info.set(NetlinkAttribute(2, nested: data))
    record.attributes.set(NetlinkAttribute(type, nested: info))
    return record
  }

  private func socket(_ slot: NetworkSlot) -> NetlinkSocket {
    slot == .host ? host : places[slot.number].netlink
  }

  private mutating func flush() throws {
    guard let first = waiting.first else { return }
    let requests = waiting
    waiting = []
    let results = try socket(first.step.slot).perform(requests.map { ($0.record, $0.flags) })
    for (request, failure) in zip(requests, results) {
      guard let failure else { continue }
      if case .request(_, _, let tolerated) = request.step.action,
        tolerated.contains(failure.errno.rawValue)
      {
        continue
      }
      throw LinkStepFailure(step: request.step, failure: failure)
    }
  }

  private func performAlone(_ step: LinkStep) throws(SystemCallFailure) {
    let place = places[step.slot.number]
    switch step.action {
    case .makeTunnel(let device): try place.make(device)
    case .configure(let name, let command, let attributes):
      let socket = try place.socket(protocol: NetlinkSocket.generic)
      guard let family = try socket.family(name) else {
        throw SystemCallFailure(
          "netlink: get", on: "the family \(name)", .noSuchFileOrDirectory,
          detail: "load the module: modprobe \(name)")
      }
      try socket.setGeneric(family, command, attributes, "")
    case .write(let settings): try place.write(settings)
    case .nameNamespace(let slot, let id):
      var record = NetlinkRecord(type: MessageType.newNamespaceID, header: [0])
      record.attributes.list = [
        NetlinkAttribute(1, id),
        NetlinkAttribute(3, UInt32(places[slot.number].namespace.number)),
      ]
      let failure = try place.netlink.perform([(record, 0)])[0]
      guard let failure else { return }
      // It may have the number already.
      if failure.errno == .fileExists,
        try NetworkReader.identifier(of: places[slot.number], in: place) == id
      {
        return
      }
      throw failure
    case .awaitCarrier(let links): try awaitCarrier(links, place)
    case .settle(let kind, let records, let links):
      try settle(kind, records, links, place)
    case .request, .create, .createPair, .move, .loadPacketFilter: break
    }
  }

  /// The kernel tells of carriers once a second (`linkwatch`). Who has none after three has none.
  private func awaitCarrier(
    _ links: Set<Int32>, _ place: NetworkPlace
  ) throws(SystemCallFailure) {
    let step: useconds_t = 20_000
    for _ in 0..<150 {
      let waiting = try NetworkReader.links(place).contains {
        links.contains($0.index) && !$0.isReady
      }
      if !waiting { return }
      usleep(step)
    }
  }

  // MARK: Records

  private func settle(
    _ kind: RecordKind, _ expected: [NetlinkRecord], _ links: Set<Int32>?, _ place: NetworkPlace
  ) throws(SystemCallFailure) {
    var found = try NetworkReader.records(kind, place)
    if kind == .forwarding, !found.isEmpty {
      found = NetworkTable.chosenForwarding(found, among: try NetworkReader.links(place))
    }
    // Only for what goes wrong.
    func text(_ record: NetlinkRecord) -> String {
      let links = (try? NetworkReader.links(place)) ?? []
      return kind.text(
        record,
        Dictionary(
          links.map { ($0.index, $0.displayName) }, uniquingKeysWith: { first, _ in first }))
    }
    let changes = RecordChanges(kind, from: found, to: expected, links: links)
    // A route or an address may take others along.
    let gone: Set<CInt> = [ENOENT, ESRCH, EADDRNOTAVAIL]
    let results = try place.netlink.perform(changes.removals.map { ($0, 0) })
    for (record, failure) in zip(changes.removals, results) {
      guard var failure, !gone.contains(failure.errno.rawValue) else { continue }
      failure.subject = "removing \(text(record))"
      throw failure
    }
    var waiting = changes.additions
    // What leads through another comes after it; most are in order already.
    // Routes, and forwarding entries of one address, stand beside each other.
    let stand = kind == .routes || kind == .forwarding
    let flags = stand ? RequestFlag.append : RequestFlag.exclusive
    while !waiting.isEmpty {
      let results = try place.netlink.perform(
        waiting.map { ($0, RequestFlag.create | flags) })
      var left: [NetlinkRecord] = []
      var first: SystemCallFailure?
      for (record, failure) in zip(waiting, results) {
        guard let failure, failure.errno != .fileExists else { continue }
        left.append(record)
        if first == nil {
          first = failure
          first?.subject = "adding \(text(record))"
        }
      }
      if let first, left.count == waiting.count { throw first }
      waiting = left
    }
  }
}

extension NetworkReader {
  /// One list, afresh.
  static func records(
    _ kind: RecordKind, _ place: NetworkPlace
  ) throws(SystemCallFailure) -> [NetlinkRecord] {
    try records(kind, place.netlink, place.name)
  }

  /// One list of the namespace that a socket is of.
  public static func records(
    _ kind: RecordKind, _ socket: NetlinkSocket, _ name: String
  ) throws(SystemCallFailure) -> [NetlinkRecord] {
    func read(_ what: String, _ family: UInt8 = 0) throws(SystemCallFailure) -> [NetlinkRecord] {
      try self.read(socket, name, kind.newType, what, family: family)
    }
    switch kind {
    case .addresses: return try read("addresses")
    case .nextHops: return try read("next hops")
    case .routes, .rules: return try read("\(kind)", internet) + read("\(kind)", internet6)
    case .neighbours:
      return try neighbours(socket, internet, name) + neighbours(socket, internet6, name)
    case .forwarding: return try read("forwarding entries", bridge)
    }
  }
}
