// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let gnu: [CSetting] = [.define("_GNU_SOURCE")]

/// Plugins resolve these names in the program that loads them (see include/criu-plugin.h).
let exported = [
  "criu_get_image_dir", "print_on_level", "log_get_loglevel", "add_inventory_plugin",
  "check_and_remove_inventory_plugin",
]
let exportForPlugins: [LinkerSetting] = [
  .unsafeFlags(exported.flatMap { ["-Xlinker", "--export-dynamic-symbol=\($0)"] })
]

let package = Package(
  name: "mooring",
  products: [
    .executable(name: "mooring", targets: ["MooringCLI"]),
    .library(name: "Mooring", targets: ["Mooring"]),
    .library(name: "MountTable", targets: ["MountTable"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
  ],
  targets: [
    // The edge of the edge: system calls, and the symbols that plugins call.
    .target(name: "CMooring", cSettings: gnu),
    .systemLibrary(name: "CLibmount", pkgConfig: "mount", providers: [.apt(["libmount-dev"])]),
    .systemLibrary(
      name: "CLibnl", pkgConfig: "libnl-3.0", providers: [.apt(["libnl-3-dev"])]),
    .systemLibrary(
      name: "CLibarchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),

    // Pure: no system library, no root.
    .target(name: "MountTable", swiftSettings: strict),
    .target(name: "RestorePlan", dependencies: ["MountTable"], swiftSettings: strict),
    .target(name: "LinkTable", dependencies: ["RestorePlan"], swiftSettings: strict),
    .target(
      name: "FileTable", dependencies: ["MountTable", "RestorePlan"], swiftSettings: strict),

    // The edge.
    .target(
      name: "LinuxKernel",
      dependencies: [
        "MountTable", "RestorePlan", "LinkTable", "FileTable", "CMooring", "CLibmount", "CLibnl",
        .product(name: "SystemPackage", package: "swift-system"),
      ], swiftSettings: strict),
    .target(
      name: "PluginHost",
      dependencies: [
        "MountTable", "RestorePlan", "LinuxKernel", "CMooring",
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: strict),
    .target(
      name: "CheckpointImages",
      dependencies: [
        "MountTable", "RestorePlan", "LinkTable", "FileTable", "LinuxKernel", "CMooring",
        "CLibarchive", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      exclude: [
        "Protobuf/inventory.proto", "Protobuf/mounts.proto", "Protobuf/namespaces.proto",
        "Protobuf/network.proto", "Protobuf/files.proto",
      ],
      swiftSettings: strict),

    .target(
      name: "Mooring",
      dependencies: [
        "MountTable", "RestorePlan", "LinkTable", "FileTable", "LinuxKernel", "PluginHost",
        "CheckpointImages", "CMooring",
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: strict),
    .executableTarget(
      name: "MooringCLI",
      dependencies: [
        "Mooring", "MountTable", "RestorePlan", "LinkTable", "FileTable", "PluginHost",
        "CheckpointImages", "CMooring",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: strict, linkerSettings: exportForPlugins),

    // What test targets share.
    .target(
      name: "TestSupport", dependencies: ["MountTable"], path: "Tests/Support/TestSupport",
      swiftSettings: strict),
    // What Linux does with mounts, as a value: plans run on it, and it is held against the kernel.
    .target(
      name: "KernelModel", dependencies: ["MountTable", "RestorePlan"],
      // Optimised: thousands of trees run through it in each test run.
      path: "Tests/Support/KernelModel", swiftSettings: strict + [.unsafeFlags(["-O"])]),
    // The model for the shell tests, which hold it against the kernel.
    .executableTarget(
      name: "model-tree", dependencies: ["KernelModel", "MountTable", "LinuxKernel"],
      path: "Tests/Support/ModelTree", swiftSettings: strict),
    .testTarget(
      name: "KernelModelTests",
      dependencies: ["KernelModel", "RestorePlan", "MountTable", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "MountTableTests", dependencies: ["MountTable", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "RestorePlanTests", dependencies: ["RestorePlan", "MountTable", "TestSupport"],
      swiftSettings: strict),
    .testTarget(name: "LinkTableTests", dependencies: ["LinkTable"], swiftSettings: strict),
    .testTarget(
      name: "FileTableTests", dependencies: ["FileTable", "MountTable", "RestorePlan"],
      swiftSettings: strict),
    .testTarget(
      name: "CheckpointImagesTests",
      dependencies: [
        "CheckpointImages", "MountTable", "RestorePlan", "LinkTable", "FileTable", "LinuxKernel",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "LinuxKernelTests",
      dependencies: ["LinuxKernel", "MountTable", "RestorePlan", "LinkTable", "CMooring"],
      swiftSettings: strict),
    .testTarget(
      name: "PluginHostTests",
      dependencies: ["PluginHost", "PluginHostDriver", "LinuxKernel", "MountTable"],
      exclude: ["Plugins"], swiftSettings: strict, linkerSettings: exportForPlugins),
    // Forking takes a process with one thread, which a test runner is not: the tests start this.
    .executableTarget(
      name: "PluginHostDriver",
      dependencies: [
        "PluginHost", "LinuxKernel", "MountTable", "CMooring",
        .product(name: "Logging", package: "swift-log"),
      ],
      path: "Tests/Support/PluginHostDriver", swiftSettings: strict,
      linkerSettings: exportForPlugins),
  ],
  swiftLanguageModes: [.v6]
)

// The benchmark of reading (scripts/benchmarks/reading) is no part of the normal build.
if Context.environment["MOORING_BENCHMARKS"] != nil {
  package.targets.append(
    .executableTarget(
      name: "ReadingBenchmark", dependencies: ["LinuxKernel", "MountTable"],
      path: "scripts/benchmarks/reading", swiftSettings: strict))
}
