/* The main thread and the clients that a share of the sessions is kept for. */
#include "proxy/server_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/known_clients.h"

#include <errno.h>
#include <stdio.h>

int server_load_known(struct main_thread *m)
{
	const char *state = m->server.setup->conf->state;

	if (!state)
		return 0;
	if (asprintf(&m->known_file, "%s.clients", state) < 0) {
		m->known_file = NULL;
		return -ENOMEM;
	}
	m->known_saved_ms = clock_mono_ms();
	int r = known_clients_load(m->known_file, m->server.limiter);
	if (r < 0 && r != -ENOENT)
		log_warning("%s error=\"%s\" whom a share is kept for isn't known", m->known_file,
			    strerror(-r));
	return 0;
}

void server_save_known(struct main_thread *m)
{
	if (!m->known_file)
		return;
	int r = known_clients_save(m->known_file, m->server.limiter);
	if (r < 0 && !m->known_told)
		log_warning("%s error=\"%s\" whom a share is kept for can't be kept for the next "
			    "start",
			    m->known_file, strerror(-r));
	m->known_told = r < 0;
}
