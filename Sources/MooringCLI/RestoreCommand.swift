import ArgumentParser
import Mooring

struct RestoreCommand: SupervisedCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Build the namespaces from images, verify them, and run COMMAND in them.",
    discussion: """
      Give a COMMAND, or -d to keep the namespaces in a small process, the holder; end it with a \
      signal (SIGTERM, SIGKILL), and what it holds is gone. Enter it with nsenter -t PID. With \
      --pin DIR files keep the namespaces, with or without a process: nsenter --mount=DIR/mnt \
      --net=DIR/net.

      Links from outside come by mappings ('veth[IN]:OUT', 'macvlan[IN]:LOWER') or by an action \
      script at setup-namespaces. With --only links --netns NAME the links are restored into a \
      network namespace that is there, and nothing else.

      COMMAND runs in the root of the container with the environment, the privileges, the \
      resource limits and the cgroup of mooring itself: nothing confines it but the namespaces.

      Open files that dump --files saved are brought by plugins (-L), --inherit-fd, or --external \
      with a path; COMMAND has them under their old numbers, and MOORING_FDS in its environment \
      tells which is which: NUMBER=NAME[,cloexec][@PID/FD]... for each, where NAME is file:ID, \
      unix:INODE or a key.

      Where anything fails, or the result differs from what was saved, nothing is left behind. \
      The comparison is one of mounts and namespaces; mooring verify holds contents against the \
      images too.

      Exit status with COMMAND: its own; 128 + N where signal N ended it; 127 where it is not \
      there, 126 where it cannot be executed; 125 where mooring failed or refused. Without: 0 \
      done; 1 failed; 2 refused before anything was changed; 3 the result differed.

      Examples:
        mooring restore -D images -r rootfs -- /bin/sh -c 'ls /data'
        mooring restore -D images -r rootfs \\
            --external 'mnt[data]:/srv/data' -- /bin/sh
        mooring restore -D images -r rootfs -L plugins -d --pidfile pid
        nsenter -t "$(cat pid)" -m -u -i -n -p -- /bin/sh
        mooring restore -D images -r rootfs --action-script ./links.sh --pin /run/box \\
            --netns-name box
        mooring restore -D images --only links --netns blue
      """)

  @OptionGroup var source: RestoreSourceOptions

  @Flag(
    name: [.customShort("d"), .long],
    help: "Leave a small process that holds the namespaces, and return.")
  var restoreDetached = false

  @Option(
    help: ArgumentHelp(
      "Write the PID of the holder, as the caller sees it, once all is verified.", valueName: "file"
    )
  )
  var pidfile: String?

  @Flag(
    name: .customLong("as-pid-1"),
    help: "COMMAND takes the holder's place (PID 1 in a PID namespace) instead of being its child.")
  var asPID1 = false

  @Flag(help: "COMMAND is killed when mooring ends.")
  var dieWithParent = false

  @Option(
    help: ArgumentHelp(
      "With --only links: restore into this network namespace; a name that ip netns lists, or a path.",
      valueName: "name"))
  var netns: String?

  @Option(
    help: ArgumentHelp(
      "Leave files in this directory that keep the namespaces without a process: mnt, net, …; "
        + "mooring unpin takes them away.", valueName: "dir"))
  var pin: String?

  @Option(
    help: ArgumentHelp(
      "With --pin: let ip netns find the network namespace under this name.", valueName: "name"))
  var netnsName: String?

  @OptionGroup var log: LogOptions
  @OptionGroup var limit: TimeLimitOptions

  @Argument(
    parsing: .postTerminator,
    help: ArgumentHelp(
      "What to run, after --; a path in the container, with arguments.", valueName: "command"))
  var command: [String] = []

  func validate() throws {
    if netns != nil {
      guard source.parts.only == "links" else {
        throw ValidationError("--netns is for --only links.")
      }
      guard command.isEmpty, !restoreDetached, pidfile == nil, source.root == nil else {
        throw ValidationError("--netns needs neither a COMMAND nor a root: no process is made.")
      }
      return
    }
    if source.parts.only == "links" {
      throw ValidationError("--only links wants to know where: --netns NAME.")
    }
    if netnsName != nil && pin == nil {
      throw ValidationError("--netns-name is for --pin.")
    }
    if command.isEmpty {
      guard restoreDetached || pin != nil else {
        throw ValidationError(
          "Say what to run after --, or -d to leave a process that holds the namespaces, or --pin.")
      }
      if pidfile != nil && !restoreDetached {
        throw ValidationError("--pidfile is for a process that stays: -d or a COMMAND.")
      }
      if asPID1 || dieWithParent {
        throw ValidationError("--as-pid-1 and --die-with-parent are for a COMMAND.")
      }
    } else if restoreDetached && dieWithParent {
      throw ValidationError("-d lets COMMAND outlive mooring; --die-with-parent ends it.")
    }
  }

  var failureStatus: CInt { command.isEmpty ? 1 : 125 }

  mutating func run() throws {
    if let netns {
      var options = LinkRestoreOptions(images: source.imagesDir, namespace: netns)
      options.links = try source.linkOptions()
      options.scripts = source.scripts.scripts
      try LinkRestoreOperation(options, log: log.logger()).run()
      return
    }
    do {
      var options = try source.options()
      options.pidFile = pidfile
      options.isDetached = restoreDetached
      options.pins = pin.map { NamespacePins(directory: $0, networkName: netnsName) }
      if !command.isEmpty {
        options.command = .run(
          command, asFirstProcess: asPID1, diesWithParent: dieWithParent)
      }
      let status = try RestoreOperation(options, log: log.logger()).run()
      if status != 0 { throw CommandStatus(code: status) }
    } catch let failure as EngineFailure where !command.isEmpty {
      Report.failure(failure)
      throw CommandStatus(code: failure.commandStatus ?? 125)
    }
  }
}
