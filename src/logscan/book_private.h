/* Shared by book.c and book_domain.c. */
#pragma once

#include "base/map.h"
#include "logscan/book.h"

/* Room for one more row of size octets in *array; false: no memory, and the book notes it. */
bool book_room(struct book *b, void *array, size_t n, size_t *alloc, size_t size);
