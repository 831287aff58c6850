/*
 * Messages of plugins, into the engine's log.
 *
 * Define LOG_PREFIX (a string) before including this, and every message begins with it.
 */
#ifndef CRIU_LOG_H
#define CRIU_LOG_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

enum log_level {
	LOG_UNSET = -1,
	LOG_MSG = 0,
	LOG_ERROR = 1,
	LOG_WARN = 2,
	LOG_INFO = 3,
	LOG_DEBUG = 4,
	DEFAULT_LOGLEVEL = LOG_WARN,
};

extern void print_on_level(unsigned int level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The highest level that is written. */
extern unsigned int log_get_loglevel(void);

#ifndef LOG_PREFIX
#define LOG_PREFIX
#endif

#define print_once(level, fmt, ...)                                \
	do {                                                       \
		static bool is_printed;                            \
		if (!is_printed) {                                 \
			print_on_level(level, fmt, ##__VA_ARGS__); \
			is_printed = true;                         \
		}                                                  \
	} while (0)

#define pr_msg(fmt, ...) print_on_level(LOG_MSG, fmt, ##__VA_ARGS__)
#define pr_info(fmt, ...) print_on_level(LOG_INFO, LOG_PREFIX fmt, ##__VA_ARGS__)
#define pr_info_once(fmt, ...) print_once(LOG_INFO, LOG_PREFIX fmt, ##__VA_ARGS__)
#define pr_debug(fmt, ...) print_on_level(LOG_DEBUG, LOG_PREFIX fmt, ##__VA_ARGS__)
#define pr_debug_once(fmt, ...) print_once(LOG_DEBUG, LOG_PREFIX fmt, ##__VA_ARGS__)

#define pr_err(fmt, ...) \
	print_on_level(LOG_ERROR, "Error (%s:%d): " LOG_PREFIX fmt, __FILE__, __LINE__, ##__VA_ARGS__)
#define pr_err_once(fmt, ...) print_once(LOG_ERROR, LOG_PREFIX fmt, ##__VA_ARGS__)
#define pr_warn(fmt, ...) \
	print_on_level(LOG_WARN, "Warn  (%s:%d): " LOG_PREFIX fmt, __FILE__, __LINE__, ##__VA_ARGS__)
#define pr_warn_once(fmt, ...)                                                                    \
	print_once(LOG_WARN, "Warn  (%s:%d): " LOG_PREFIX fmt, __FILE__, __LINE__, ##__VA_ARGS__)

#define pr_perror(fmt, ...) pr_err(fmt ": %s\n", ##__VA_ARGS__, strerror(errno))
#define pr_pwarn(fmt, ...) pr_warn(fmt ": %s\n", ##__VA_ARGS__, strerror(errno))

#ifdef __cplusplus
}
#endif

#endif
