import RestorePlan

/// The keys of macsec associations as the user gives them, since no kernel tells them (`--macsec-keys`).
///
/// A line each, after `#` comments; numbers are hexadecimal, IDs as `ip macsec show` prints them:
///
///     ID KEY [SALT]
///     LINK:ID KEY [SALT]        only for this link
public struct MacsecKeys: Sendable {
  struct Secret: Hashable, Sendable {
    var key: [UInt8]
    /// Of 12 bytes, for ciphers with extended packet numbers.
    var salt: [UInt8]?
  }

  private struct Name: Hashable {
    var link: String?
    var id: [UInt8]
  }

  private var secrets: [Name: Secret] = [:]
  static let idSize = 16
  static let saltSize = 12

  public init() {}

  /// - Parameter text: what the file has.
  /// - Throws: `OptionError` with the number of the line, and none of what stands on it.
  public init(parsing text: String) throws(OptionError) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    for (place, line) in lines.enumerated() {
      let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
      if words.isEmpty { continue }
      func wrong(_ what: String) -> OptionError {
        OptionError("--macsec-keys: line \(place + 1): \(what)")
      }
      guard words.count == 2 || words.count == 3 else {
        throw wrong("expected ID KEY, or ID KEY SALT")
      }
      let parts = words[0].split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count < 3, let idText = parts.last, var id = Self.bytes(idText),
        id.count <= Self.idSize
      else { throw wrong("the ID must have 2 to 32 hexadecimal digits, after LINK: where wanted") }
      id += [UInt8](repeating: 0, count: Self.idSize - id.count)
      guard let key = Self.bytes(words[1]), key.count == 16 || key.count == 32 else {
        throw wrong("the key must have 32 or 64 hexadecimal digits")
      }
      var salt: [UInt8]?
      if words.count == 3 {
        salt = Self.bytes(words[2])
        guard salt?.count == Self.saltSize else {
          throw wrong("the salt must have 24 hexadecimal digits")
        }
      }
      let name = Name(link: parts.count == 2 ? String(parts[0]) : nil, id: id)
      guard secrets.updateValue(Secret(key: key, salt: salt), forKey: name) == nil else {
        throw wrong("this ID has a key already; say LINK:ID where links have keys of the same ID")
      }
    }
  }

  func secret(_ link: String, _ id: [UInt8]) -> Secret? {
    secrets[Name(link: link, id: id)] ?? secrets[Name(link: nil, id: id)]
  }

  /// Pairs of hexadecimal digits.
  private static func bytes(_ text: Substring) -> [UInt8]? {
    let digits = text.map(\.hexDigitValue)
    guard !digits.isEmpty, digits.count.isMultiple(of: 2), text.utf8.count == digits.count
    else { return nil }
    var bytes: [UInt8] = []
    for place in stride(from: 0, to: digits.count, by: 2) {
      guard let high = digits[place], let low = digits[place + 1] else { return nil }
      bytes.append(UInt8(high << 4 | low))
    }
    return bytes
  }
}

extension Macsec {
  /// A link as it is to be saved, with its keys or without its associations; and what stands in the way.
  static func settled(
    _ link: Link, _ options: LinkOptions
  ) -> (link: Link, findings: [Finding]) {
    guard var kept = configuration(link) else { return (link, []) }
    var settling = Settling(
      link: link, keys: options.macsecKeys,
      isLeftOut: options.leftOut.contains(.macsecKeys, link.displayName))
    settling.settle(Device.transmitAssociations, "transmit association", in: &kept)
    let channels = rows(kept[Device.receiveChannels]).map { channel in
      var channel = channel
      let name = hex(channel[Channel.identifier]?.payload ?? [])
      settling.settle(
        Channel.associations, "association of receive channel \(name)", in: &channel)
      return channel
    }
    kept.set(nested(Device.receiveChannels, channels))
    return (with(kept, link), settling.findings)
  }

  /// The bytes of a key, and whether packet numbers are extended: `MACSEC_CIPHER_ID_…` and the ID that
  /// stands for the usual one.
  private static let ciphers: [UInt64: (keySize: Int, isExtended: Bool)] = [
    0x0080_0200_0100_0001: (16, false), 0x0080_C200_0100_0001: (16, false),
    0x0080_C200_0100_0002: (32, false), 0x0080_C200_0100_0003: (16, true),
    0x0080_C200_0100_0004: (32, true),
  ]

  private struct Settling {
    let link: Link
    let keys: MacsecKeys?
    let isLeftOut: Bool
    var missing: [String] = []
    var wrong: [String] = []

    mutating func settle(
      _ type: UInt16, _ what: String, in list: inout NetlinkAttributes
    ) {
      if isLeftOut { return list.remove(type) }
      list.set(nested(type, rows(list[type]).map { withKey($0, what) }))
    }

    private mutating func withKey(_ row: NetlinkAttributes, _ what: String) -> NetlinkAttributes {
      let id = row[Association.keyID]?.payload ?? []
      let name = "\(what) \(row[Association.number]?.u8 ?? 0) (key ID \(hex(id)))"
      guard let secret = keys?.secret(link.displayName, id) else {
        missing.append(name)
        return row
      }
      let cipher = link.kindData[4]?.u64.flatMap { ciphers[$0] }
      if let cipher, secret.key.count != cipher.keySize {
        wrong.append("\(name) wants a key of \(cipher.keySize) bytes")
      }
      if cipher?.isExtended ?? false, secret.salt == nil {
        wrong.append("\(name) wants a salt too")
      }
      if packetNumber(row) == 0 { wrong.append("\(name) has used up its packet numbers") }
      var row = row
      row.list.append(NetlinkAttribute(Association.key, secret.key))
      if cipher?.isExtended ?? false, let salt = secret.salt {
        row.list.append(NetlinkAttribute(Association.salt, salt))
      }
      return row
    }

    var findings: [Finding] {
      var findings: [Finding] = []
      if !missing.isEmpty {
        findings.append(
          Finding(
            "\(link.description): the kernel does not tell the keys of its associations: "
              + missing.joined(separator: ", "),
            cures: [
              "--macsec-keys FILE, with a line ID KEY for each key ID (and its SALT, for extended packet "
                + "numbers); they are saved in plain text",
              LeaveOut.option(.macsecKeys, link.displayName)
                + ", which saves the link without its associations",
            ]))
      }
      if !wrong.isEmpty {
        findings.append(
          Finding(
            "\(link.description): its associations cannot be saved: "
              + wrong.joined(separator: ", "),
            cures: [
              "mend the file of --macsec-keys", LeaveOut.option(.macsecKeys, link.displayName),
            ]))
      }
      return findings
    }
  }
}
