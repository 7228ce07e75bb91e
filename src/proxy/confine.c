#include "proxy/confine.h"

#include "base/log.h"
#include "proxy/reach.h"
#include "proxy/sandbox.h"

#include <errno.h>

static void tell_unreachable(void *user, const char *line)
{
	log_warning("%s", line);
}

int confine(const struct conf *conf, struct privileges *ret_privileges)
{
	struct privileges *p = ret_privileges;
	char caps[64];
	int r = privileges_find(conf, p);

	if (r == -ENOENT) {
		log_error("%s: user: there is no user %s on this host; accepted: a user, or "
			  "root",
			  conf->file, conf->user ? conf->user : PRIVILEGES_USER);
		return 78;
	}
	if (r == 0)
		r = privileges_drop(p);
	if (r < 0) {
		log_error("error=\"%s\" can't give up privileges", strerror(-r));
		return 1;
	}
	sandbox_enter(conf);
	if (p->missing)
		log_warning("capabilities=\"%s\" are missing: start it as root, or with these as "
			    "ambient capabilities",
			    privileges_names(p->missing, caps));
	(void)reach_check(conf, p, tell_unreachable, NULL);
	return 0;
}

void confine_tell(const struct privileges *p)
{
	char caps[64];

	log_info("user=%s capabilities=\"%s\"", p->user,
		 privileges_names(p->wanted & ~p->missing, caps));
}
