/* A real authoritative server (NSD), as a child on a loopback port. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct nsd {
	char dir[64];
	uint16_t port;
	pid_t pid;
};

struct nsd_zone {
	const char *name;
	const char *text;
};

/* Is there one here? */
bool nsd_is_installed(void);

/* 0; -1: there is no nsd here, or it doesn't answer. Zones end with one without a name. */
int nsd_start(struct nsd *n, const struct nsd_zone *zones);
void nsd_stop(struct nsd *n);
