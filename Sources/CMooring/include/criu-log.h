/*
 * Messages of plugins in the engine's log.
 *
 * A plugin that defines LOG_PREFIX (a string literal) before it includes this finds it in front of each
 * of its messages. One that defines pr_fmt(fmt) decides for itself.
 */
#ifndef CRIU_LOG_H
#define CRIU_LOG_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	LOG_UNSET = -1,
	LOG_MSG = 0,
	LOG_ERROR = 1,
	LOG_WARN = 2,
	LOG_INFO = 3,
	LOG_DEBUG = 4,

	DEFAULT_LOGLEVEL = LOG_WARN,
};

/* A message, or a part of one: a line ends with its newline. errno is left as it was. */
extern void print_on_level(unsigned int level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The highest level that somebody will read. */
extern unsigned int log_get_loglevel(void);

#ifdef __cplusplus
}
#endif

#ifndef LOG_PREFIX
#define LOG_PREFIX
#endif

#ifndef pr_fmt
#define pr_fmt(fmt) LOG_PREFIX fmt
#endif

#define CRIU_LOG_AT(level, fmt, ...) \
	print_on_level(level, "%s:%d: " pr_fmt(fmt), __FILE__, __LINE__, ##__VA_ARGS__)

#define CRIU_LOG_ONCE(print, fmt, ...)                     \
	do {                                               \
		static bool criu_log_is_said;              \
		if (!criu_log_is_said) {                   \
			criu_log_is_said = true;           \
			print(fmt, ##__VA_ARGS__);         \
		}                                          \
	} while (0)

#define pr_msg(fmt, ...)   print_on_level(LOG_MSG, fmt, ##__VA_ARGS__)
#define pr_err(fmt, ...)   CRIU_LOG_AT(LOG_ERROR, fmt, ##__VA_ARGS__)
#define pr_warn(fmt, ...)  CRIU_LOG_AT(LOG_WARN, fmt, ##__VA_ARGS__)
#define pr_info(fmt, ...)  print_on_level(LOG_INFO, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_debug(fmt, ...) print_on_level(LOG_DEBUG, pr_fmt(fmt), ##__VA_ARGS__)

#define pr_err_once(fmt, ...)	CRIU_LOG_ONCE(pr_err, fmt, ##__VA_ARGS__)
#define pr_warn_once(fmt, ...)	CRIU_LOG_ONCE(pr_warn, fmt, ##__VA_ARGS__)
#define pr_info_once(fmt, ...)	CRIU_LOG_ONCE(pr_info, fmt, ##__VA_ARGS__)
#define pr_debug_once(fmt, ...) CRIU_LOG_ONCE(pr_debug, fmt, ##__VA_ARGS__)

/* With what errno says; the newline is theirs. */
#define pr_perror(fmt, ...) pr_err(fmt ": %s\n", ##__VA_ARGS__, strerror(errno))
#define pr_pwarn(fmt, ...)  pr_warn(fmt ": %s\n", ##__VA_ARGS__, strerror(errno))

#endif
