import MountTable
import RestorePlan

/// One open file that COMMAND is given.
public struct FileStep: Hashable, Sendable, CustomStringConvertible {
  public var source: FileSource
  /// The name in `MOORING_FDS`: `file:ID`, `unix:INODE`, or a key.
  public var name: String
  public var file: OpenFile
  /// The numbers it gets.
  public var numbers: [Int32]

  public var description: String {
    let list = numbers.map { "\($0)" }.joined(separator: " and ")
    return "\(source): descriptor \(list) of COMMAND (\(file.kind.word) \(file.name))"
  }
}

/// What a restore does about open files: decided before anything is changed.
public struct FilePlan: Hashable, Sendable {
  public var steps: [FileStep] = []
  public var findings: [Finding] = []
  /// The value of `MOORING_FDS`: a word a descriptor, separated by spaces.
  ///
  /// ```
  /// NUMBER=NAME[,cloexec][@PID/FD]…
  /// ```
  /// `cloexec`: the saved descriptor had `FD_CLOEXEC`, which COMMAND would not have lived to see.
  /// `@PID/FD`: a descriptor of another process that was the same open file; PID is the one inside.
  public var environment = ""

  /// The name of the variable.
  public static let variable = "MOORING_FDS"

  public var asksPlugins: Bool {
    steps.contains {
      switch $0.source {
      case .pluginForFile, .pluginForSocket: true
      default: false
      }
    }
  }

  public init() {}

  /// Where there is no COMMAND to take them.
  public init(leavingOut saved: ClassifiedFiles, _ options: FileOptions) {
    findings = FileSources(saved, options).findings
    if saved.table.files.isEmpty { return }
    findings.append(
      Finding("open files are for a COMMAND: they are left out", severity: .note))
  }

  /// - Parameters:
  ///   - saved: the files of a set of images that a restore brings.
  ///   - limit: how many descriptors COMMAND may have.
  public init(_ saved: ClassifiedFiles, _ options: FileOptions, limit: Int) {
    var free = FreeNumbers(saved.table)
    var words: [(number: Int32, word: String)] = []
    var length = 0
    let sources = FileSources(saved, options)
    findings = sources.findings
    for (file, fileClass) in zip(saved.table.files, saved.classes) where fileClass.isExternal {
      let found = sources.source(of: file, fileClass)
      let skipped = options.skipped.contains {
        // What is given is no longer one of a kind.
        $0.matches(file, saved.table) && ($0.isOneFile || !found.isGiven)
      }
      if skipped { continue }
      guard case .source(let source) = found else {
        if case .missing(let finding) = found { findings.append(finding) }
        continue
      }
      let own = file.descriptors.filter { $0.holder == 0 }
      let numbers = own.isEmpty ? [free.take()] : own.map(\.number)
      let name = Self.name(of: file, fileClass)
      steps.append(FileStep(source: source, name: name, file: file, numbers: numbers))
      if let last = numbers.max(), Int(last) >= limit {
        findings.append(Self.outOfRange(last, file, saved.table, limit))
      }
      for (place, number) in numbers.enumerated() {
        let isClosing = place < own.count && own[place].closesOnExec
        var word = name + (isClosing ? ",cloexec" : "")
        // Once is enough; and images from elsewhere may have thousands of each.
        if place == 0 { word += Self.others(file, saved.table, upTo: Self.longest - length) }
        length += word.utf8.count + 12
        if length < Self.longest { words.append((number, word)) }
      }
    }
    if length >= Self.longest {
      findings.append(
        Finding(
          "\(Self.variable) would be longer than the \(Self.longest) bytes that Linux takes",
          cures: ["leave files out: --skip-file KIND"]))
    }
    environment = words.sorted { $0.number < $1.number }
      .map { "\($0.number)=\($0.word)" }.joined(separator: " ")
  }

  /// `MAX_ARG_STRLEN`, less the name of the variable.
  private static let longest = (1 << 17) - 16

  private static func name(of file: OpenFile, _ fileClass: FileClass) -> String {
    if case .externalByKey(let key) = fileClass {
      // As \ooo, what would end the name.
      let special: [Character: String] = [" ": "\\040", ",": "\\054", "@": "\\100"]
      return "\(key)".map { special[$0] ?? String($0) }.joined()
    }
    return file.kind == .unixSocket ? "unix:\(file.inode)" : "file:\(file.id)"
  }

  private static func others(_ file: OpenFile, _ table: FileTable, upTo length: Int) -> String {
    var text = ""
    for held in file.descriptors where held.holder > 0 && text.utf8.count < length {
      text += "@\(table.holders[held.holder].innerPID)/\(held.number)"
    }
    return text
  }

  private static func outOfRange(
    _ number: Int32, _ file: OpenFile, _ table: FileTable, _ limit: Int
  ) -> Finding {
    Finding(
      "descriptor \(number) (\(file.kind.word) \(file.name)): COMMAND may have descriptors below "
        + "\(limit) only",
      cures: [
        "raise the limit on open files first: ulimit -n \(Int(number) + 1)",
        "leave it out: --skip-file \(table.spelling(file.descriptors[0]))",
      ])
  }
}

/// Numbers for files that the first process had no descriptor of.
private struct FreeNumbers {
  private var taken: Set<Int32>
  private var next: Int32 = 3

  init(_ table: FileTable) {
    taken = Set(
      table.files.flatMap { $0.descriptors.filter { $0.holder == 0 }.map(\.number) })
  }

  mutating func take() -> Int32 {
    while taken.contains(next) { next += 1 }
    defer { next += 1 }
    return next
  }
}
