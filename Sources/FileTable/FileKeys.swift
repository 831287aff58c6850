import MountTable
import RestorePlan

/// The names that mappings give to the open files of a table.
struct FileKeys {
  /// By places in the table.
  private(set) var ofPlace: [Int: KernelString] = [:]
  /// Mappings that name nothing, or contradict each other.
  private(set) var findings: [Finding] = []

  static let look = "'mooring files' shows which there are"

  init(_ table: FileTable, _ options: FileOptions) {
    var placesOfKey: [KernelString: [Int]] = [:]
    for (place, file) in table.files.enumerated() where file.hasKey {
      placesOfKey[file.key, default: []].append(place)
    }
    for option in options.external {
      guard let places = placesOfKey[option.key] else {
        findings.append(
          Finding(
            "--external '\(option)': the container has no such file open", cures: [Self.look]))
        continue
      }
      for place in places { ofPlace[place] = option.key }
    }
    var placeOfKey: [KernelString: Int] = [:]
    for option in options.inherited {
      if let places = placesOfKey[option.key] {
        for place in places { ofPlace[place] = option.key }
      } else if let place = table.files.firstIndex(where: { option.place.matches($0, table) }) {
        give(option, to: place, &placeOfKey)
      } else {
        findings.append(
          Finding(
            "--inherit-fd '\(option)': there is no descriptor \(option.place), and no file is "
              + "called \(option.key)", cures: [Self.look]))
      }
    }
  }

  private mutating func give(
    _ option: InheritedDescriptor, to place: Int, _ placeOfKey: inout [KernelString: Int]
  ) {
    if let other = ofPlace[place], other != option.key {
      findings.append(
        Finding(
          "--inherit-fd '\(option)': the open file of descriptor \(option.place) is called "
            + "\(other) already", cures: ["give it one name"]))
    } else if let other = placeOfKey[option.key], other != place {
      findings.append(
        Finding(
          "--inherit-fd '\(option)': another open file is called \(option.key) already",
          cures: ["give each a name of its own"]))
    }
    ofPlace[place] = option.key
    placeOfKey[option.key] = place
  }
}
