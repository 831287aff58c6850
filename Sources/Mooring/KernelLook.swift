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
  /// - Returns: `nil` where no network can be made for it.
  static func ask(_ request: LinkRestoreRequest, _ mapping: IDMapping?) -> KernelSettings? {
    let settings = request.settingsToTry()
    if request.networks.allSatisfy({ $0.externalKey != nil }) { return nil }
    do {
      guard let mapping else { return try answers(try NetworkPlace.fresh(), settings) }
      let user = try UserNamespaceMaker.make(mapping)
      return try answers(try NetworkPlace.fresh(in: user.number), settings)
    } catch {
      return nil
    }
  }

  /// The same for networks that are there.
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
