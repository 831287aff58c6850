import Glibc
import MountTable

/// The devices that are terminals: `/proc/tty/drivers`.
struct TerminalDrivers {
  private var ranges: [(major: UInt32, minors: ClosedRange<UInt32>)] = []

  init() {
    guard let file = try? Descriptor.open("/proc/tty/drivers", flags: O_RDONLY) else { return }
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 4096)
    while case let count = read(file.number, &room, room.count), count > 0 {
      bytes += room[..<count]
    }
    for line in bytes.split(separator: 0x0A) {
      let words = String(decoding: line, as: UTF8.self).split(separator: " ")
      guard words.count >= 4, let major = UInt32(words[2]) else { continue }
      let minors = words[3].split(separator: "-").compactMap { UInt32($0) }
      guard let low = minors.first, let high = minors.last, low <= high else { continue }
      ranges.append((major, low...high))
    }
  }

  func contain(_ device: DeviceNumber) -> Bool {
    ranges.contains { $0.major == device.major && $0.minors.contains(device.minor) }
  }
}
