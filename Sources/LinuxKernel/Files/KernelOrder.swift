import CMooring
import Glibc

/// Finds something among others of its kind by `kcmp(2)`, which gives them an order that holds until the
/// machine is started again.
enum KernelOrder {
  enum Place {
    case same(Int)
    case new(at: Int)
    /// It, or the one at this place, has ended or been closed: `kcmp` does not say which.
    case gone(Int)
  }

  /// A binary search.
  ///
  /// - Parameter compare: what `kcmp` says of it and the one at a place.
  /// - Throws: `ReadFailure.cannotCompare`.
  static func search(
    _ count: Int, _ compare: (Int) -> Int
  ) throws(ReadFailure) -> Place {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      switch compare(middle) {
      case 0: return .same(middle)
      case 1: high = middle
      case 2: low = middle + 1
      case -Int(EBADF), -Int(ESRCH): return .gone(middle)
      case let result: throw .cannotCompare(CInt(max(-result, 0)))
      }
    }
    return .new(at: low)
  }
}
