import ArgumentParser

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Say what this kernel and these privileges allow, and what that costs.")

  mutating func run() throws {
  }
}
