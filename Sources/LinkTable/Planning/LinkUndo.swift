/// The steps that bring the links of a namespace back to what they were.
public enum LinkUndo {
  private static let noDevice: Int32 = 19

  /// Takes a link back into the engine's own namespace, under its old name and index.
  public static func move(_ link: Link, back old: Link) -> LinkStep {
    let newIndex = LinkAttribute.newIndex.rawValue
    let record = LinkMessage.message(
      link.index,
      [
        NetlinkAttribute(LinkAttribute.name.rawValue, text: old.name),
        NetlinkAttribute(newIndex, old.index),
      ], type: MessageType.setLink)
    return LinkStep(.own, .move(record, to: .host), "take \(link) back to the host")
  }

  /// Links that have come go; those that were there get their old state.
  public static func steps(from now: [Link], to before: [Link]) -> [LinkStep] {
    let known = Dictionary(before.map { ($0.index, $0) }, uniquingKeysWith: { first, _ in first })
    var steps: [LinkStep] = []
    // One message for all: the kernel waits a while for each that takes links away.
    let group = NetlinkAttribute(
      LinkAttribute.group.rawValue, (now.compactMap { $0[.group]?.u32 }.max() ?? 0) &+ 1)
    let come = now.filter { known[$0.index] == nil && $0.kind != nil && !$0.isFallbackTunnel }
    for link in come {
      steps.append(
        LinkStep(
          .own,
          .request(LinkMessage.message(link.index, [group]), flags: 0, tolerating: [noDevice]),
          "mark \(link), which is to go"))
    }
    if !come.isEmpty {
      steps.append(
        LinkStep(
          .own,
          .request(
            LinkMessage.message(0, [group], type: MessageType.deleteLink), flags: 0,
            tolerating: [noDevice]), "remove \(come.count) links"))
    }
    for link in now {
      guard let old = known[link.index], old.record != link.record else { continue }
      for request in LinkMessage.configuration(old, link.index, existing: link) {
        steps.append(
          LinkStep(.own, .request(request.record, flags: request.flags), "put \(old) back"))
      }
      if (old.master ?? 0) != (link.master ?? 0) {
        steps.append(
          LinkStep(
            .own, .request(LinkMessage.master(link.index, old.master ?? 0), flags: 0),
            "put \(old) back"))
      }
      steps.append(
        LinkStep(
          .own, .request(LinkMessage.flags(old, link.index), flags: 0), "put \(old) back"))
    }
    return steps
  }
}
