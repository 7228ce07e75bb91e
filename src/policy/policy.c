#include "policy/policy.h"

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
	free(row);
}
