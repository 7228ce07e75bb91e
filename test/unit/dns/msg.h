/* DNS messages for tests, made record by record. */
#pragma once

#include "dns/wire.h"

enum msg_section { MSG_ANSWER, MSG_AUTHORITY, MSG_ADDITIONAL };
enum { MSG_QR = 0x8000, MSG_AA = 0x0400, MSG_TC = 0x0200, MSG_RD = 0x0100, MSG_RA = 0x0080 };

struct msg {
	uint8_t b[65535];
	size_t n;
};

/* flags with the RCODE in the low bits. */
void msg_begin(struct msg *m, uint16_t id, uint16_t flags, const char *name, uint16_t type);
void msg_raw(struct msg *m, enum msg_section section, const char *owner, uint16_t type,
	     uint16_t class, uint32_t ttl, const void *rdata, size_t n);
void msg_addr(struct msg *m, const char *owner, uint32_t ttl, const char *addr);
/* CNAME, NS, PTR. */
void msg_name(struct msg *m, enum msg_section section, const char *owner, uint16_t type,
	      uint32_t ttl, const char *name);
void msg_mx(struct msg *m, const char *owner, uint32_t ttl, uint16_t preference, const char *name);
void msg_soa(struct msg *m, const char *owner, uint32_t ttl, uint32_t minimum);
void msg_opt(struct msg *m, uint8_t rcode_high);
/* Labels of name at out; returns how many bytes. "\\" stands for a dot inside a label. */
size_t msg_put_name(uint8_t *out, const char *name);
