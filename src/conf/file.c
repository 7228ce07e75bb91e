#include "conf/schema.h"

#include <errno.h>
#include <stdlib.h>

enum { CHUNK = 64 * 1024 };

/* Twice the room, so that a long file is not copied again and again. */
static int grow(char **text, size_t *alloc, size_t max)
{
	char *grown;

	if (*alloc > max)
		return -EFBIG;
	grown = realloc(*text, 2 * *alloc + CHUNK);
	if (!grown)
		return -ENOMEM;
	*text = grown;
	*alloc = 2 * *alloc + CHUNK;
	return 0;
}

int conf_read_file(const char *file, size_t max, char **ret_text, size_t *ret_n)
{
	FILE *f = fopen(file, "re");
	char *text = NULL;
	size_t n = 0, alloc = 0, got = 1;
	int r = f ? 0 : -errno;

	while (r == 0 && got > 0) {
		if (n == alloc && (r = grow(&text, &alloc, max)) < 0)
			break;
		got = fread(text + n, 1, alloc - n, f);
		n += got;
		if (got == 0 && ferror(f))
			r = -errno;
	}
	if (f)
		fclose(f);
	if (r == 0 && n > max)
		r = -EFBIG;
	if (r < 0) {
		free(text);
		return r;
	}
	*ret_text = text;
	*ret_n = n;
	return 0;
}
