/* The operator's additions to the catalogue of scanners. */
#include "conf/schema.h"

#include <errno.h>
#include <stdlib.h>

enum { FILES_MAX = 100, FILE_MAX_SIZE = 16 * 1024 * 1024 };

static bool read_text(struct conf_reader *r, const struct yaml_node *node, const char *path,
		      const char *file, struct sv *ret_text)
{
	char shown[READER_QUOTED];
	char *text;
	size_t n;
	int e = conf_read_file(file, FILE_MAX_SIZE, &text, &n);

	if (e == 0) {
		*ret_text = (struct sv) { text, n };
		return true;
	}
	reader_error(r, node, path,
		     "'%s' can't be read (%s); accepted: a file with rows as those of "
		     "providers.tsv",
		     reader_quote(node->text, shown), strerror(-e));
	return false;
}

/* The texts of files, in their order. false: some can't be read, and that was told. */
static bool read_texts(struct conf_reader *r, const struct yaml_node *node, const char *path,
		       struct conf *c, struct sv *texts)
{
	unsigned before = r->errors;

	for (const struct yaml_node *n = node->first; n; n = n->next) {
		char **slot;

		if (!reader_is_scalar(r, n, path, "a file"))
			continue;
		if (c->n_catalogue_files >= FILES_MAX) {
			reader_error(r, n, path, "too many files; accepted: %d", FILES_MAX);
			break;
		}
		slot = reader_grow(r, &c->catalogue_files, &c->n_catalogue_files, sizeof(*slot));
		if (!slot)
			break;
		*slot = reader_dup(r, n->text);
		if (*slot)
			read_text(r, n, path, *slot, &texts[c->n_catalogue_files - 1]);
	}
	return r->errors == before && !r->no_memory;
}

void read_catalogue(struct conf_reader *r, const struct yaml_node *node, const char *path,
		    void *field)
{
	struct conf *c = field;
	struct sv texts[FILES_MAX] = { 0 };
	struct catalogue_error error;
	int e = 0;

	if (!reader_is_list(r, node, path, "files"))
		return;
	if (read_texts(r, node, path, c, texts) && c->n_catalogue_files > 0)
		e = catalogue_extend((const char *const *)c->catalogue_files, texts,
				     c->n_catalogue_files, &c->catalogue, &error);
	if (e == -ENOMEM)
		r->no_memory = true;
	if (e == -EINVAL) {
		fprintf(r->err, "%s\n", error.text);
		r->errors++;
	}
	if (c->catalogue)
		c->policy.catalogue = c->catalogue;
	for (size_t i = 0; i < c->n_catalogue_files; i++)
		free((char *)texts[i].p);
}
