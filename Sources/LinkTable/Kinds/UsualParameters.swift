/// Parameters as they are where nobody chose them, for kernels that do not have one of them.
///
/// A parameter that a kernel does not know is no loss where it has this value.
enum UsualParameters {
  /// Those that are not zero, of parameters that came after Linux 6.1, or that kernels may be built without.
  private static let notZero: [String: [UInt16: [[UInt8]]]] = [
    // localbypass, reserved-bits
    "vxlan": [31: [[1]], 33: [[0xF7, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF]]],
    // coupled-control
    "bond": [32: [[1]]],
    // vlan-protocol, vlan-default-pvid
    "bridge": [8: [[0x81, 0]], 39: [[1, 0], [0, 0]]],
  ]

  static func contains(_ attribute: NetlinkAttribute, of kind: String) -> Bool {
    if kind == "vxlan", attribute.type == 33, isReservedAnyway(attribute.payload) { return true }
    if let usual = notZero[kind]?[attribute.type] { return usual.contains(attribute.payload) }
    if kind == "bridge", attribute.type == 46 { return switches(attribute).on == 0 }
    // A flag has no value, and is set where it is there.
    return attribute.isZero
  }

  /// What the kernel has of itself covers bits that nobody may give.
  private static func isReservedAnyway(_ bytes: [UInt8]) -> Bool {
    bytes.count == 8 && bytes[1] & 0x20 != 0
  }

  /// `struct br_boolopt_multi`: switches that are on, of those that a kernel knows.
  static func switches(_ attribute: NetlinkAttribute) -> (on: UInt32, known: UInt32) {
    guard attribute.payload.count == 8 else { return (0, 0) }
    let values = UInt32(nativeBytes: attribute.payload[0..<4])
    let known = UInt32(nativeBytes: attribute.payload[4..<8])
    return (values & known, known)
  }

  /// Whether two kernels, each in its own words, say the same of a parameter.
  static func areAlike(
    _ saved: NetlinkAttribute, _ found: NetlinkAttribute?, of kind: String
  ) -> Bool {
    guard let found else { return contains(saved, of: kind) }
    if kind == "bridge", saved.type == 46 { return switches(saved).on == switches(found).on }
    if kind == "vxlan", saved.type == 33 {
      return contains(saved, of: kind) && contains(found, of: kind)
    }
    return false
  }
}

extension NetlinkAttribute {
  var isZero: Bool { !payload.isEmpty && payload.allSatisfy { $0 == 0 } }
}
