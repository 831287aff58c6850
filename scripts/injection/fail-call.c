/*
 * Runs a command and lets one system call of it, or of a process that it started, fail; or kills the
 * command as that call begins. strace's injection counts in each process by itself, and so makes several
 * calls of a run fail; this makes one.
 *
 *   fail-call list FILE COMMAND...                       FILE: a line "PROCESS NUMBER CALL" for each call
 *   fail-call error PROCESS NUMBER ERRNO FILE COMMAND...
 *   fail-call signal PROCESS NUMBER SIGNAL FILE COMMAND...
 *
 * PROCESS 0 is the command, the others follow in the order in which they were started; NUMBER counts the
 * calls of a process from 1. In FILE are "reached CALL" where the call was made, and how the command
 * ended: "exit N" or "signal N". Calls up to the end of the dynamic linker's work are not counted.
 */
#include <errno.h>
#include <linux/elf.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum mode { LIST, FAIL, SIGNAL };

struct process {
	pid_t pid;
	long calls;
	bool in_call, failing;
};

#define MOST 256
static struct process processes[MOST];
static int count;
static enum mode mode;
static long wanted_process, wanted_call;
static int number;
static FILE *output;
static pid_t command;
static bool counting, reached;

static struct process *find(pid_t pid)
{
	for (int i = count - 1; i >= 0; i--)
		if (processes[i].pid == pid)
			return &processes[i];
	if (count == MOST)
		exit(70);
	processes[count] = (struct process){ .pid = pid };
	return &processes[count++];
}

/* The number of the call that begins; with `replace`, another in its place. -1 is none. */
static long call_number(pid_t pid, const long *replace)
{
#if defined(__x86_64__)
	struct user_regs_struct registers;

	if (ptrace(PTRACE_GETREGS, pid, 0, &registers))
		return -1;
	if (replace) {
		registers.orig_rax = *replace;
		ptrace(PTRACE_SETREGS, pid, 0, &registers);
	}
	return registers.orig_rax;
#else
	int call = -1;
	struct iovec part = { &call, sizeof(call) };

	if (ptrace(PTRACE_GETREGSET, pid, NT_ARM_SYSTEM_CALL, &part))
		return -1;
	if (replace) {
		int other = *replace;

		part = (struct iovec){ &other, sizeof(other) };
		ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &part);
	}
	return call;
#endif
}

static void set_result(pid_t pid, long result)
{
#if defined(__x86_64__)
	struct user_regs_struct registers;

	if (ptrace(PTRACE_GETREGS, pid, 0, &registers))
		return;
	registers.rax = result;
	ptrace(PTRACE_SETREGS, pid, 0, &registers);
#else
	struct user_regs_struct registers;
	struct iovec part = { &registers, sizeof(registers) };

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &part))
		return;
	registers.regs[0] = result;
	ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &part);
#endif
}

static void at_call(struct process *process)
{
	long none = -1;

	process->in_call = !process->in_call;
	if (!process->in_call) {
		if (process->failing)
			set_result(process->pid, -number);
		process->failing = false;
		return;
	}
	long call = call_number(process->pid, NULL);

	/* The run time's first call after the linker's last; the linker's failures are not ours. */
	if (!counting) {
		counting = call == SYS_prlimit64 || call == SYS_getrandom;
		return;
	}
	process->calls++;
	if (mode == LIST) {
		fprintf(output, "%d %ld %ld\n", (int)(process - processes), process->calls, call);
		return;
	}
	if (process - processes != wanted_process || process->calls != wanted_call)
		return;
	reached = true;
	fprintf(output, "reached %ld\n", call);
	fflush(output);
	if (mode == FAIL) {
		process->failing = true;
		call_number(process->pid, &none);
	} else {
		kill(command, number);
	}
}

static void trace(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (pid != command)
				continue;
			if (WIFEXITED(status))
				fprintf(output, "exit %d\n", WEXITSTATUS(status));
			else
				fprintf(output, "signal %d\n", WTERMSIG(status));
			fflush(output);
			return;
		}
		struct process *process = find(pid);
		int stop = WSTOPSIG(status), event = status >> 16, passed = 0;

		if (event == PTRACE_EVENT_STOP) {
			if (stop == SIGSTOP || stop == SIGTSTP || stop == SIGTTIN || stop == SIGTTOU) {
				ptrace(PTRACE_LISTEN, pid, 0, 0);
				continue;
			}
		} else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_CLONE ||
			   event == PTRACE_EVENT_VFORK) {
			unsigned long child;

			/* Counted in the order of their making, not of their first stop. */
			if (!ptrace(PTRACE_GETEVENTMSG, pid, 0, &child))
				find(child);
		} else if (stop == (SIGTRAP | 0x80)) {
			at_call(process);
		} else if (!event) {
			passed = stop;
		}
		ptrace(PTRACE_SYSCALL, pid, 0, passed);
	}
}

int main(int argc, char **argv)
{
	int rest = 3;

	if (argc < 4)
		return 64;
	mode = !strcmp(argv[1], "list") ? LIST : !strcmp(argv[1], "error") ? FAIL : SIGNAL;
	if (mode != LIST) {
		if (argc < 7)
			return 64;
		wanted_process = atol(argv[2]);
		wanted_call = atol(argv[3]);
		number = atoi(argv[4]);
		rest = 6;
	}
	output = fopen(argv[rest - 1], "we");
	if (!output)
		return 70;
	command = fork();
	if (command == 0) {
		raise(SIGSTOP);
		execvp(argv[rest], argv + rest);
		_exit(127);
	}
	int status;

	waitpid(command, &status, WUNTRACED);
	find(command);
	if (ptrace(PTRACE_SEIZE, command, 0,
		   PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			   PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)) {
		perror("ptrace");
		kill(command, SIGKILL);
		return 70;
	}
	ptrace(PTRACE_INTERRUPT, command, 0, 0);
	kill(command, SIGCONT);
	trace();
	return 0;
}
