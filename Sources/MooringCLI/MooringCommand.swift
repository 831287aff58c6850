import ArgumentParser
import CMooring
import Glibc
import Mooring
import RestorePlan

@main
struct MooringCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mooring",
    abstract: "Saves a container's mount tree and network links, and restores them.",
    discussion: """
      What ties the container to the outside (bind mounts and links from elsewhere, open devices, \
      sockets to daemons) is moored: a mapping \
      (--external) or a plugin (-L) says what it is when it is saved, and puts it back.

      Example: a container that has /srv/data of the host at /data; 4711 is one of its processes. \
      Run as root.
        mooring mounts -t 4711
        mooring dump -t 4711 -D images --external 'mnt[/data]:data'
        mooring plan -D images -r rootfs --external 'mnt[data]:/srv/data'
        mooring restore -D images -r rootfs \\
            --external 'mnt[data]:/srv/data' -d --pidfile pid
        mooring verify -D images -t "$(cat pid)"

      Results go to standard output, messages to standard error. Where something stands in the \
      way, all problems are listed, each with the options that settle it.

      Exit status: 0 done; 1 failed; 2 refused before anything was changed; 3 a difference was \
      found; 64 usage; 125 mooring failed where a COMMAND was given, else COMMAND's own.
      """,
    version: "1.0.0",
    subcommands: [
      CheckCommand.self, MountsCommand.self, LinksCommand.self, FilesCommand.self,
      DumpCommand.self, PlanCommand.self, RestoreCommand.self, VerifyCommand.self,
      UnpinCommand.self, PluginsCommand.self,
    ])

  static func main() {
    openStandardStreams()
    for number in [SIGPIPE, SIGXFSZ] { signal(number, SIG_IGN) }
    // A caller that ignores it bequeaths that, and waiting for a child would tell nothing.
    signal(SIGCHLD, SIG_DFL)
    guard CommandLine.argc > 0 else {
      Report.complain(
        "the arguments cannot be read without /proc; mount it: mount -t proc proc /proc")
      leave(1)
    }
    mooring_keep_memory()
    let arguments = withVerbosity(CommandLine.arguments.dropFirst())
    do {
      var command = try parseAsRoot(arguments)
      if let command = command as? any SupervisedCommand { Supervisor(command).divide() }
      try command.run()
    } catch let failure as EngineFailure {
      Report.failure(failure)
      leave(failure.status.rawValue)
    } catch let status as CommandStatus {
      leave(status.code)
    } catch let error as OptionError {
      Report.complain("\(error)")
      leave(64)
    } catch let error where isUsage(error) {
      leave(withUsage: error)
    } catch {
      Report.complain("\(error)")
      leave(1)
    }
  }

  /// A standard stream that is closed would be given to the next file that is opened, and a message to a
  /// person be written into it.
  private static func openStandardStreams() {
    for number in 0...CInt(2) where fcntl(number, F_GETFD) < 0 && errno == EBADF {
      // The lowest number that is free.
      _ = open("/dev/null", number == 0 ? O_RDONLY : O_WRONLY)
    }
  }

  /// CRIU's `-v4` as `--verbosity 4`.
  private static func withVerbosity(_ arguments: ArraySlice<String>) -> [String] {
    let options = arguments.prefix { $0 != "--" }
    return options.flatMap { argument in
      let digits = argument.dropFirst(2)
      let isLevel = argument.hasPrefix("-v") && digits.count == 1 && "01234".contains(digits)
      return isLevel ? ["--verbosity", String(digits)] : [argument]
    } + arguments.dropFirst(options.count)
  }

  /// Whether the error is the parser's own (a request for help among them).
  private static func isUsage(_ error: any Error) -> Bool {
    exitCode(for: error) != .failure || String(describing: type(of: error)) == "CommandError"
  }

  /// As `exit(withError:)`, but a text that cannot be written is an error.
  private static func leave(withUsage error: any Error) -> Never {
    let text = fullMessage(for: error)
    let code = exitCode(for: error)
    if code == .success {
      Report.lines(text.isEmpty ? [] : [text])
    } else if !text.isEmpty {
      Report.complain(text)
    }
    leave(code.rawValue)
  }

  static func leave(_ status: Int32) -> Never {
    fflush(nil)
    Glibc.exit(status)
  }
}

/// Ends the command with a status, everything having been said.
struct CommandStatus: Error {
  var code: Int32
}
