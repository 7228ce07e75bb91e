#include "state_folder.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

char folder[64], file[96];

int make_folder(void **state)
{
	strcpy(folder, "/tmp/frontdoor-state-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chmod(folder, 0755), 0);
	snprintf(file, sizeof(file), "%s/state 100%%?.db", folder);
	clock_fake(MONO, WALL);
	return 0;
}

int remove_folder(void **state)
{
	char command[128];

	clock_fake(-1, -1);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command); /* NOLINT(cert-env33-c) */
}

struct proof *new_proof(void)
{
	struct proof *p;

	assert_int_equal(proof_new(&p), 0);
	return p;
}
