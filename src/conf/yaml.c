#include "conf/yaml.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>

struct builder {
	struct fy_parser *parser;
	struct yaml_node *stack[YAML_DEPTH_MAX]; /* open collections */
	int depth;
	struct yaml_node *root;
	struct yaml_node *key; /* read, its value not yet */
	struct yaml_error *error;
};

void yaml_free(struct yaml_node *node)
{
	while (node) {
		struct yaml_node *next = node->next;

		yaml_free(node->first); /* as deep as YAML_DEPTH_MAX at most */
		yaml_free(node->key);
		free((char *)node->text.p);
		free(node);
		node = next;
	}
}

const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key)
{
	if (!node || node->kind != YAML_MAPPING)
		return NULL;
	for (const struct yaml_node *n = node->first; n; n = n->next)
		if (sv_eq(n->key->text, sv_from(key)))
			return n;
	return NULL;
}

static int fail_at(struct builder *b, const struct fy_mark *mark, const char *text)
{
	*b->error =
		(struct yaml_error) { mark ? mark->line + 1 : 1, mark ? mark->column + 1 : 1, "" };
	snprintf(b->error->text, sizeof(b->error->text), "%s", text);
	return -EINVAL;
}

static bool is_in_quotes(struct fy_token *token)
{
	enum fy_scalar_style style = fy_scalar_token_get_style(token);

	return style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
}

static struct yaml_node *node_new(struct fy_event *event, enum yaml_kind kind)
{
	const struct fy_mark *mark = fy_event_start_mark(event);
	struct yaml_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->kind = kind;
	node->line = mark ? mark->line + 1 : 1;
	node->column = mark ? mark->column + 1 : 1;
	if (kind == YAML_SCALAR) {
		struct fy_token *token = event->scalar.value;
		size_t n = 0;
		const char *p = token ? fy_token_get_text(token, &n) : "";

		node->text =
			(struct sv) { sv_dup((struct sv) { p ? p : "", p ? n : 0 }), p ? n : 0 };
		node->quoted = token && fy_scalar_token_get_style(token) != FYSS_PLAIN;
		/* The library's mark of a quoted scalar stands behind the quotation mark. */
		if (token && node->column > 1 && is_in_quotes(token))
			node->column--;
		if (!node->text.p) {
			free(node);
			return NULL;
		}
	}
	return node;
}

/* Puts a node where it belongs: the root, an item, a key, or the value of the key before it. */
static int node_place(struct builder *b, struct fy_event *event, struct yaml_node *node)
{
	struct yaml_node *parent = b->depth > 0 ? b->stack[b->depth - 1] : NULL;

	if (!parent) {
		b->root = node;
		return 0;
	}
	if (parent->kind == YAML_MAPPING && !b->key) {
		if (node->kind == YAML_SCALAR) {
			b->key = node;
			return 0;
		}
		yaml_free(node);
		return fail_at(b, fy_event_start_mark(event),
			       "a key must be a word; accepted: KEY: VALUE");
	}
	if (parent->kind == YAML_MAPPING) {
		node->key = b->key;
		b->key = NULL;
		if (!fy_event_start_mark(event)) { /* nothing behind the colon */
			node->line = node->key->line;
			node->column = node->key->column;
		}
	}
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	return 0;
}

static int node_add(struct builder *b, struct fy_event *event, enum yaml_kind kind,
		    struct fy_token *tag, struct fy_token *anchor)
{
	struct yaml_node *node;
	int r;

	if (tag || anchor)
		return fail_at(b, fy_event_start_mark(event),
			       "tags and anchors have no use here; accepted: plain values");
	if (kind != YAML_SCALAR && b->depth == YAML_DEPTH_MAX)
		return fail_at(b, fy_event_start_mark(event), "too deep");
	node = node_new(event, kind);
	if (!node)
		return -ENOMEM;
	r = node_place(b, event, node);
	if (r == 0 && kind != YAML_SCALAR)
		b->stack[b->depth++] = node;
	return r;
}

static int take_event(struct builder *b, struct fy_event *event)
{
	switch (event->type) {
	case FYET_SCALAR:
		return node_add(b, event, YAML_SCALAR, event->scalar.tag, event->scalar.anchor);
	case FYET_SEQUENCE_START:
		return node_add(b, event, YAML_SEQUENCE, event->sequence_start.tag,
				event->sequence_start.anchor);
	case FYET_MAPPING_START:
		return node_add(b, event, YAML_MAPPING, event->mapping_start.tag,
				event->mapping_start.anchor);
	case FYET_SEQUENCE_END:
	case FYET_MAPPING_END:
		INVARIANT(b->depth > 0 && !b->key);
		b->depth--;
		return 0;
	case FYET_ALIAS:
		fail_at(b, fy_event_start_mark(event),
			"aliases have no use here; accepted: plain values");
		if (b->error->column > 1)
			b->error->column--; /* the mark stands behind the asterisk */
		return -EINVAL;
	case FYET_DOCUMENT_START:
		if (b->root)
			return fail_at(b, fy_event_start_mark(event),
				       "a second document; accepted: one");
		return 0;
	case FYET_STREAM_START:
	case FYET_STREAM_END:
	case FYET_DOCUMENT_END:
	case FYET_NONE:
		return 0;
	}
	return 0;
}

/* What libfyaml itself finds wrong: the first error. */
static int syntax_error(struct builder *b, struct fy_diag *diag)
{
	void *at = NULL;
	const struct fy_diag_error *e = fy_diag_errors_iterate(diag, &at);

	if (!e)
		return -ENOMEM;
	/* The library counts from 1 in errors, and from 0 in marks. */
	*b->error = (struct yaml_error) { e->line > 0 ? e->line : 1, e->column > 0 ? e->column : 1,
					  "" };
	snprintf(b->error->text, sizeof(b->error->text), "no YAML: %s", e->msg ? e->msg : "?");
	return -EINVAL;
}

static int build(struct builder *b, struct fy_diag *diag)
{
	struct fy_event *event;
	int r = 0;

	while (r == 0 && (event = fy_parser_parse(b->parser))) {
		r = take_event(b, event);
		fy_parser_event_free(b->parser, event);
	}
	if (r == 0 && fy_parser_get_stream_error(b->parser))
		r = syntax_error(b, diag);
	if (r == 0 && !b->root) {
		b->root = calloc(1, sizeof(*b->root));
		if (!b->root)
			return -ENOMEM;
		b->root->kind = YAML_MAPPING;
		b->root->line = b->root->column = 1;
	}
	return r;
}

int yaml_parse(struct sv text, struct yaml_node **ret_root, struct yaml_error *ret_error)
{
	struct fy_diag_cfg diag_cfg;
	struct fy_parse_cfg cfg = { .flags = FYPCF_QUIET | FYPCF_ALLOW_DUPLICATE_KEYS };
	struct builder b = { .error = ret_error };
	int r = -ENOMEM;

	fy_diag_cfg_default(&diag_cfg);
	cfg.diag = fy_diag_create(&diag_cfg);
	if (!cfg.diag)
		return -ENOMEM;
	fy_diag_set_collect_errors(cfg.diag, true);
	b.parser = fy_parser_create(&cfg);
	if (b.parser && fy_parser_set_string(b.parser, text.p, text.n) == 0)
		r = build(&b, cfg.diag);
	if (b.parser)
		fy_parser_destroy(b.parser);
	fy_diag_reset_error(cfg.diag); /* frees what was collected; fy_diag_unref() does not */
	fy_diag_unref(cfg.diag);
	yaml_free(b.key);
	if (r < 0) {
		yaml_free(b.root);
		return r;
	}
	*ret_root = b.root;
	return 0;
}
