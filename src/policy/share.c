#include "policy/share.h"

/* FNV-1a (RFC 9923), then the finalizer of SplitMix64, since the former alone leaves names that
 * differ at their ends close together. Never to be changed: domains would change sides. */
bool share_contains(int share, const char *domain)
{
	uint64_t h = 0xcbf29ce484222325;

	if (share >= SHARE_ALL)
		return true;
	for (const char *p = domain; *p; p++)
		h = (h ^ (uint8_t)*p) * 0x100000001b3;
	h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
	h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
	h ^= h >> 31;
	return h % SHARE_ALL < (uint64_t)share;
}
