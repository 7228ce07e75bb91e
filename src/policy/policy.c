#include "policy/policy.h"

#include <stdatomic.h>
#include <stdlib.h>

void domain_policy_free(void *domain_policy)
{
	struct domain_policy *row = domain_policy;

	if (!row)
		return;
	prefix_set_deinit(&row->allow);
	for (size_t i = 0; i < row->n_allow_ptr; i++)
		free(row->allow_ptr[i]);
	free(row->allow_ptr);
	for (size_t i = 0; i < row->n_allow_sources; i++)
		free(row->allow_sources[i]);
	free(row->allow_sources);
	free(row);
}

uint64_t policy_next_generation(void)
{
	static atomic_uint_fast64_t last;

	return atomic_fetch_add(&last, 1) + 1;
}
