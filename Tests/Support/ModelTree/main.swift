import Glibc
import KernelModel
import LinuxKernel
import MountTable

// The model of the kernel for shell tests:
//
//   model-tree commands SEED SIZE        commands of a tree from a seed
//   model-tree results FILE              what becomes of each command
//   model-tree portrait FILE             the tree that they build, without numbers
//   model-tree live PID                  the same of a container of make-tree

func lines(_ path: String) -> [TreeCommand] {
  guard let file = fopen(path, "r") else { fatal("open \(path)") }
  defer { fclose(file) }
  var text: [UInt8] = []
  while case let byte = getc(file), byte != EOF { text.append(UInt8(truncatingIfNeeded: byte)) }
  return String(decoding: text, as: UTF8.self).split(separator: "\n")
    .map { TreeCommand(line: String($0)) }
}

func fatal(_ text: String) -> Never {
  let line = Array("model-tree: \(text)\n".utf8)
  _ = write(2, line, line.count)
  exit(1)
}

func built(_ path: String) throws -> ModelContainer {
  var container = try ModelContainer()
  for command in lines(path) { container.perform(command) }
  return container
}

do {
  let arguments = Array(CommandLine.arguments.dropFirst())
  switch (arguments.first, arguments.count) {
  case ("commands", 3):
    guard let seed = UInt64(arguments[1]), let size = Int(arguments[2]) else { fatal("numbers") }
    for command in try TreeGenerator(seed: seed, size: size).commands { print(command) }
  case ("results", 2):
    for refusal in try built(arguments[1]).refusals { print(refusal?.rawValue ?? "done") }
  case ("portrait", 2):
    let table = try built(arguments[1]).table()
    for line in ModelPortrait(table, isRootOfHost: true).lines { print(line) }
  case ("live", 2):
    guard let pid = Int32(arguments[1]) else { fatal("a PID is a number") }
    let table = try readMountTable(of: pid)
    for line in ModelPortrait(table, isRootOfHost: true).lines { print(line) }
  default: fatal("commands SEED SIZE | results FILE | portrait FILE | live PID")
  }
} catch {
  fatal("\(error)")
}
