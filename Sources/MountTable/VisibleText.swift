/// Text from elsewhere (images, the kernel, plugins, file names) as it may reach a terminal or a log.
///
/// What does something to a terminal, or cannot be seen, becomes the octal escapes of its bytes, which
/// options and `KernelString(escaped:)` read back.
///
/// - Parameter kept: control characters that the output itself uses.
public func visibleText(_ text: String, keeping kept: Set<Unicode.Scalar> = ["\n", "\t"]) -> String
{
  guard text.unicodeScalars.contains(where: { !$0.isVisible && !kept.contains($0) }) else {
    return text
  }
  var visible = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    if scalar.isVisible || kept.contains(scalar) {
      visible.append(scalar)
    } else {
      for byte in UTF8.encode(scalar)! { visible.append(contentsOf: octal(byte).unicodeScalars) }
    }
  }
  return String(visible)
}

/// JSON in which no character is invisible: those become `\uXXXX`, which means the same.
public func visibleJSON(_ json: String) -> String {
  guard json.unicodeScalars.contains(where: { !$0.isVisible && $0 != "\n" }) else { return json }
  var visible = String.UnicodeScalarView()
  for scalar in json.unicodeScalars {
    if scalar.isVisible || scalar == "\n" {
      visible.append(scalar)
    } else {
      for unit in UTF16.encode(scalar)! {
        let digits = String(unit, radix: 16)
        let zeros = String(repeating: "0", count: 4 - digits.count)
        visible.append(contentsOf: "\\u\(zeros)\(digits)".unicodeScalars)
      }
    }
  }
  return String(visible)
}

extension Unicode.Scalar {
  /// Whether it is seen, and changes nothing but its own place: no control character, none that turns
  /// the direction, joins, or has no width, no line separator, nothing unassigned or private.
  var isVisible: Bool {
    if isASCII { return value >= 0x20 && value != 0x7F }
    if properties.isDefaultIgnorableCodePoint { return false }
    switch properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator:
      return false
    case .spaceSeparator:
      return value == 0x3000
    default:
      return value != 0x2800  // BRAILLE PATTERN BLANK
    }
  }
}

extension KernelString {
  /// As an option's value in single quotes has it: a quote or a closing bracket would end it there.
  public var inOption: String { quotable(description) }
  /// As one word for a shell.
  public var asWord: String { shellWord(description) }
}

extension MountPath {
  /// As an option's value in single quotes has it: a quote or a closing bracket would end it there.
  public var inOption: String { quotable(description) }
  /// As one word for a shell.
  public var asWord: String { shellWord(description) }
}

private func quotable(_ text: String) -> String {
  guard text.utf8.contains(where: { $0 == 0x27 || $0 == 0x5D }) else { return text }
  return text.reduce(into: "") {
    $0 += $1 == "'" ? octal(0x27) : $1 == "]" ? octal(0x5D) : String($1)
  }
}

private func shellWord(_ text: String) -> String {
  let isPlain = text.utf8.allSatisfy {
    switch $0 {
    case 0x2B...0x3A, 0x40...0x5A, 0x5F, 0x61...0x7A: true  // +,-./ digits : @ letters _
    default: false
    }
  }
  return isPlain && !text.isEmpty ? text : "'\(quotable(text))'"
}
