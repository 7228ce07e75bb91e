#include "nsd.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const programs[] = { "/usr/sbin/nsd", "/usr/local/sbin/nsd" };

static const char *find_nsd(void)
{
	const char *given = getenv("NSD");

	if (given)
		return given;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (access(programs[i], X_OK) == 0)
			return programs[i];
	return NULL;
}

bool nsd_is_installed(void)
{
	return find_nsd();
}

static int loopback_socket(int type, uint16_t port, struct sockaddr_in *sa)
{
	*sa = (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons(port) };
	sa->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return socket(AF_INET, type | SOCK_CLOEXEC, 0);
}

static uint16_t free_port(void)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	int fd = loopback_socket(SOCK_STREAM, 0, &sa);

	if (bind(fd, (void *)&sa, sizeof(sa)) < 0 || getsockname(fd, (void *)&sa, &len) < 0)
		abort();
	close(fd);
	return ntohs(sa.sin_port);
}

static void write_file(const struct nsd *n, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", n->dir, name);
	f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

static void write_conf(const struct nsd *n, const struct nsd_zone *zones)
{
	char conf[4096];
	size_t at = (size_t)snprintf(conf, sizeof(conf),
				     "server:\n"
				     " ip-address: 127.0.0.1\n port: %u\n server-count: 1\n"
				     " username: \"\"\n zonesdir: \"%s\"\n pidfile: \"%s/pid\"\n"
				     " xfrdfile: \"\"\n zonelistfile: \"%s/zone.list\"\n"
				     " database: \"\"\n logfile: \"%s/log\"\n rrl-ratelimit: 0\n"
				     " xfrdir: \"%s\"\n"
				     "remote-control:\n control-enable: no\n",
				     n->port, n->dir, n->dir, n->dir, n->dir, n->dir);

	for (; zones->name; zones++) {
		at += (size_t)snprintf(conf + at, sizeof(conf) - at,
				       "zone:\n name: \"%s\"\n zonefile: \"%s\"\n", zones->name,
				       zones->name);
		write_file(n, zones->name, zones->text);
	}
	write_file(n, "nsd.conf", conf);
}

/* Asks for the root's SOA until anything comes back. */
static int wait_ready(uint16_t port)
{
	static const uint8_t question[17] = { 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1 };
	struct timeval wait = { 0, 50000 };
	struct sockaddr_in sa;
	int fd = loopback_socket(SOCK_DGRAM, port, &sa), r = -1;
	uint8_t answer[512];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (connect(fd, (void *)&sa, sizeof(sa)) < 0)
		abort();
	for (int i = 0; i < 200 && r < 0; i++) {
		if (send(fd, question, sizeof(question), 0) > 0 &&
		    recv(fd, answer, sizeof(answer), 0) > 0)
			r = 0;
		else
			usleep(20000);
	}
	close(fd);
	return r;
}

int nsd_start(struct nsd *n, const struct nsd_zone *zones)
{
	const char *program = find_nsd();
	pid_t parent = getpid();
	char conf[128];

	if (!program)
		return -1;
	strcpy(n->dir, "/tmp/frontdoor-nsd-XXXXXX");
	if (!mkdtemp(n->dir))
		return -1;
	n->port = free_port();
	write_conf(n, zones);
	snprintf(conf, sizeof(conf), "%s/nsd.conf", n->dir);
	n->pid = fork();
	if (n->pid == 0) {
		int null = open("/dev/null", O_RDWR);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(1);
		setpgid(0, 0);
		dup2(null, 1);
		dup2(null, 2);
		execl(program, program, "-d", "-c", conf, (char *)NULL);
		_exit(127);
	}
	if (wait_ready(n->port) == 0)
		return 0;
	fprintf(stderr, "nsd doesn't answer; see %s/log\n", n->dir);
	kill(n->pid, SIGKILL);
	waitpid(n->pid, NULL, 0);
	return -1;
}

void nsd_stop(struct nsd *n)
{
	char path[400];
	struct dirent *e;
	DIR *dir;

	kill(n->pid, SIGTERM);
	waitpid(n->pid, NULL, 0);
	dir = opendir(n->dir);
	while (dir && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", n->dir, e->d_name);
		if (e->d_name[0] != '.')
			unlink(path);
	}
	if (dir)
		closedir(dir);
	if (rmdir(n->dir) < 0)
		perror(n->dir);
}
