#include "kernel/mend.h"

#include "kernel/routing.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define VALID_MARK "/proc/sys/net/ipv4/conf/%s/src_valid_mark"

static const int families[] = { AF_INET, AF_INET6 };
static const enum routing_item items[] = { ROUTING_ROUTE, ROUTING_RULE };

int mend_routing(const struct ruleset *r, struct mended *ret_mended, char text[MEND_TEXT_MAX])
{
	char command[ROUTING_TEXT_MAX];
	bool any = false;

	*ret_mended = (struct mended) { 0 };
	if (mend_obstacle(r, false, text))
		return -EBUSY;
	for (size_t i = 0; i < ARRAY_SIZE(families) * ARRAY_SIZE(items); i++) {
		int family = families[i / 2];
		if (!ruleset_has(r, family == AF_INET))
			continue;
		int e = routing_add(family, items[i % 2]);
		if (e == 1)
			continue;
		routing_format(family, items[i % 2], "add", command);
		if (e < 0) {
			snprintf(text, MEND_TEXT_MAX, "%s: %s", command, strerror(-e));
			return e;
		}
		ret_mended->items[i / 2][i % 2] = any = true;
		snprintf(text, MEND_TEXT_MAX, "%s", command);
	}
	return any;
}

void mend_undo(const struct mended *m)
{
	for (size_t i = ARRAY_SIZE(families) * ARRAY_SIZE(items); i-- > 0;)
		if (m->items[i / 2][i % 2])
			(void)routing_delete(families[i / 2], items[i % 2]);
}

static bool is_set(const char *file)
{
	char c = '0';
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, &c, 1) != 1)
		c = '0';
	close(fd);
	return c != '0';
}

/* With it the kernel asks for the way back to the client with the packet's mark, is told that the
 * client is this host, and drops the packet. */
bool mend_obstacle(const struct ruleset *r, bool every, char text[MEND_TEXT_MAX])
{
	static const char said[] = " is not 0: what is steered would be dropped";
	char file[sizeof(VALID_MARK) + 8];
	glob_t found = { 0 };
	bool any = false;

	if (!ruleset_has(r, true))
		return false;
	snprintf(file, sizeof(file), VALID_MARK, every ? "*" : "all");
	if (!every && is_set(file)) {
		snprintf(text, MEND_TEXT_MAX, "%s%s", file, said);
		return true;
	}
	if (every && glob(file, 0, NULL, &found) == 0)
		for (size_t i = 0; !any && i < found.gl_pathc; i++)
			if (!strstr(found.gl_pathv[i], "/lo/") && is_set(found.gl_pathv[i])) {
				snprintf(text, MEND_TEXT_MAX, "%s%s", found.gl_pathv[i], said);
				any = true;
			}
	globfree(&found);
	return any;
}
