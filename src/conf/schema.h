/*
 * Every option of the configuration, as rows: the file's own in schema.c, a listener's in
 * listeners.c, those of scanners and domains in scanners.c; the files of the catalogue are read in
 * catalogue_files.c. Of this room only.
 */
#pragma once

#include "conf/conf.h"
#include "conf/reader.h"

/* The whole file; fills struct conf. */
extern const struct schema conf_schema;
extern const struct option_word action_words[];
extern const struct schema limits_schema; /* limits.c; fills struct conf */

/* For struct option.read. Fields: struct conf, of read_prefixes() struct prefix_set. */
void read_listeners(struct conf_reader *r, const struct yaml_node *node, const char *path,
		    void *field);
void read_scanners(struct conf_reader *r, const struct yaml_node *node, const char *path,
		   void *field);
void read_domains(struct conf_reader *r, const struct yaml_node *node, const char *path,
		  void *field);
/* Reads the files too. */
void read_catalogue(struct conf_reader *r, const struct yaml_node *node, const char *path,
		    void *field);
void read_prefixes(struct conf_reader *r, const struct yaml_node *node, const char *path,
		   void *field);
/* One address or prefix; false: it is none, and that was told. */
bool read_prefix(struct conf_reader *r, const struct yaml_node *node, const char *path,
		 struct prefix_set *set);
/* "ADDRESS:PORT"; port 0 only if any_port. */
bool read_endpoint(struct conf_reader *r, const struct yaml_node *node, const char *path,
		   bool any_port, struct endpoint *ret_endpoint);

/* All of a file, at most max octets, freed by the caller. 0 or -errno. */
int conf_read_file(const char *file, size_t max, char **ret_text, size_t *ret_n);
