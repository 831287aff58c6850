import Glibc
import LinkTable

/// The programs that save and load rules of packet filters; their formats are their own.
public enum FilterProgram {
  /// Programs with their arguments; the first that is installed is taken.
  public static func commands(_ filter: PacketFilter, saving: Bool) -> [[String]] {
    switch filter {
    case .nftables: saving ? [["nft", "-s", "list", "ruleset"]] : [["nft", "-f", "-"]]
    case .iptables, .ip6tables:
      // Without "legacy" in its name it may be one that speaks of nftables.
      ["\(filter.rawValue)-legacy-", "\(filter.rawValue)-"].map {
        [$0 + (saving ? "save" : "restore")]
      }
    }
  }

  /// The command with the program's path; `nil` where none is installed.
  public static func installed(_ filter: PacketFilter, saving: Bool) -> [String]? {
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    let folders = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"]
    for command in commands(filter, saving: saving) {
      for folder in folders where access("\(folder)/\(command[0])", X_OK) == 0 {
        return ["\(folder)/\(command[0])"] + command.dropFirst()
      }
    }
    return nil
  }
}
