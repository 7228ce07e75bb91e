/*
 * A YAML document as a small tree that knows where everything stands. What a configuration has no
 * use for is an error: aliases, tags, several documents, keys that are no plain words.
 */
#pragma once

#include "base/base.h"

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
	enum yaml_kind kind;
	int line, column;               /* from 1 */
	struct sv text;                 /* of a scalar, terminated by NUL too */
	bool quoted;                    /* a scalar in quotes: "true" is a word then */
	struct yaml_node *key;          /* of a mapping's member: its key, a scalar */
	struct yaml_node *next;         /* sibling */
	struct yaml_node *first, *last; /* children: items, or values with their keys */
};

struct yaml_error {
	int line, column;
	char text[160];
};

#define YAML_DEPTH_MAX 32

/* 0; -EINVAL: ret_error says where and what; -ENOMEM. An empty text is an empty mapping. */
int yaml_parse(struct sv text, struct yaml_node **ret_root, struct yaml_error *ret_error);
void yaml_free(struct yaml_node *node);
/* The value of a key; NULL: none, or node is no mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);
