#include "proxy/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(cap)        (1ULL << (cap))
#define PORT_PRIVILEGED 1024
#define NAME_BUFFER     16384

static const struct {
	int cap;
	const char *name;
} names[] = {
	{ CAP_NET_RAW, "CAP_NET_RAW" },
	{ CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE" },
};

uint64_t privileges_wanted(const struct conf *conf)
{
	uint64_t caps = 0;

	for (size_t i = 0; i < conf->n_listeners; i++) {
		const struct listener_conf *l = &conf->listeners[i];

		if (l->mode == LISTENER_TPROXY || l->source == SOURCE_CLIENT)
			caps |= BIT(CAP_NET_RAW);
		for (size_t k = 0; k < l->n_bind; k++)
			if (l->bind[k].port > 0 && l->bind[k].port < PORT_PRIVILEGED)
				caps |= BIT(CAP_NET_BIND_SERVICE);
	}
	return caps;
}

const char *privileges_names(uint64_t caps, char out[64])
{
	snprintf(out, 64, "%s", caps ? "" : "none");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (caps & BIT(names[i].cap))
			snprintf(out + strlen(out), 64 - strlen(out), "%s%s", *out ? " " : "",
				 names[i].name);
	return out;
}

/* ---- capabilities of this process: glibc has no calls for these ---- */

struct caps {
	struct __user_cap_data_struct word[_LINUX_CAPABILITY_U32S_3];
};

static int caps_get(struct caps *ret)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, ret->word) < 0 ? -errno : 0;
}

static int caps_set(uint64_t effective, uint64_t permitted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct caps c;

	for (int i = 0; i < 2; i++)
		c.word[i] = (struct __user_cap_data_struct) {
			.effective = (uint32_t)(effective >> 32 * i),
			.permitted = (uint32_t)(permitted >> 32 * i),
			/* a capability is ambient only if it is inheritable */
			.inheritable = (uint32_t)(permitted >> 32 * i),
		};
	return syscall(SYS_capset, &header, c.word) < 0 ? -errno : 0;
}

static uint64_t caps_permitted(const struct caps *c)
{
	return (uint64_t)c->word[1].permitted << 32 | c->word[0].permitted;
}

/* ---- who ---- */

static int find_user(const char *name, struct privileges *p)
{
	char buffer[NAME_BUFFER];
	struct passwd pw, *found = NULL;
	int r = getpwnam_r(name, &pw, buffer, sizeof(buffer), &found);

	if (!found)
		return r ? -r : -ENOENT;
	p->uid = pw.pw_uid;
	p->gid = pw.pw_gid;
	return 0;
}

static void name_self(struct privileges *p)
{
	char buffer[NAME_BUFFER];
	struct passwd pw, *found = NULL;

	if (getpwuid_r(p->uid, &pw, buffer, sizeof(buffer), &found) == 0 && found)
		snprintf(p->user, sizeof(p->user), "%s", pw.pw_name);
	else
		snprintf(p->user, sizeof(p->user), "%u", (unsigned)p->uid);
}

int privileges_find(const struct conf *conf, struct privileges *ret_privileges)
{
	struct privileges p = { .uid = geteuid(), .gid = getegid() };
	const char *name = conf->user ? conf->user : PRIVILEGES_USER;
	struct caps have;
	int r = caps_get(&have);

	if (r < 0)
		return r;
	p.change = p.uid == 0;
	if (p.change) {
		snprintf(p.user, sizeof(p.user), "%s", name);
		r = find_user(name, &p);
	} else {
		name_self(&p);
	}
	if (r < 0)
		return r;
	p.wanted = privileges_wanted(conf);
	p.missing = p.wanted & ~caps_permitted(&have);
	*ret_privileges = p;
	return 0;
}

/* ---- becoming it ---- */

/* What no program executed later can have, root's included. A process without CAP_SETPCAP has
 * nothing there that no_new_privs would not stop. */
static void drop_bounding(uint64_t keep)
{
	for (int cap = 0; cap < 64; cap++)
		if (!(keep & BIT(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			break; /* EINVAL: that was the last one; EPERM: not ours to drop */
}

static int become(const struct privileges *p)
{
	if (p->uid == geteuid() && p->uid == 0)
		return 0;
	if (initgroups(p->user, p->gid) < 0 || setresgid(p->gid, p->gid, p->gid) < 0 ||
	    setresuid(p->uid, p->uid, p->uid) < 0)
		return -errno;
	return 0;
}

static int keep_only(uint64_t keep)
{
	int r = caps_set(keep, keep);

	if (r < 0)
		return r;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int cap = 0; cap < 64; cap++)
		if (keep & BIT(cap) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -errno;
	return 0;
}

int privileges_drop(const struct privileges *p)
{
	/* uid 0 is nobody special any more, whoever executes or becomes it */
	static const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
					  SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED;
	uint64_t keep = p->wanted & ~p->missing;
	int r = 0;

	if (p->change) {
		drop_bounding(keep);
		/* a container's root may not, or it is so since before a restart */
		(void)prctl(PR_SET_SECUREBITS, bits, 0, 0, 0);
		if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
			return -errno;
		r = become(p);
	}
	if (r == 0)
		r = keep_only(keep);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	/* a way back would be a fault of ours, and the last moment to see it is now */
	if (r == 0 && p->change && p->uid != 0 && setresuid(0, 0, 0) == 0)
		return -EPERM;
	return r;
}
