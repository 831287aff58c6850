// The engine's reader against scripts/baselines/read.c: `ReadingBenchmark PID TIMES` prints the fastest, in
// microseconds.
import LinuxKernel
import MountTable

let arguments = CommandLine.arguments
guard arguments.count == 3, let pid = Int32(arguments[1]), let times = Int(arguments[2]) else {
  fatalError("usage: ReadingBenchmark PID TIMES")
}
let clock = ContinuousClock()
var best = Duration.seconds(1000)
var mounts = 0
for _ in 0..<times {
  let spent = try clock.measure { mounts = try readMountTable(of: pid).mounts.count }
  best = min(best, spent)
}
print(Int64(best / .microseconds(1)), mounts)

// The other things that are done once with a whole table.
let table = try readMountTable(of: pid)
let compared = clock.measure {
  precondition(MountTreeComparison(expected: table, found: table).isEqual)
}
let wanted = table.mounts.indices.filter { table.mounts[$0].fileSystem == "tmpfs" }
let visited = try clock.measure {
  _ = try visitMounts(of: pid, table: table, wanted: wanted) { _, _ in [] }
}
print("compare", Int64(compared / .microseconds(1)), "visit", Int64(visited / .microseconds(1)))
