// The engine's reader against read-baseline.c: `ReadingBenchmark PID TIMES` prints the fastest, in
// microseconds.
import LinuxKernel

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
