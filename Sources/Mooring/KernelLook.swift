import LinkTable
import LinuxKernel
import Logging
import MountTable
import RestorePlan

/// What this kernel makes of settings: looked up in network namespaces that are gone again.
enum KernelLook {
  /// For a dump: which settings of these networks somebody changed.
  ///
  /// Where no namespace can be made, who chose them stays unknown.
  static func mark(
    _ networks: inout [SavedNetwork], _ places: [NetworkPlace], _ log: Logger
  ) {
    for (number, place) in places.enumerated() where networks[number].externalKey == nil {
      do {
        let kernel = KernelSettings(values: try values(try NetworkPlace.fresh(beside: place)))
        networks[number].table.sysctls = kernel.marked(networks[number].table.sysctls)
      } catch {
        log.notice(
          "which settings of \(place.name) were changed cannot be told: \(error); a restore on another kernel may refuse some"
        )
      }
    }
  }

  /// For a restore: what becomes of the settings that it wants, in a network of its user namespace.
  ///
  /// - Parameter mapping: of the user namespace that it makes.
  static func ask(_ request: inout LinkRestoreRequest, _ mapping: IDMapping?) {
    if request.networks.allSatisfy({ $0.externalKey != nil }) { return }
    let place: NetworkPlace?
    if let mapping {
      let user = try? UserNamespaceMaker.make(mapping)
      guard let user else { return }
      place = try? NetworkPlace.fresh(in: user.number)
    } else {
      place = try? NetworkPlace.fresh()
    }
    ask(&request, in: place)
  }

  /// The same for a network that is there.
  static func ask(_ request: inout LinkRestoreRequest, beside place: NetworkPlace) {
    ask(&request, in: try? NetworkPlace.fresh(beside: place))
  }

  /// Where no network can be made for looking, nothing is known.
  private static func ask(_ request: inout LinkRestoreRequest, in place: NetworkPlace?) {
    guard let place else { return }
    request.kernel = try? answers(place, request.settingsToTry())
    request.kernelLinks = try? links(place, request.samples())
  }

  private static func links(
    _ place: NetworkPlace, _ samples: [KernelLinks.Sample]
  ) throws -> KernelLinks {
    var kernel = KernelLinks()
    let flags = RequestFlag.create | RequestFlag.exclusive
    _ = try place.netlink.perform([(KernelLinks.lower, flags)])
    var made: [[UInt8]: String] = [:]
    for sample in samples {
      let failure = try place.netlink.perform([(sample.whole, flags)])[0]
      guard failure != nil else {
        made[sample.name] = sample.kind
        continue
      }
      let answer = try place.netlink.perform([(sample.bare, flags)])[0]
      // What the kernel says of a kind that it does not have.
      if answer?.errno == .notSupportedOnSocket,
        answer?.detail.contains("nknown device type") ?? false
      {
        kernel.missing.insert(sample.kind)
      }
    }
    for link in try NetworkReader.links(place) {
      if let kind = made[link.name] {
        kernel.parameters[kind] = Set(link.kindData.list.map(\.type))
      }
    }
    return kernel
  }

  /// For a verification: what becomes of the settings of networks that are there.
  static func ask(
    _ networks: [SavedNetwork], beside place: NetworkPlace
  ) -> KernelSettings? {
    let request = LinkRestoreRequest(
      networks: networks, existing: networks.map { _ in [] }, host: [])
    return try? answers(try NetworkPlace.fresh(beside: place), request.settingsToTry())
  }

  private static func answers(
    _ place: NetworkPlace, _ settings: [Sysctl]
  ) throws -> KernelSettings {
    let values = try values(place)
    return KernelSettings(values: values, answers: try place.answers(to: settings, values))
  }

  private static func values(_ place: NetworkPlace) throws -> [[UInt8]: [UInt8]] {
    var settings = try place.settings()
    for folder in KernelSettings.linkFolders { settings += try place.settings(in: folder) }
    return Dictionary(
      settings.map { ($0.path, $0.value) }, uniquingKeysWith: { first, _ in first })
  }
}
