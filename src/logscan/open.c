#include "logscan/open.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int open_log(const char *name, struct stat *ret_stat)
{
	struct stat st;
	int fd, error = 0;

	if (strcmp(name, "-") == 0)
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		error = -errno;
	else if (S_ISDIR(st.st_mode))
		error = -EISDIR;
	if (error) {
		close(fd);
		return error;
	}
	*ret_stat = st;
	return fd;
}

int64_t open_newest_ms(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return clock_wall_ms();
	return (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
}
