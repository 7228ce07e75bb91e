#include "kernel/drop.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool drop_has_net_admin(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	return syscall(SYS_capget, &head, data) == 0 &&
	       (data[0].permitted & (1u << CAP_NET_ADMIN)) != 0;
}

/* Of the bounding set: what a program that we run could get. Needs CAP_SETPCAP. */
static void drop_bounding(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (cap != CAP_NET_ADMIN)
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

/* A user that is not there is the daemon's to tell. One that can't be become is an error: with uid
 * 0 the files of root would be ours, whatever the capabilities. */
static int change_user(const char *name)
{
	const struct passwd *user = geteuid() == 0 ? getpwnam(name) : NULL;

	if (!user || user->pw_uid == 0)
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
		return -errno;
	return 0;
}

/* Only what we have: without CAP_NET_ADMIN this is no error here, what needs it says so. */
static int keep_one(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	uint32_t keep = data[0].permitted & (1u << CAP_NET_ADMIN);
	for (size_t i = 0; i < ARRAY_SIZE(data); i++)
		data[i] = (struct __user_cap_data_struct) { 0 };
	data[0] = (struct __user_cap_data_struct) { keep, keep, keep };
	if (syscall(SYS_capset, &head, data) < 0)
		return -errno;
	if (keep && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) < 0)
		return -errno;
	return 0;
}

int drop_to_net_admin(const char *user)
{
	drop_bounding();
	int e = change_user(user);
	if (e == 0)
		e = keep_one();
	if (e == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		e = -errno;
	return e;
}
