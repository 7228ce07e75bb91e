/*
 * Enforcing for a share of the domains first (policy.enforce). Which ones is a matter of their
 * names alone: the same in every process, on every machine and in every version, and a larger share
 * contains every smaller one.
 */
#pragma once

#include "base/base.h"

#define SHARE_ALL 10000 /* shares are counted in hundredths of a percent */

/* Is it one of that share? domain: lower-case A-labels. */
bool share_contains(int share, const char *domain);
