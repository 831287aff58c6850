import ArgumentParser
import FileTable
import LinkTable
import Mooring
import RestorePlan

struct DumpCommand: SupervisedCommand {
  static let configuration = CommandConfiguration(
    commandName: "dump",
    abstract: "Save a container's mounts and links into image files.",
    discussion: """
      Nothing in the container is changed, and its processes go on running. Saved are the \
      mounts, the contents of its memory file systems (tmpfs, ramfs), names and mappings of its \
      namespaces, and links, addresses, routes, rules and settings of its own network \
      namespaces; of disks and of what comes from outside no content, nor of its root if that is not \
      a memory file system. Open files are \
      looked at with --files only.

      Where a mount cannot be restored, or nothing explains where it comes from, all such \
      problems are listed with what settles each, and nothing is written. A complete set takes \
      the place of a former one in the folder, with what plugins had put there; other files stay.

      Exit status: 0 saved; 1 failed; 2 problems were found. Only 0 leaves images.

      Examples:
        mooring dump -t 4711 -D images --external 'mnt[/data]:data'
        mooring dump -t 4711 -D images --external 'mnt[]:ms'
        mooring dump -t 4711 -D images -L plugins --skip-mnt /media
        mooring dump -t 4711 -D images -L plugins --files --skip-file pipe
        mooring dump --netns blue -D images
      """)

  @OptionGroup var subject: SubjectOptions

  @OptionGroup var parts: PartsOption

  @Option(
    name: [.customShort("D"), .long],
    help: ArgumentHelp("The folder of images; made where it is missing.", valueName: "dir"))
  var imagesDir: String

  @OptionGroup var plugins: PluginFolderOptions
  @OptionGroup var mappings: MountMappingOptions
  @OptionGroup var leaveOut: LeaveOutOption
  @Flag(
    help: ArgumentHelp(
      "Save a process that has no mount namespace of its own.",
      discussion: """
        A process in the same mount namespace as mooring is most often a wrong PID, and its mounts are the \
        host's: without this option it is refused.
        """))
  var allowOwnMounts = false

  @Flag(help: "Save the private keys of wireguard links too, in plain text.")
  var wireguardKeys = false

  @Option(
    help: ArgumentHelp(
      "Save the keys of macsec links, which this file has, in plain text.",
      discussion: """
        The kernel does not tell keys. The file has a line ID KEY for each key ID that ip macsec show \
        prints, in hexadecimal, with a SALT after it where packet numbers are extended; LINK:ID where \
        links have different keys of one ID. With --leave-out macsec-keys a link is saved without its \
        associations.
        """, valueName: "file"))
  var macsecKeys: String?

  @Flag(
    help: ArgumentHelp(
      "Save open files that come from outside, too.",
      discussion: """
        Devices, anonymous inodes, unix sockets whose peer is outside, files that the container's \
        tree does not show: plugins answer for them (-L), or --external, --inherit-fd and \
        --skip-file say what becomes of them. COMMAND of a restore gets them.
        """))
  var files = false

  @OptionGroup var openFiles: OpenFileDumpOptions

  @OptionGroup var scripts: ScriptOptions
  @OptionGroup var log: LogOptions
  @OptionGroup var limit: TimeLimitOptions

  func validate() throws {
    try subject.requireOne()
    let savesFiles = files || parts.only?.split(separator: ",").contains("files") ?? false
    if !savesFiles && !openFiles.isEmpty {
      throw ValidationError("--inherit-fd, --skip-file and --listening are for --files.")
    }
    if parts.only == "files" {
      throw ValidationError("Open files are restored with the mounts: --only mounts,files.")
    }
    if subject.netns != nil && savesFiles {
      throw ValidationError("A network namespace has no open files: give -t PID.")
    }
    if subject.netns != nil, let only = parts.only, only != "links" {
      throw ValidationError("A network namespace has links only.")
    }
  }

  mutating func run() throws {
    let source: DumpOptions.Source =
      if let netns = subject.netns { .network(netns) } else { .process(subject.tree ?? 0) }
    var options = DumpOptions(source, images: imagesDir, plugins: plugins.options)
    options.mounts = try mappings.options(atDump: true)
    options.links = try mappings.linkOptions(leaveOut)
    options.mounts.leftOut = options.links.leftOut
    options.links.macsecKeys = try macsecKeys.map { try MacsecKeys(file: $0) }
    options.scripts = scripts.scripts
    options.allowsOwnMounts = allowOwnMounts
    options.savesWireguardKeys = wireguardKeys
    if let parts = try parts.parts() { options.parts = parts }
    if files { options.parts.insert(.files) }
    options.files = try openFiles.options(mappings.external)
    if !options.parts.contains(.files), let option = options.files.external.first {
      throw OptionError("--external '\(option)' is for --files")
    }
    try DumpOperation(options, log: log.logger()).run()
  }
}
