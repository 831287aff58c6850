import ArgumentParser
import FileTable
import Mooring
import MountTable
import RestorePlan

struct FilesCommand: SupervisedCommand {
  static let configuration = CommandConfiguration(
    commandName: "files",
    abstract: "Show the open files of a container, classified.",
    discussion: """
      Of a running container (-t), its first process with all that descend from it, or of images \
      (-D). Nothing is changed.

      A line for each descriptor: the process, its number, the kind of file, what it is, flags, the \
      mount it is on, and how a restore comes by it. Descriptors that share an open file have one \
      number after #.
        in the tree                 a path of the restored tree leads to it
        left to a process restorer  pipes, terminals, sockets inside: they end with processes
        external by plugin          a plugin answers for it (-L)
        external KEY                the user gives it
        skipped                     left out (--skip-file)
        unsupported                 nothing explains it yet: see the problem below

      The problems that dump --files would find follow on standard error, each with the options \
      that settle it.

      Exit status: 0 (with problems too); 1 where the files cannot be read or a plugin fails.

      Examples:
        mooring files -t 4711
        mooring files -t 4711 -L plugins --skip-file pipe
        mooring files -D images
      """)

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("The first process of the container, by its PID here.", valueName: "pid"))
  var tree: Int32?

  @Option(
    name: [.customShort("D"), .long],
    help: ArgumentHelp("A folder of images.", valueName: "dir"))
  var imagesDir: String?

  @OptionGroup var plugins: PluginFolderOptions
  @OptionGroup var mappings: MountMappingOptions
  @OptionGroup var files: OpenFileDumpOptions
  @OptionGroup var log: LogOptions
  @OptionGroup var limit: TimeLimitOptions
  @Flag(help: "Print JSON on standard output.") var json = false

  func validate() throws {
    guard (tree == nil) != (imagesDir == nil) else {
      throw ValidationError("Give one of -t PID and -D DIR.")
    }
    if imagesDir != nil && (!files.isEmpty || !mappings.external.isEmpty) {
      throw ValidationError("What images have is not looked at anew: options of a dump are for -t.")
    }
  }

  private struct Holder: Encodable {
    var pid: Int32
    var pidInside: Int32
    var fd: Int32
    var closeOnExec: Bool
  }

  private struct Socket: Encodable {
    var type: String
    var isListening: Bool
    var name: String?
    var peer: UInt32?
    var peerName: String?
  }

  private struct Row: Encodable {
    var id: UInt32
    var kind: String
    var name: KernelString
    var key: KernelString
    var `class`: String
    var inode: UInt64
    var mount: MountID
    var device: String?
    var flags: [String]
    var socket: Socket?
    var descriptors: [Holder]
  }

  private struct Result: Encodable {
    var files: [Row]
    var findings: [Finding]
  }

  mutating func run() throws {
    let source: FilesOperation.Source =
      if let tree { .process(tree) } else { .images(imagesDir ?? ".") }
    var operation = FilesOperation(
      source, files: try files.options(mappings.external), plugins: plugins.options,
      log: try log.logger())
    operation.skippedMounts = try mappings.options(atDump: true).skipped
    let found = try operation.run()
    if json {
      let rows = zip(found.table.files, found.classes).map { row($0, $1, found.table) }
      try Report.json(Result(files: rows, findings: found.findings))
      return
    }
    Report.lines(FileListing.lines(found))
    for finding in found.findings {
      Report.complain("\(finding.severity.rawValue): \(finding)")
    }
  }

  private func row(_ file: OpenFile, _ fileClass: FileClass, _ table: FileTable) -> Row {
    let socket = file.socket.map { socket in
      var peer: UInt32?
      if case .socket(let inode) = socket.peer { peer = inode }
      return Socket(
        type: socket.typeWord, isListening: socket.isListening,
        name: socket.name.isEmpty ? nil : socketAddress(socket.name), peer: peer,
        peerName: socket.peerName.isEmpty ? nil : socketAddress(socket.peerName))
    }
    return Row(
      id: file.id, kind: file.kind.word, name: file.name, key: file.key,
      class: "\(fileClass)", inode: file.inode, mount: file.mount,
      device: file.device.map { "\($0)" }, flags: file.flags?.words ?? [], socket: socket,
      descriptors: file.descriptors.map {
        let holder = table.holders[$0.holder]
        return Holder(
          pid: holder.pid, pidInside: holder.innerPID, fd: $0.number,
          closeOnExec: $0.closesOnExec)
      })
  }
}

/// Open files as columns.
enum FileListing {
  static func lines(_ found: ClassifiedFiles) -> [String] {
    var rows: [(order: (Int, Int32), cells: [String])] = []
    for (file, fileClass) in zip(found.table.files, found.classes) {
      for descriptor in file.descriptors {
        let holder = found.table.holders[descriptor.holder]
        let flags = (file.flags?.words ?? []) + (descriptor.closesOnExec ? ["cloexec"] : [])
        rows.append(
          (
            (descriptor.holder, descriptor.number),
            [
              "\(holder.pid > 0 ? holder.pid : holder.innerPID)", "\(descriptor.number)",
              file.kind.word, what(file), flags.joined(separator: ","), "mount \(file.mount)",
              "#\(file.id)", "\(fileClass)",
            ]
          ))
      }
    }
    rows.sort { $0.order < $1.order }
    let widths = (0..<7).map { column in
      min(rows.map { $0.cells[column].utf8.count }.max() ?? 0, 44)
    }
    return rows.map { row in
      zip(row.cells, widths).map { cell, width in
        cell + String(repeating: " ", count: max(0, width - cell.utf8.count))
      }.joined(separator: "  ") + "  " + row.cells[7]
    }
  }

  private static func what(_ file: OpenFile) -> String {
    var text = "\(file.name)"
    if let device = file.device { text += " (\(device))" }
    guard let socket = file.socket else { return text }
    text += " \(socket.typeWord)"
    if socket.isListening { text += " listening" }
    if !socket.name.isEmpty { text += " at \(socketAddress(socket.name))" }
    switch socket.peer {
    case .none: break
    case .unknown: text += " to one that has not accepted it, or is gone"
    case .socket(let inode):
      text += " to "
      text += socket.peerName.isEmpty ? "socket \(inode)" : socketAddress(socket.peerName)
    }
    return text
  }
}
