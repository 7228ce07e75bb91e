/* web/logs.html as web/embed makes C of it: what stands before the summary, and behind it. For
 * html.c only. */
#pragma once

#include <stddef.h>

extern const unsigned char html_page_head[], html_page_tail[];
extern const size_t html_page_head_len, html_page_tail_len;
