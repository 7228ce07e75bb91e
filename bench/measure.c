/*
 * Runs a command and says what it cost:
 *
 *     measure FILE COMMAND [ARGUMENT...]
 *
 * FILE gets "WALL CPU PEAK": seconds, seconds of user and system time, octets of memory at most (of
 * several processes the largest). Its exit status is the command's. Small, since to the kernel the
 * memory of a process was that of the one it was forked from until it executed its program.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	struct rusage used;
	double start = now();
	int status;
	pid_t child;
	FILE *f;

	if (argc < 3) {
		fputs("usage: measure FILE COMMAND [ARGUMENT...]\n", stderr);
		return 64;
	}
	child = fork();
	if (child == 0) {
		execvp(argv[2], argv + 2);
		fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
		_exit(127);
	}
	if (child < 0 || wait4(child, &status, 0, &used) < 0) {
		perror("measure");
		return 1;
	}
	f = fopen(argv[1], "w");
	if (!f ||
	    fprintf(f, "%.6f %.6f %ld\n", now() - start,
		    seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_maxrss * 1024) < 0 ||
	    fclose(f) != 0) {
		perror(argv[1]);
		return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
