import ArgumentParser

@main
struct MooringCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "mooring")
}
