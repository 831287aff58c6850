import Glibc
import Testing

/// `criu-plugin.h` and `criu-log.h`, as plugins use them.
@Suite struct HeaderTests {
  private static let plugin = """
    #define LOG_PREFIX "test: "
    #include "criu-plugin.h"
    #include "criu-log.h"
    static int init(int stage) { pr_err("stage %d\\n", stage); pr_warn_once("x\\n"); return 0; }
    static void fini(int stage, int ret) { pr_info("%d %d\\n", stage, ret); pr_perror("x %d", ret); }
    static int mount(char *path, int id) { pr_debug("%s\\n", path); return id; }
    int wrong(int a, int id);
    int wrong(int a, int id) { return a + id; }
    """

  private func compile(
    _ source: String, _ compiler: String, _ options: [String] = []
  ) throws -> String {
    let scratch = try Scratch()
    let name = compiler == "c++" ? "plugin.cpp" : "plugin.c"
    try scratch.write(HeaderTests.plugin + "\n" + source + "\n", to: name)
    let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    return try spawn(
      [compiler, "-Wall", "-Wextra", "-fPIC", "-c", "-I\(root)/Sources/CMooring/include"] + options
        + ["-o", scratch.path + "/plugin.o", scratch.path + "/" + name], [:])
  }

  @Test(arguments: ["", ";"], [["cc", "-std=gnu11", "-Wpedantic"], ["c++", "-std=c++11"]])
  func `with and without a semicolon`(end: String, compiler: [String]) throws {
    let warnings = try compile(
      """
      CR_PLUGIN_REGISTER("test", init, fini)\(end)
      CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_MOUNT, mount)\(end)
      """, compiler[0], Array(compiler.dropFirst()))
    #expect(warnings == "")
  }

  @Test func `a function of another type is a warning`() throws {
    let warnings = try compile(
      """
      CR_PLUGIN_REGISTER("test", init, fini)
      CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_MOUNT, mount)
      CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_MOUNT, wrong)
      """, "cc")
    #expect(warnings.contains("incompatible"), Comment(rawValue: warnings))
  }

  @Test func `the layout that plugins are compiled with`() throws {
    let warnings = try compile(
      """
      CR_PLUGIN_REGISTER_DUMMY("test");
      typedef int (*use)(void);
      void *used[] = { (void *)init, (void *)fini, (void *)mount };
      _Static_assert(offsetof(cr_plugin_desc_t, name) == 0, "");
      _Static_assert(offsetof(cr_plugin_desc_t, init) == 8, "");
      _Static_assert(offsetof(cr_plugin_desc_t, exit) == 16, "");
      _Static_assert(offsetof(cr_plugin_desc_t, version) == 24, "");
      _Static_assert(offsetof(cr_plugin_desc_t, max_hooks) == 28, "");
      _Static_assert(offsetof(cr_plugin_desc_t, hooks) == 32, "");
      _Static_assert(CR_PLUGIN_HOOK__MAX == 15 && CRIU_PLUGIN_VERSION == 0x200, "");
      """, "cc")
    #expect(warnings == "")
  }
}
