#include "cli/check_host.h"

#include "kernel/net.h"
#include "proxy/privileges.h"
#include "proxy/reach.h"
#include "proxy/sandbox.h"
#include "proxy/sockets.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void show_privileges(const struct conf *c)
{
	struct privileges p;
	char caps[64];
	int r = privileges_find(c, &p), version = sandbox_landlock_version();

	if (r < 0) {
		printf("%s: warning: user %s %s: serve, started as root, would end at once; "
		       "accepted for user: a user, or root\n",
		       c->file, c->user ? c->user : PRIVILEGES_USER,
		       r == -ENOENT ? "is not known on this host" : "can't be looked up");
		return;
	}
	printf("user      %s, capabilities %s, %s\n", p.user, privileges_names(p.wanted, caps),
	       version ? "system calls and files limited" : "system calls limited");
	if (p.missing)
		printf("%s: warning: user %s does not have %s: start it as root, or with these as "
		       "ambient capabilities\n",
		       c->file, p.user, privileges_names(p.missing, caps));
	if (version == 0)
		printf("%s: warning: this kernel has no Landlock, or it is not in lsm=: only the "
		       "rights of user %s limit which files can be reached\n",
		       c->file, p.user);
	if (reach_check_as(c, &p, stdout) < 0)
		printf("%s: warning: what user %s can reach can't be found out\n", c->file, p.user);
}

/* Then what serves has the addresses. */
static bool is_running(const struct conf *c)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const char *path = conf_control(c);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return false;
	bool runs = path && strlen(path) < sizeof(at.sun_path);
	if (runs)
		strcpy(at.sun_path, path);
	runs = runs && (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 || errno == EAGAIN);
	close(fd);
	return runs;
}

static void show_addresses(const struct conf *c, const struct listener_conf *l)
{
	char where[ADDR_STRLEN + 8];

	for (size_t i = 0; i < l->n_bind; i++) {
		int r = sockets_try(l, i);
		const char *why = strerror(-r);

		if (r == 0 || r == -EPERM || r == -EACCES) /* a capability: that was said */
			continue;
		if (r == -EADDRINUSE)
			why = "another program listens there, or a frontdoor whose control socket "
			      "does not answer";
		else if (r == -EADDRNOTAVAIL)
			why = "this host does not have that address";
		printf("%s:%d: warning: listener %s: bind %s: %s; serve would end at once\n",
		       c->file, l->line, l->name, endpoint_format(&l->bind[i], where), why);
	}
}

static void print_warning(void *user, const char *line)
{
	const struct conf *c = user;

	printf("%s: warning: net: %s\n", c->file, line);
}

/* What mode: tproxy needs of the kernel. */
static void show_net(const struct conf *c)
{
	struct ruleset ruleset;
	bool any = false;

	for (size_t i = 0; i < c->n_listeners; i++)
		any |= c->listeners[i].mode == LISTENER_TPROXY;
	if (!any || ruleset_from_conf(c, stdout, &ruleset) < 0)
		return;
	net_check(&ruleset, print_warning, (void *)c);
	ruleset_deinit(&ruleset);
}

void check_host(const struct conf *c)
{
	show_privileges(c);
	for (size_t i = 0; i < c->n_listeners && !is_running(c); i++)
		show_addresses(c, &c->listeners[i]);
	show_net(c);
}
