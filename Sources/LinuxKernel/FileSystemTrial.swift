import CMooring
import Glibc
import MountTable
import RestorePlan
import SystemPackage

/// Asks the kernel about file systems without making any: `fsopen`, and `fsconfig` of each option.
///
/// What a file system looks at only when it is made (devpts on older kernels) it does not tell here.
public enum FileSystemTrial {
  /// Paths, which are looked up at once where they lie in the container.
  private static let paths: Set<String> = [
    "lowerdir", "upperdir", "workdir", "lowerdir+", "datadir+",
  ]

  /// - Parameter userNamespace: one for idmapped mounts.
  public static func ask(
    _ plan: RestorePlan, userNamespace: () throws -> Descriptor
  ) -> KernelFileSystems {
    var kernel = KernelFileSystems()
    var asked: Set<NewFileSystem> = []
    for (new, _) in plan.newFileSystems where asked.insert(new).inserted {
      ask(new, &kernel)
    }
    let mapped = Set(plan.idMappedMounts.map(\.type)).filter { ["tmpfs", "ramfs"].contains($0) }
    for type in mapped where !canMap(type, userNamespace) {
      kernel.withoutIDMapping.insert(type)
    }
    let filled = Set(
      plan.steps.compactMap { step -> KernelString? in
        guard case .unpack(let device, _) = step else { return nil }
        return plan.expected.mounts.first { $0.device == device }?.fileSystem
      })
    for type in filled where lacksUserAttributes(type) {
      kernel.withoutUserAttributes.insert(type)
    }
    for kind in NamespaceKind.allCases {
      if let why = missing(kind) { kernel.withoutNamespace[kind] = why }
    }
    return kernel
  }

  private static func ask(_ new: NewFileSystem, _ kernel: inout KernelFileSystems) {
    let opened = withPath(new.type.bytes) { mooring_fsopen($0, 1) }
    guard opened >= 0 else {
      // Who may not ask is told when the restore comes to it.
      if opened == -Int(ENODEV) { kernel.missing.insert(new.type) }
      return
    }
    let context = Descriptor(owning: CInt(opened))
    for parameter in new.parameters {
      let key = parameter.bytes.prefix { $0 != 0x3D }
      if paths.contains(String(decoding: key, as: UTF8.self)) { continue }
      do throws(SystemCallFailure) {
        try MountCalls.configure(context, parameter)
      } catch {
        // Rights that the container's own user namespace may give.
        if error.errno == .notPermitted || error.errno == .permissionDenied { continue }
        let text = "\(error.errno.symbol) (\(error.errno.text))"
        kernel.refusals[new, default: []].append(
          .init(parameter, error.detail.isEmpty ? text : "\(text); \(error.detail)"))
      }
    }
  }

  private static func canMap(_ type: KernelString, _ userNamespace: () throws -> Descriptor) -> Bool
  {
    let new = NewFileSystem(type: type, source: "none", parameters: [], flags: [])
    guard let mount = try? MountCalls.create(new), let namespace = try? userNamespace() else {
      return true
    }
    do throws(SystemCallFailure) {
      try MountCalls.setIDMapping(mount.number, userNamespace: namespace.number)
    } catch {
      return error.errno != .invalidArgument
    }
    return true
  }

  private static func lacksUserAttributes(_ type: KernelString) -> Bool {
    let new = NewFileSystem(type: type, source: "none", parameters: [], flags: [])
    guard let mount = try? MountCalls.create(new) else { return false }
    do throws(SystemCallFailure) {
      try Trial.setUserAttribute(mount)
    } catch {
      return error.errno == .notSupported
    }
    return false
  }

  private static func missing(_ kind: NamespaceKind) -> String? {
    if access("/proc/self/ns/\(kind.rawValue)", F_OK) != 0, errno == ENOENT {
      return "it was built without them"
    }
    let path = "/proc/sys/user/max_\(kind.rawValue)_namespaces"
    guard let file = try? Descriptor.open(path, flags: O_RDONLY) else { return nil }
    var byte: [UInt8] = [0, 0]
    let count = read(file.number, &byte, 2)
    return count > 0 && byte[0] == 0x30 ? "\(path) is 0" : nil
  }
}
