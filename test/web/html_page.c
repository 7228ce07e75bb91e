/* html_page <SUMMARY.json >PAGE.html */
#include "logscan/html.h"

#include <stdlib.h>
#include <string.h>

int main(void)
{
	char *text = NULL;
	size_t n = 0, more;
	FILE *in = open_memstream(&text, &n);
	char part[65536];

	if (!in)
		return 1;
	while ((more = fread(part, 1, sizeof(part), stdin)) > 0)
		fwrite(part, 1, more, in);
	if (fclose(in) != 0)
		return 1;
	int r = html_write(stdout, text, n);

	if (r < 0)
		fprintf(stderr, "html_page: %s\n", strerror(-r));
	free(text);
	return r < 0 ? 1 : 0;
}
