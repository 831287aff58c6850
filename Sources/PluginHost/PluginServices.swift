import CMooring
import LinuxKernel

/// What plugins call back: their log, and the list of plugins that images need. One a process, since C
/// has no other place for it.
enum PluginServices {
  nonisolated(unsafe) private static var socket: CInt = -1
  /// At restore: names that no plugin has asked for yet; `nil` where the images have no such list.
  nonisolated(unsafe) private static var inventory: [String]?

  static func start(socket: CInt, imageDirectory: CInt, inventory: [String]?, logLevel: UInt32) {
    self.socket = socket
    self.inventory = inventory
    var services = mooring_plugin_services()
    services.image_dir = imageDirectory
    services.log_level = logLevel
    services.log = { level, text, length in
      guard let text else { return }
      PluginServices.send(
        level, UnsafeRawBufferPointer(start: text, count: length).map { $0 })
    }
    services.add_inventory = { name in
      guard let name else { return -1 }
      try? HostMessage(.inventory, text: String(cString: name)).send(over: PluginServices.socket)
      return 0
    }
    services.take_inventory = { name, length in
      guard let list = PluginServices.inventory, let name else { return true }
      let bytes = UnsafeRawBufferPointer(start: name, count: length)
      guard let index = list.firstIndex(where: { $0.utf8.elementsEqual(bytes) }) else {
        return false
      }
      PluginServices.inventory?.remove(at: index)
      return true
    }
    mooring_plugin_serve(&services)
  }

  /// Names that the images need and no plugin has taken.
  static var missing: [String] { inventory ?? [] }

  static func log(_ level: UInt32, _ text: String) { send(level, Array(text.utf8)) }

  private static func send(_ level: UInt32, _ text: [UInt8]) {
    try? HostMessage(.log, Int32(bitPattern: level), bytes: text).send(over: socket)
  }
}
